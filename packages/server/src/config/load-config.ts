import { resolve } from "node:path";
import { ConfigError } from "./config-error.ts";
import { readConfigFile } from "./config-file.ts";
import { explainIssue } from "./explain-issue.ts";
import { configSchema } from "./schema.ts";
import type { ConfigInput, ParsedConfig } from "./schema.ts";
import { environmentSettings } from "./settings.ts";
import type { EnvironmentSetting } from "./settings.ts";
import { resolveSources } from "./sources.ts";
import type { SourceConfig } from "./sources.ts";

/** What the server runs with: validated, complete, frozen in depth. */
export interface Config extends DeepReadonly<Omit<ParsedConfig, "sources" | "databaseUrl" | "mongodbUrl">> {
  /** Absolute. */
  readonly dataDir: string;
  /** At least one. */
  readonly sources: readonly SourceConfig[];
  /** The PostgreSQL database with tenants and keys: the first source's of that kind, or `"embedded"`. */
  readonly tenantsUrl: string;
}

/** The settings of one plan. */
export type PlanConfig = Config["plans"]["pro"];

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

/**
 * The configuration: built-in defaults, then the file, then the environment, then `overrides`.
 *
 * @param env - usually `process.env`; empty variables count as absent.
 * @param cwd - what relative paths start from.
 * @throws {ConfigError} one line that names the key and the fix.
 */
export function loadConfig(env: Environment, cwd: string, overrides: ConfigInput = {}): Config {
  const file = readConfigFile(nonEmpty(env["PAPERDB_CONFIG"]), cwd);
  const fromEnvironment = readEnvironment(env);
  const parsed = configSchema.safeParse({ ...file.content, ...fromEnvironment, ...overrides });
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const origins = { file: file.name, fromEnvironment: new Set(Object.keys(fromEnvironment)) };
    throw new ConfigError(issue === undefined ? `${file.name}: is not valid.` : explainIssue(issue, origins));
  }
  const { sources: listed, databaseUrl, mongodbUrl, ...rest } = parsed.data;
  const sources = resolveSources(listed, { databaseUrl, mongodbUrl }, file.name);
  return deepFreeze({
    ...rest,
    dataDir: resolve(cwd, rest.dataDir),
    sources,
    tenantsUrl: sources.find(({ kind }) => kind === "postgres")?.url ?? "embedded",
  });
}

function readEnvironment(env: Environment): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = {};
  for (const setting of environmentSettings) {
    const text = nonEmpty(env[setting.env]);
    if (text !== undefined) values[setting.key] = fromText(setting, text);
  }
  return values;
}

function fromText({ node }: EnvironmentSetting, text: string): string | number {
  return node.type === "integer" && /^\d{1,15}$/.test(text) ? Number(text) : text;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    for (const part of Object.values(value)) deepFreeze(part);
    Object.freeze(value);
  }
  return value;
}
