import { alternatives, describeType, environmentSettings, settings } from "./settings.ts";
import type { SettingNode } from "./settings.ts";

const INTRODUCTION = `# Configuration

Settings are read once, at start: built-in defaults, then the file, then the environment, which wins. The file is
\`paperdb.config.json\` in the working folder, or the one that \`PAPERDB_CONFIG\` names; it may be absent. Its keys are those
below, nested as their names say: \`history.maxAgeMs\` is \`{"history": {"maxAgeMs": 300000}}\`. A key that is not known, or a value that
does not fit, ends the start with a line that says what to change.

This page is made from the schema that validates; a test compares them.

\`\`\`json
{
  "port": 4000,
  "sources": [
    {
      "kind": "postgres",
      "url": "postgres://app@db.example.com/app",
      "collections": {
        "todos": { "table": "public.todos", "tenantColumn": "org_id", "hide": ["internal_note"] }
      }
    },
    {
      "kind": "mongodb",
      "url": "mongodb://app@mongo-1.example.com,mongo-2.example.com/app?replicaSet=rs0",
      "collections": {
        "messages": { "collection": "messages", "tenantField": "orgId", "hide": ["internalNote"] }
      }
    }
  ],
  "plans": { "pro": { "maxConnections": 500 } }
}
\`\`\`
`;

/** The text of docs/configuration.md. */
export function renderConfigurationDoc(): string {
  const top = Object.entries(settings.properties ?? {});
  const simple = top.filter(([, node]) => !isGroup(node)).flatMap(([key, node]) => renderSetting(key, node));
  const groups = top.filter(([, node]) => isGroup(node)).map(([key, node]) => renderGroup(key, node));
  return [INTRODUCTION, "## General\n", ...simple, "", groups.join("\n")].join("\n");
}

/** The environment variables, for `--help`. */
export function renderEnvironmentHelp(): string {
  const file = { env: "PAPERDB_CONFIG", text: "The configuration file. (default: paperdb.config.json)" };
  const variables = environmentSettings.map(({ env, node }) => ({
    env,
    text:
      (node.description ?? "") +
      (node.default === undefined
        ? ""
        : ` (default: ${typeof node.default === "string" ? node.default : JSON.stringify(node.default)})`),
  }));
  const width = Math.max(...variables.map(({ env }) => env.length)) + 2;
  const lines = [...variables, file].map(
    ({ env, text }) => `  ${env.padEnd(width)}${text.replaceAll("`", "")}`,
  );
  return ["Environment variables:", ...lines].join("\n");
}

function isGroup(node: SettingNode): boolean {
  return (
    node.properties !== undefined || alternatives(node.items).some((item) => item.properties !== undefined)
  );
}

function renderGroup(key: string, node: SettingNode): string {
  return [`## ${key}\n`, `${node.description ?? ""}\n`, ...renderMembers(key, node), ""].join("\n");
}

function renderMembers(path: string, node: SettingNode): readonly string[] {
  if (node.items?.oneOf !== undefined) {
    return node.items.oneOf.flatMap((item, index) => [
      ...(index === 0 ? [] : [""]),
      `Of kind ${kindOf(item)}:\n`,
      ...renderMembers(`${path}[]`, item),
    ]);
  }
  if (node.items?.properties !== undefined) return renderMembers(`${path}[]`, node.items);
  return Object.entries(node.properties ?? {}).flatMap(([key, member]) =>
    renderSetting(`${path}.${key}`, member),
  );
}

function kindOf(node: SettingNode): string {
  const constants = Object.values(node.properties ?? {}).flatMap((member) => member.const ?? []);
  return constants.map((value) => `\`${value}\``).join(", ");
}

function renderSetting(path: string, node: SettingNode): readonly string[] {
  if (node.properties !== undefined) return renderMembers(path, node);
  const facts = [describeType(node)];
  if (node.default !== undefined) facts.push(`default \`${JSON.stringify(node.default)}\``);
  if (node.env !== undefined) facts.push(`environment \`${node.env}\``);
  const line = `- \`${path}\` (${facts.join(", ")}): ${node.description ?? ""}`;
  const values = typeof node.additionalProperties === "object" ? node.additionalProperties : undefined;
  return values === undefined ? [line] : [line, ...renderMembers(`${path}.<name>`, values)];
}
