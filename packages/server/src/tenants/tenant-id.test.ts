import { expect, test } from "vitest";
import { isTenantId } from "./tenant-id.ts";

test.each(["a", "a'b\"c", "*", "a:b", "a/b", "..", "%2F", " ", "日本", "😀".repeat(200), "x".repeat(200)])(
  "a tenant: %j",
  (id) => {
    expect(isTenantId(id)).toBe(true);
  },
);

test.each(["", "x".repeat(201), "a\0", "a\nb", "\u007f", "\u0085", "\ud83d"])("no tenant: %j", (id) => {
  expect(isTenantId(id)).toBe(false);
});
