import { isTopic } from "@paperdb/protocol";

/**
 * What the capture functions send, and the reading of it.
 *
 * A message is a header, a JSON array on one line, a line feed, and a body, the row
 * as PostgreSQL writes it: `["u",<ms>,"<txid>.<seq>",<table oid>,"<tenant>","<document id>",<1 if composite>]`.
 * The body of an update may be followed by {@link PRIOR_SEPARATOR} and the row before it.
 * Kinds: `i` insert, `u` update, `d` delete, `p` publish (the topic in place of the document id), `x` lost.
 * It travels in one notification; in contiguous base64 chunks `#<txid>.<seq>:<i>:<n>:<data>`;
 * or as a row of the outbox, `@<id>`.
 */
export type Message = CaptureMessage | LostMessage;

/** One change, or one published event. */
export interface CaptureMessage {
  readonly kind: "i" | "u" | "d" | "p";
  readonly sentAtMs: number;
  /** The number of the transaction that sent it. */
  readonly transaction: number;
  readonly tableOid: number;
  readonly tenant: string;
  /** The document id, or the topic. */
  readonly subject: string;
  /** Whether the document id is a JSON array of several columns. */
  readonly composite: boolean;
  readonly body: string;
  /** The row before an update, where it was asked for. */
  readonly prior?: string;
}

/** A change that is not delivered: the channel is to be reset. */
interface LostMessage {
  readonly kind: "x";
  readonly tableOid: number;
  readonly tenant: string;
}

/** The longest notification is 7,999 bytes; some are left for servers with another layout. */
export const MAX_INLINE_BYTES = 7_900;

/** As base64, with its line feeds and the chunk's own header, this fits a notification. */
export const CHUNK_BYTES = 5_850;

/** Stands nowhere in a JSON text: JSON's record separator. */
export const PRIOR_SEPARATOR = "\u001e";

/** What can be a tenant: 1 to 200 code points without control characters and halves of characters. */
const TENANT_ID = /^[^\p{Cc}\p{Cs}]{1,200}$/u;

const LINE_FEED = "\n";

const CONTROL_REASONS = ["truncated", "capture_failed", "recaptured"] as const;

/**
 * @param trusted - from the outbox, where only capture functions write: its body is not checked.
 * @returns undefined for whatever a capture function cannot have sent: any role can NOTIFY.
 */
export function parseMessage(text: string, trusted = false): Message | undefined {
  const headerEnd = text.indexOf(LINE_FEED);
  const header = parseArray(headerEnd === -1 ? text : text.slice(0, headerEnd));
  if (header?.length !== 7) return undefined;
  const [kind, sentAtMs, number, tableOid, tenant, subject, composite] = header;
  if (!isNumber(sentAtMs) || !isNumber(tableOid)) return undefined;
  if (typeof tenant !== "string" || typeof subject !== "string") return undefined;
  if (kind === "x") return { kind, tableOid, tenant };
  if (kind !== "i" && kind !== "u" && kind !== "d" && kind !== "p") return undefined;
  const transaction = transactionOf(number);
  // Functions of before a snapshot could be taken: what one saw of this change could not be told.
  if (transaction === undefined && kind !== "p") return { kind: "x", tableOid, tenant };
  if (kind === "p" && !(TENANT_ID.test(tenant) && isTopic(subject))) return undefined;
  // Else a text that is no JSON would be read as some.
  if (composite === 1 && kind !== "p" && !(subject.startsWith("[") && isJson(subject))) return undefined;
  const sent = headerEnd === -1 ? "" : text.slice(headerEnd + 1);
  const [body, prior] = kind === "u" ? splitOnce(sent, PRIOR_SEPARATOR) : [sent];
  if (!trusted && !(isBody(body, kind) && (prior === undefined || isBody(prior, kind)))) return undefined;
  return {
    kind,
    sentAtMs,
    transaction: transaction ?? 0,
    tableOid,
    tenant,
    subject,
    composite: composite === 1,
    body,
    ...(prior === undefined ? {} : { prior }),
  };
}

function splitOnce(text: string, separator: string): readonly [before: string, after?: string] {
  const place = text.indexOf(separator);
  return place === -1 ? [text] : [text.slice(0, place), text.slice(place + separator.length)];
}

function transactionOf(number: unknown): number | undefined {
  const [, transaction] = (typeof number === "string" && /^(\d{1,20})\.\d{1,20}$/.exec(number)) || [];
  return transaction === undefined ? undefined : Number(BigInt(transaction) & 0xffff_ffffn);
}

/** Why changes of a whole table were missed; `recaptured`: its triggers had to be put in place, again perhaps. */
export interface ControlMessage {
  readonly reason: (typeof CONTROL_REASONS)[number];
  readonly tableOid: number;
}

/** @returns undefined for what is not a control message. */
export function parseControlMessage(text: string): ControlMessage | undefined {
  const header = parseArray(text);
  if (header?.length !== 2) return undefined;
  const [word, tableOid] = header;
  const reason = CONTROL_REASONS.find((known) => known === word);
  return reason === undefined || !isNumber(tableOid) ? undefined : { reason, tableOid };
}

/** The payload of a control message. */
export function controlPayload({ reason, tableOid }: ControlMessage): string {
  return JSON.stringify([reason, tableOid]);
}

function parseArray(text: string): readonly unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined; // Forged, or of another program: the caller counts it.
  }
}

function isBody(body: string, kind: "i" | "u" | "d" | "p"): boolean {
  return (kind === "p" || body.startsWith("{")) && isJson(body);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false; // As above.
  }
}

function isNumber(value: unknown): value is number {
  return typeof value === "number";
}
