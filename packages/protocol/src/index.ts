export * from "./change-event.ts";
export * from "./cursor.ts";
export * from "./errors.ts";
export * from "./topic.ts";
export * from "./websocket.ts";
