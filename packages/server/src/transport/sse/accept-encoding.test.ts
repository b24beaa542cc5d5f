import { expect, it } from "vitest";
import { acceptsGzip } from "./accept-encoding.ts";

it.each([
  "gzip",
  "gzip, deflate, br, zstd",
  "deflate;q=0.5, GZIP ; q=0.8",
  "x-gzip",
  "*",
  "identity;q=0.5, gzip",
  "identity, gzip;q=1.0",
])("finds that %j reads gzip", (header) => {
  expect(acceptsGzip(header)).toBe(true);
});

it.each([
  undefined,
  "",
  "identity",
  "br, deflate",
  "gzip;q=0",
  "gzip;q=0.000, *",
  "*;q=0",
  "identity, gzip;q=0.5",
  "notgzip",
])("finds that %j does not", (header) => {
  expect(acceptsGzip(header)).toBe(false);
});
