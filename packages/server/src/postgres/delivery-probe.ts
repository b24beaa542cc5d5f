import { randomBytes } from "node:crypto";
import { escapeIdentifier } from "pg";
import { closeConnection, openConnection } from "./connection.ts";
import type { Connection, ConnectionOptions } from "./connection.ts";
import { TimeLimitError, within } from "../timing/within.ts";

/** The URL leads to a pooler that accepts LISTEN and delivers nothing. */
export class NotifySwallowedError extends Error {
  override readonly name = "NotifySwallowedError";
}

/**
 * Proves that a NOTIFY of somebody else arrives on this connection. A pooler in
 * transaction mode (PgBouncer) accepts LISTEN and delivers nothing; it may well
 * deliver a NOTIFY of the same connection, hence a second one.
 *
 * @throws {NotifySwallowedError} it does not arrive within `probeTimeoutMs`.
 */
export async function proveDelivery(
  listening: Connection,
  options: ConnectionOptions & { readonly probeTimeoutMs: number },
): Promise<void> {
  const channel = `flc_rt_probe_${randomBytes(8).toString("hex")}`;
  await within(
    options.connectTimeoutMs,
    listening.run(`LISTEN ${escapeIdentifier(channel)}`),
    options.signal,
  );
  const { arrived, stop } = notificationOn(listening, channel);
  try {
    const notifying = await openConnection(options);
    try {
      await within(
        options.connectTimeoutMs,
        notifying.run(`NOTIFY ${escapeIdentifier(channel)}`),
        options.signal,
      );
      await within(options.probeTimeoutMs, arrived, options.signal);
    } finally {
      await closeConnection(notifying, 1_000);
    }
  } catch (error) {
    if (!(error instanceof TimeLimitError)) throw error;
    throw new NotifySwallowedError(
      "A NOTIFY sent through this database URL does not arrive: the URL leads to a connection pooler " +
        "(such as PgBouncer in transaction mode) that swallows notifications. " +
        "Use a direct URL of the PostgreSQL server, or a pooler in session mode.",
      { cause: error },
    );
  } finally {
    stop();
  }
  await within(
    options.connectTimeoutMs,
    listening.run(`UNLISTEN ${escapeIdentifier(channel)}`),
    options.signal,
  );
}

function notificationOn(
  connection: Connection,
  channel: string,
): { readonly arrived: Promise<void>; readonly stop: () => void } {
  const { promise, resolve } = deferred();
  const check = (message: { channel: string }): void => {
    if (message.channel === channel) resolve();
  };
  connection.client.on("notification", check);
  return { arrived: promise, stop: () => connection.client.off("notification", check) };
}

// Node 20 has no Promise.withResolvers.
function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolvePromise: (() => void) | undefined;
  const promise = new Promise<void>((resolve) => {
    resolvePromise = resolve;
  });
  return { promise, resolve: () => resolvePromise?.() };
}
