import { hash, randomInt } from "node:crypto";
import type { KeyRole } from "./grant.ts";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** 40 of 62 characters: 238 bits. */
const SECRET_LENGTH = 40;
const KEY_ID_LENGTH = 20;
const KEY_PATTERN = /^flc_(?:anon|secret)_[0-9A-Za-z]{32,128}$/;
const SECRET_KEY_PREFIX = "flc_secret_";

/** A new key, as its owner sees it once. */
export function createKeyText(role: KeyRole): string {
  return `flc_${role}_${randomText(SECRET_LENGTH)}`;
}

/** A new id for a key: no secret, fit for URLs. */
export function createKeyId(): string {
  return `key_${randomText(KEY_ID_LENGTH)}`;
}

/** Whether this has the form of a key. */
export function isKeyText(text: string): boolean {
  return KEY_PATTERN.test(text);
}

/** Whether this looks like a secret key, be it well-formed or not. */
export function looksLikeSecretKey(text: string): boolean {
  return text.startsWith(SECRET_KEY_PREFIX);
}

/** What is stored of a key. Keys are random and long, so that one round of SHA-256 cannot be searched. */
export function hashKey(text: string): Buffer {
  return Buffer.from(hashKeyText(text), "base64");
}

/** The same as text, which is half the work. */
export function hashKeyText(text: string): string {
  return hash("sha256", text, "base64");
}

function randomText(length: number): string {
  return Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]).join("");
}
