export { createClient } from "./client.ts";
export { PaperDBError, type PaperDBErrorOptions } from "./paperdb-error.ts";
export type * from "./types.ts";
