import { createHash, timingSafeEqual } from "node:crypto";
import { RealtimeError } from "@paperdb/protocol";
import type { FastifyRequest } from "fastify";
import { readBearer } from "../../auth/credential.ts";

/** A check that a request carries the admin key, which takes as long for a wrong key as for a nearly right one. */
export function adminKeyCheck(adminKey: string): (request: FastifyRequest) => void {
  const expected = digest(adminKey);
  return ({ headers }) => {
    const given = readBearer(headers);
    if (given === undefined) {
      throw new RealtimeError("unauthorized", 'Send the admin key: "Authorization: Bearer …".');
    }
    if (!timingSafeEqual(digest(given), expected)) {
      throw new RealtimeError(
        "unauthorized",
        "This is not the admin key: it is PAPERDB_ADMIN_KEY or, without one, in the file admin-key of the data folder.",
      );
    }
  };
}

/** Digests have one length, as the comparison needs. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
