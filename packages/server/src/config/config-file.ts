import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { ConfigError } from "./config-error.ts";
import { findDuplicateKey } from "./duplicate-key.ts";
import { formatPath } from "./settings.ts";

const DEFAULT_FILE = "paperdb.config.json";

/** A configuration file's content, not validated yet. */
export interface ConfigFile {
  /** As the user names it. */
  readonly name: string;
  readonly content: Readonly<Record<string, unknown>>;
}

/**
 * Reads the file that `PAPERDB_CONFIG` names, or `paperdb.config.json`, which may be absent.
 *
 * @throws {ConfigError} it cannot be read, is not a JSON object, or has a key twice.
 */
export function readConfigFile(named: string | undefined, cwd: string): ConfigFile {
  const name = named ?? DEFAULT_FILE;
  const text = read(name, cwd, named !== undefined);
  return { name, content: text === undefined ? {} : parse(name, text) };
}

function read(name: string, cwd: string, mustExist: boolean): string | undefined {
  try {
    return readFileSync(resolve(cwd, name), "utf8");
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT" && !mustExist) return undefined;
    const fix =
      code === "ENOENT"
        ? "there is no such file: create it or correct PAPERDB_CONFIG"
        : `${code}: make it readable`;
    throw new ConfigError(`${name}: cannot be read, ${fix}.`, { cause: error });
  }
}

function parse(name: string, text: string): Readonly<Record<string, unknown>> {
  let content: unknown;
  try {
    content = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch {
    // Not as the cause: the parser's message quotes the text, which may hold a password.
    throw new ConfigError(`${name}: is not valid JSON: ${locateSyntaxError(text)}.`);
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    throw new ConfigError(`${name}: must be a JSON object, such as {"port": 4000}.`);
  }
  const duplicate = findDuplicateKey(text);
  if (duplicate !== undefined) {
    throw new ConfigError(`${name}: ${formatPath(duplicate)} is there twice: remove or rename one of them.`);
  }
  return { ...content };
}

function locateSyntaxError(text: string): string {
  try {
    JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : "";
    const position = /at position (\d+)/.exec(message)?.[1];
    if (position !== undefined) {
      const before = text.slice(0, Number(position)).split("\n");
      return `see line ${String(before.length)}, column ${String((before.at(-1) ?? "").length + 1)}`;
    }
    if (message.includes("end of JSON")) return "it ends too early, a quote or bracket is not closed";
  }
  return "check its quotes and commas (comments are not allowed)";
}

function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown error";
}
