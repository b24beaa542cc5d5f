import { VERSION } from "./server.ts";

process.stdout.write(`paperdb-realtime ${VERSION}\n`);
