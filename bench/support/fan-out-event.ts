import { SEQUENCE_PLACEHOLDER } from "./fan-out-server.ts";

/** The topic that all servers are published to, or what they call it. */
export const FAN_OUT_TOPIC = "bench.tick";

/** Of an event's data, as JSON. */
export const EVENT_DATA_BYTES = 300;

const EMPTY = JSON.stringify({ pad: "", seq: SEQUENCE_PLACEHOLDER });

/** An event's data, the same for all servers, with the placeholder of its sequence at the end. */
export const EVENT_DATA: string = JSON.stringify({
  pad: "x".repeat(EVENT_DATA_BYTES - EMPTY.length),
  seq: SEQUENCE_PLACEHOLDER,
});
