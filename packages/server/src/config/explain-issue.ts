import type { z } from "zod";
import { describeType, environmentSettings, formatPath, settingsAt } from "./settings.ts";

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

function explainUnknownKeys(issue: z.core.$ZodIssueUnrecognizedKeys, origins: Origins): string {
  const all = settingsAt(issue.path).flatMap(({ properties }) => Object.keys(properties ?? {}));
  // A key of another kind of source is known, but not here.
  const known = [...new Set(all)].filter((key) => !issue.keys.includes(key)).join(", ");
  const unknown = issue.keys.map((key) => formatPath([...issue.path, key])).join(", ");
  return `${origins.file}: unknown key ${unknown}: correct its name or remove it. Known here: ${known}.`;
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
