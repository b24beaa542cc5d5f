import { describe, expect, it } from "vitest";
import { Barriers } from "./barriers.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Barriers whose messages are in the order of `written`. */
function setUp() {
  const written: Buffer[] = [];
  const barriers = new Barriers({
    use: async (work) => {
      const query = (sql: string): Promise<void> => {
        written.push(Buffer.from(/'([0-9a-f]{24})'/.exec(sql)?.[1] ?? ""));
        return Promise.resolve();
      };
      return work(Object.assign(Object.create(null), { query }));
    },
  });
  return { barriers, written };
}

describe("Barriers", () => {
  it("are passed when the stream has their message, which those share that ask meanwhile", async () => {
    const { barriers, written } = setUp();
    const first = barriers.pass();
    const shared = barriers.pass();
    await turn();
    expect(written).toHaveLength(1);
    expect(barriers.seen(Buffer.from("another server's"))).toBe(false);
    expect(barriers.seen(written[0] ?? Buffer.alloc(0))).toBe(true);
    await Promise.all([first, shared]);
  });

  it("fail when the stream goes on behind them, or ends", async () => {
    const { barriers, written } = setUp();
    const skipped = barriers.pass();
    await turn();
    const passed = barriers.pass();
    await turn();
    barriers.seen(written[1] ?? Buffer.alloc(0));
    await passed;
    await expect(skipped).rejects.toThrow("not passed");
    const ended = barriers.pass();
    await turn();
    barriers.fail(new Error("The stream has ended."));
    await expect(ended).rejects.toThrow("ended");
  });
});
