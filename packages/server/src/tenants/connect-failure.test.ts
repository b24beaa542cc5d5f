import { expect, test } from "vitest";
import { explainConnectFailure } from "./connect-failure.ts";

test.each([
  [
    "ECONNREFUSED",
    /^The database "app" at db\.example\.com:6000 as user u cannot be used: nothing listens there/,
  ],
  ["28P01", /the password is wrong: correct it/],
  ["3D000", /there is no such database: create it/],
  ["XX000", /odd: correct its URL/],
])("%s: one line, without the password", (code, expected) => {
  const error = Object.assign(new Error("odd\nsecond line"), { code });
  const message = explainConnectFailure(error, "postgres://u:hunter2@db.example.com:6000/app");
  expect(message).toMatch(expected);
  expect(message).not.toMatch(/hunter2|\n/);
});

test("an error without a message, as Node gives for a name with two addresses", () => {
  const error = Object.assign(new AggregateError([]), { code: "ECONNREFUSED" });
  expect(explainConnectFailure(error, "postgres://localhost/app")).toMatch(/"app" at localhost:5432 cannot/);
});
