import { z } from "zod";
import { bytes } from "./ranges.ts";

/** How events are compressed. */
export const compressionSchema = z
  .strictObject({
    enabled: z
      .boolean()
      .default(false)
      .describe(
        "Whether clients that can read it get their events compressed: gzip on SSE, `permessage-deflate` on WebSocket.",
      ),
    minBytes: bytes(1024, 1).describe(
      "What has fewer bytes is sent as it is: an event on WebSocket, all that is written at once on SSE.",
    ),
    level: z
      .int()
      .min(1)
      .max(9)
      .default(1)
      .describe("How much to try, from 1 to 9: less to send for more CPU time."),
    maxTimePercent: z
      .int()
      .min(1)
      .max(100)
      .default(25)
      .describe(
        "The share of the time, in percent, that may be spent on compressing; what exceeds it is sent as it is.",
      ),
  })
  .prefault({})
  .describe("Compression, made once for all clients that get the same.");
