import { expect, test } from "vitest";
import { createKeyId, createKeyText, hashKey, isKeyText } from "./key-text.ts";

test("keys are random, and recognised", () => {
  const keys = Array.from({ length: 200 }, () => createKeyText("anon"));
  expect(new Set(keys).size).toBe(200);
  expect(keys.every(isKeyText)).toBe(true);
  expect(keys[0]).toMatch(/^flc_anon_[0-9A-Za-z]{40}$/);
  expect(createKeyText("secret")).toMatch(/^flc_secret_[0-9A-Za-z]{40}$/);
  expect(new Set(keys.join("").replaceAll("flc_anon_", "")).size).toBe(62);
});

test("ids are no keys", () => {
  expect(createKeyId()).toMatch(/^key_[0-9A-Za-z]{20}$/);
  expect(isKeyText(createKeyId())).toBe(false);
});

test("the hash is SHA-256", () => {
  expect(hashKey("abc").toString("hex")).toBe(
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});
