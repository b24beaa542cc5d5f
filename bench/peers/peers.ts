import type { FanOutPeer } from "../support/fan-out-server.ts";
import { bun } from "./bun.ts";
import { centrifugo } from "./centrifugo.ts";
import { mercure } from "./mercure.ts";
import { nats } from "./nats.ts";
import { nodeHttp } from "./node-http.ts";
import { socketIo } from "./socket-io.ts";
import { ws } from "./ws.ts";

/** What ours and the floor are compared with. */
export const PEERS: readonly FanOutPeer[] = [ws, nodeHttp, socketIo, bun, nats, centrifugo, mercure];
