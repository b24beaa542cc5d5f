import type { SUBPROTOCOL as Subprotocol } from "@paperdb/protocol";

/** As the protocol has it: another one does not compile. */
export const SUBPROTOCOL: typeof Subprotocol = "paperdb.v1";

const TOKEN_EXPIRED = 4001;
/** Codes by which a peer says that the other one is wrong: it would be so again. */
const OWN_FAULT: ReadonlySet<number> = new Set([1002, 1003, 1007, 1008, 1009]);

/** What the close of a socket means for the connection. */
export type CloseKind = "lost" | "expired" | "refused";

/** Reads a close code. */
export function closeKind(code: number): CloseKind {
  if (code === TOKEN_EXPIRED) return "expired";
  return OWN_FAULT.has(code) || (code >= 4000 && code < 4100) ? "refused" : "lost";
}
