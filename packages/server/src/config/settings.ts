import { z } from "zod";
import { configSchema } from "./schema.ts";

/** One setting, or a group of settings: the part of JSON Schema that the configuration's schema uses. */
export interface SettingNode {
  readonly type?: string | undefined;
  readonly description?: string | undefined;
  readonly default?: unknown;
  readonly env?: string | undefined;
  readonly enum?: readonly string[] | undefined;
  readonly const?: string | undefined;
  readonly minimum?: number | undefined;
  readonly maximum?: number | undefined;
  readonly items?: SettingNode | undefined;
  readonly properties?: Readonly<Record<string, SettingNode>> | undefined;
  readonly additionalProperties?: boolean | SettingNode | undefined;
  /** Objects that a member with a `const` tells apart. */
  readonly oneOf?: readonly SettingNode[] | undefined;
}

const settingNode: z.ZodType<SettingNode> = z.lazy(() =>
  z.object({
    type: z.string().optional(),
    description: z.string().optional(),
    default: z.unknown().optional(),
    env: z.string().optional(),
    enum: z.array(z.string()).optional(),
    const: z.string().optional(),
    minimum: z.number().optional(),
    maximum: z.number().optional(),
    items: settingNode.optional(),
    properties: z.record(z.string(), settingNode).optional(),
    additionalProperties: z.union([z.boolean(), settingNode]).optional(),
    oneOf: z.array(settingNode).optional(),
  }),
);

/** The configuration's schema as data: what messages, `--help` and the documentation are made from. */
export const settings: SettingNode = settingNode.parse(z.toJSONSchema(configSchema, { io: "input" }));

/** A top-level key that an environment variable sets. */
export interface EnvironmentSetting {
  readonly key: string;
  readonly env: string;
  readonly node: SettingNode;
}

/** Every key that can be set by an environment variable. */
export const environmentSettings: readonly EnvironmentSetting[] = Object.entries(
  settings.properties ?? {},
).flatMap(([key, node]) => (node.env === undefined ? [] : [{ key, env: node.env, node }]));

/** The schemas at a path such as `["plans", "pro", "realtime"]`: one for each kind of thing that may be there. */
export function settingsAt(path: readonly PropertyKey[]): readonly SettingNode[] {
  let nodes: readonly SettingNode[] = [settings];
  for (const step of path) nodes = nodes.flatMap((node) => alternatives(child(node, step)));
  return nodes;
}

/** The objects that a setting may be, itself where it is of one kind. */
export function alternatives(node: SettingNode | undefined): readonly SettingNode[] {
  if (node === undefined) return [];
  return node.oneOf ?? [node];
}

function child(node: SettingNode, step: PropertyKey): SettingNode | undefined {
  if (typeof step === "number") return node.items;
  const named = node.properties?.[String(step)];
  if (named !== undefined) return named;
  return typeof node.additionalProperties === "object" ? node.additionalProperties : undefined;
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  boolean: "true or false",
  array: "a list",
  object: "an object",
};

/** What values a setting takes, in words: "a whole number from 0 to 65535". */
export function describeType(node: SettingNode): string {
  if (node.const !== undefined) return `"${node.const}"`;
  if (node.enum !== undefined) return node.enum.map((value) => `"${value}"`).join(" or ");
  if (node.type === "integer")
    return `a whole number from ${String(node.minimum)} to ${String(node.maximum)}`;
  return TYPE_NAMES[node.type ?? ""] ?? "text";
}

/** A path as people write it: `sources[0].collections.todos`. */
export function formatPath(path: readonly PropertyKey[]): string {
  return path
    .map((step, index) =>
      typeof step === "number" ? `[${String(step)}]` : (index > 0 ? "." : "") + String(step),
    )
    .join("");
}
