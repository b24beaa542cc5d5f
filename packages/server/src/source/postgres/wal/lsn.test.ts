import fc from "fast-check";
import { expect, it } from "vitest";
import { formatLsn, parseLsn } from "./lsn.ts";

it("reads what PostgreSQL writes, and writes it back", () => {
  expect(parseLsn("16/B374D848")).toBe(0x16_b374d848n);
  expect(parseLsn("0/0")).toBe(0n);
  expect(formatLsn(0x16_b374d848n)).toBe("16/B374D848");
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (lsn) => {
      expect(parseLsn(formatLsn(lsn))).toBe(lsn);
    }),
  );
});

it.each(["", "16", "16/", "g/0", "1/2/3", "123456789/0"])("refuses %j", (text) => {
  expect(() => parseLsn(text)).toThrow("LSN");
});
