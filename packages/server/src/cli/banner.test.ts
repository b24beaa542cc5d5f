import { expect, test } from "vitest";
import { renderBanner } from "./banner.ts";

const FACTS = {
  url: "http://0.0.0.0:4000",
  databaseUrl: "postgres://paperdb:hunter2@127.0.0.1:5433/paperdb",
  usesEmbedded: true,
  dataDir: "/data",
  demo: undefined,
};

test("a first start has both keys, the whole database URL and a curl line that a client can run", () => {
  const demo = { tenant: "demo", anonKey: "flc_anon_a", secretKey: "flc_secret_b" };
  const banner = renderBanner({ ...FACTS, demo });
  expect(banner).toContain(
    'curl -N "http://127.0.0.1:4000/v1/events/subscribe?collection=todos" -H "apikey: flc_anon_a"',
  );
  expect(banner).toContain("flc_secret_b");
  expect(banner).toContain(FACTS.databaseUrl);
});

test("a later start has no secret, and says where the database is", () => {
  const banner = renderBanner(FACTS);
  expect(banner).not.toMatch(/hunter2|flc_/);
  expect(banner).toContain("postgres://paperdb@127.0.0.1:5433/paperdb");
});

test("of a database of the user's, nothing is shown", () => {
  const databaseUrl = "postgres://app:hunter2@db.example.com/app";
  expect(renderBanner({ ...FACTS, databaseUrl, usesEmbedded: false })).not.toContain("db.example.com");
});

test("IPv6", () => {
  expect(renderBanner({ ...FACTS, url: "http://[::]:4000" })).toContain("running on http://[::1]:4000");
});
