/** What to do about the failures that a wrong database URL ends in. */
const FIXES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there: start the database, or correct host and port",
  ENOTFOUND: "there is no such host: correct its name",
  EAI_AGAIN: "the host's name cannot be looked up: correct it, or mend the network",
  ETIMEDOUT: "it does not answer: correct host and port, or let the network through",
  EHOSTUNREACH: "there is no way to this host: correct its name, or mend the network",
  ENETUNREACH: "there is no way to this host: correct its name, or mend the network",
  ECONNRESET: "it closed the connection: see its log; it may be starting, or no PostgreSQL",
  "28P01": "the password is wrong: correct it",
  "28000": "it does not let this user in: correct the user, or its pg_hba.conf",
  "3D000": "there is no such database: create it, or correct its name",
  "53300": "it has no connection left: close some, or raise max_connections",
  "57P03": "it is starting or stopping: try again in a moment",
};

/** One sentence: which database, why it cannot be used, and the fix. Never the password. */
export function explainConnectFailure(error: unknown, url: string): string {
  const code = codeOf(error);
  const reason = FIXES[code] ?? `${messageOf(error)}: correct its URL`;
  return `The database ${describeDatabase(url)} cannot be used: ${reason} (DATABASE_URL, or sources in the configuration).`;
}

function describeDatabase(url: string): string {
  if (!URL.canParse(url)) return "of the configuration";
  const { hostname, port, pathname, username } = new URL(url);
  const user = username === "" ? "" : ` as user ${decode(username)}`;
  const server = `${decode(hostname)}:${port === "" ? "5432" : port}`;
  return `"${decode(pathname.slice(1))}" at ${server}${user}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // Not percent-encoded.
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : "";
  return message === "" ? "it does not answer" : message.split("\n", 1).join("");
}
