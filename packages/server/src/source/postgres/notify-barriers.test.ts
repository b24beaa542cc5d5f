import { describe, expect, it } from "vitest";
import { NotifyBarriers } from "./notify-barriers.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function setUp() {
  const sent: { readonly id: string; readonly done: () => void }[] = [];
  const barriers = new NotifyBarriers(
    (_channel, id) => new Promise<void>((resolve) => sent.push({ id, done: resolve })),
  );
  /** The notification is sent, and received. */
  const receive = (number: number, position: string): void => {
    const one = sent[number];
    if (one === undefined) throw new Error("Nothing was sent.");
    one.done();
    barriers.seen(one.id, position);
  };
  return { barriers, sent, receive };
}

describe("NotifyBarriers", () => {
  it("send one at a time; those who ask meanwhile share the next", async () => {
    const { barriers, sent, receive } = setUp();
    const first = [barriers.pass(), barriers.pass()];
    await turn();
    const next = Array.from({ length: 100 }, () => barriers.pass());
    await turn();
    expect(sent).toHaveLength(1);
    barriers.seen("somebody else's", "0");
    receive(0, "1");
    expect(await Promise.all(first)).toEqual(["1", "1"]);
    await turn();
    expect(sent).toHaveLength(2);
    receive(1, "2");
    expect(new Set(await Promise.all(next))).toEqual(new Set(["2"]));
  });

  it("fail with the connection, those too that were not sent yet, and work again after it", async () => {
    const { barriers, sent, receive } = setUp();
    const first = barriers.pass();
    await turn();
    const second = barriers.pass();
    second.catch(() => undefined);
    barriers.fail("lost");
    await expect(first).rejects.toThrow("lost");
    const after = barriers.pass();
    await turn();
    sent[0]?.done();
    await expect(second).rejects.toThrow("was lost");
    expect(sent).toHaveLength(2);
    receive(1, "5");
    expect(await after).toBe("5");
  });

  it("fail when they cannot be sent", async () => {
    const barriers = new NotifyBarriers(() => Promise.reject(new Error("full")));
    await expect(barriers.pass()).rejects.toThrow("full");
    await expect(barriers.pass()).rejects.toThrow("full");
  });
});
