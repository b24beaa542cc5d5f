import { createHash } from "node:crypto";
import type { QualifiedName } from "../../postgres/identifier.ts";

/** TRUNCATEs, and changes that could not be attributed to a tenant. Always LISTENed. */
export const CONTROL_CHANNEL = "flc_rt_control";

/** What `paperdb.publish` sends. Always LISTENed. */
export const PUBLISH_CHANNEL = "flc_rt_publish";

/** What the hash of a table's channels begins with. */
export function channelPrefix(name: QualifiedName): string {
  return `${name.schema}.${name.table}:`;
}

/**
 * The channel of one tenant's changes of one table. Ambiguous (`a:b` + `c` and
 * `a` + `b:c` share one): what arrives must still be checked.
 */
export function notifyChannel(name: QualifiedName, tenant: string): string {
  return `flc_rt_${createHash("md5")
    .update(channelPrefix(name) + tenant)
    .digest("hex")}`;
}
