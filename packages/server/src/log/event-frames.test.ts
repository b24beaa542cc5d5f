import { describe, expect, it } from "vitest";
import { EventFrames } from "./event-frames.ts";

describe("EventFrames", () => {
  it("keeps one frame for each form", () => {
    const frames = new EventFrames();
    const forms = [{}, {}, {}];
    expect(forms.map((form) => frames.get(form))).toEqual([undefined, undefined, undefined]);
    for (const [index, form] of forms.entries()) frames.set(form, Buffer.from([index]));
    expect(forms.map((form) => frames.get(form)?.[0])).toEqual([0, 1, 2]);
    for (const [index, form] of forms.entries()) frames.set(form, Buffer.from([index + 10]));
    expect(forms.map((form) => frames.get(form)?.[0])).toEqual([10, 11, 12]);
  });
});
