import { expect, it } from "vitest";
import { ConnectionMachine } from "./connection-machine.ts";

it("goes on after an effect that has failed", () => {
  const done: string[] = [];
  const note = (effect: string) => () => void done.push(effect);
  const machine = new ConnectionMachine({
    enter: note("enter"),
    authorize: () => {
      throw new Error("It has failed.");
    },
    connect: note("connect"),
    begin: note("begin"),
    authenticate: note("authenticate"),
    synchronize: note("synchronize"),
    check: note("check"),
    forgetToken: note("forgetToken"),
    retryToken: note("retryToken"),
    wait: note("wait"),
    linger: note("linger"),
    end: note("end"),
  });
  expect(() => machine.dispatch("wanted")).toThrow("It has failed.");
  machine.dispatch("token");
  expect([machine.state, ...done]).toEqual(["connecting", "enter", "enter", "connect"]);
});
