import { fileURLToPath } from "node:url";
import specifications from "@asyncapi/specs";
import { Ajv } from "ajv";
import { format, resolveConfig } from "prettier";
import { expect, test } from "vitest";
import { renderAsyncApi } from "./asyncapi.ts";

const FILE = fileURLToPath(new URL("../../../../../docs/asyncapi.json", import.meta.url));

test("docs/asyncapi.json is what the schemas say; vitest -u writes it", async () => {
  const options = { ...(await resolveConfig(FILE)), filepath: FILE };
  await expect(await format(JSON.stringify(renderAsyncApi()), options)).toMatchFileSnapshot(FILE);
});

test("it is AsyncAPI 3.0", () => {
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
  const validate = ajv.compile(specifications.schemasWithoutId["3.0.0"] as object);
  validate(renderAsyncApi());
  expect(validate.errors ?? []).toEqual([]);
});

test("another version of it would not be", () => {
  const ajv = new Ajv({ strict: false, validateFormats: false });
  const validate = ajv.compile(specifications.schemasWithoutId["3.0.0"] as object);
  expect(validate({ ...renderAsyncApi(), asyncapi: "2.0.0" })).toBe(false);
  expect(validate({ ...renderAsyncApi(), operations: { broken: { action: "shout" } } })).toBe(false);
});
