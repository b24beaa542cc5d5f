import { pino, type Logger } from "pino";

/** JSON lines on stdout. What could carry a key or a document is never passed in; headers are cut out all the same. */
export function createLogger(level: string): Logger {
  return pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: ["req.headers", "headers.apikey", "headers.authorization"],
  });
}
