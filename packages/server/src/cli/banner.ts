import type { Demo } from "../tenants/demo.ts";

/** What a started server tells the person who started it. */
export interface BannerFacts {
  readonly url: string;
  readonly databaseUrl: string;
  readonly usesEmbedded: boolean;
  readonly dataDir: string;
  /** Set on the first start on an embedded database. */
  readonly demo: Demo | undefined;
}

/** The text that a start prints. Keys and the password are in it on the first start only. */
export function renderBanner(facts: BannerFacts): string {
  const url = reachableUrl(facts.url);
  const lines = facts.demo === undefined ? laterStart(facts, url) : firstStart(facts, facts.demo, url);
  return `\n${[`PaperDB Realtime is running on ${url}`, "", ...lines].map((line) => `  ${line}`.trimEnd()).join("\n")}\n\n`;
}

function firstStart(facts: BannerFacts, demo: Demo, url: string): readonly string[] {
  return [
    `Tenant "${demo.tenant}" was made, with a table "todos". Its keys are shown this once:`,
    `  anon key (browsers)   ${demo.anonKey}`,
    `  secret key (backend)  ${demo.secretKey}`,
    `  database              ${facts.databaseUrl}`,
    "",
    "Watch its changes:",
    `  curl -N "${url}/v1/events/subscribe?collection=todos" -H "apikey: ${demo.anonKey}"`,
    "",
    "Write to the database with any PostgreSQL client, or a row a second with:",
    "  npm run demo:write",
  ];
}

function laterStart(facts: BannerFacts, url: string): readonly string[] {
  const database = facts.usesEmbedded
    ? [
        `database      ${withoutPassword(facts.databaseUrl)} (its password is in ${facts.dataDir}/pg-password, unless you set it)`,
      ]
    : [];
  return [
    ...database,
    "new tenant    npx paperdb-realtime tenants create <tenant>",
    "new key       npx paperdb-realtime keys create <tenant>",
    `subscribe     curl -N "${url}/v1/events/subscribe?collection=<table>" -H "apikey: <key>"`,
  ];
}

/** "Every address" is none that a client can connect to. */
function reachableUrl(url: string): string {
  return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
}

function withoutPassword(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  url.password = "";
  return url.href;
}
