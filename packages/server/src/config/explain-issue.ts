import type { z } from "zod";
import { describeType, environmentSettings, formatPath, settingsAt, type SettingNode } from "./settings.ts";

type Issue = z.core.$ZodIssue;

/** Where a value was written, for messages. */
export interface Origins {
  /** The configuration file, as the user names it. */
  readonly file: string;
  /** Top-level keys that environment variables set. */
  readonly fromEnvironment: ReadonlySet<string>;
}

/** One line that names the key and the fix. Values are not quoted: some are secrets. */
export function explainIssue(issue: Issue, origins: Origins): string {
  if (issue.code === "unrecognized_keys") return explainUnknownKeys(issue, origins);
  return `${place(issue.path, origins)} ${requirement(issue)}.`;
}

function explainUnknownKeys(issue: z.core.$ZodIssueUnrecognizedKeys, { file }: Origins): string {
  const nodes = settingsAt(issue.path);
  // Of several kinds of thing that may be there, it is none that knows one of the keys.
  const here = nodes.filter((node) => !issue.keys.some((key) => knows(node, key)));
  const elsewhere = nodes.find((node) => kindOf(node) !== "" && issue.keys.some((key) => knows(node, key)));
  const known = [...new Set(here.flatMap(({ properties }) => Object.keys(properties ?? {})))].join(", ");
  const named = (keys: readonly string[]): string =>
    keys.map((key) => formatPath([...issue.path, key])).join(", ");
  if (elsewhere === undefined) {
    return `${file}: unknown key ${named(issue.keys)}: correct its name or remove it. Known here: ${known}.`;
  }
  const foreign = named(issue.keys.filter((key) => knows(elsewhere, key)));
  return `${file}: ${foreign} is for kind ${kindOf(elsewhere)}, and this is of kind ${here.map(kindOf).join()}: remove it. Known here: ${known}.`;
}

function knows({ properties }: SettingNode, key: string): boolean {
  return Object.hasOwn(properties ?? {}, key);
}

function kindOf({ properties }: SettingNode): string {
  const kind = properties?.["kind"];
  return kind === undefined ? "" : describeType(kind);
}

function place(path: readonly PropertyKey[], origins: Origins): string {
  const setting = environmentSettings.find(({ key }) => key === path[0]);
  if (setting !== undefined && origins.fromEnvironment.has(setting.key))
    return `The environment variable ${setting.env}`;
  return path.length === 0 ? `${origins.file}: the file` : `${origins.file}: ${formatPath(path)}`;
}

function requirement(issue: Issue): string {
  if (issue.code === "custom" || issue.code === "invalid_format") {
    return issue.message;
  }
  if (issue.code === "invalid_key") {
    return "is not a valid name: use 1 to 200 characters without control characters";
  }
  const nodes = settingsAt(issue.path);
  const [node] = nodes;
  if (issue.code === "too_small" && node?.type !== "integer") return "must not be empty";
  if (issue.code === "too_big" && node?.type !== "integer")
    return `must not have more than ${String(issue.maximum)} ${issue.origin === "array" ? "entries" : "characters"}`;
  return node === undefined ? issue.message : `must be ${[...new Set(nodes.map(describeType))].join(" or ")}`;
}
