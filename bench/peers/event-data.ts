import { SEQUENCE_PLACEHOLDER } from "../support/fan-out-server.ts";

const DATA_BYTES = 300;
const PAD_BYTES = DATA_BYTES - JSON.stringify({ pad: "", seq: SEQUENCE_PLACEHOLDER }).length;

/** What every server is given to deliver: 300 bytes of JSON with the number of the event in it. */
export const EVENT_DATA: string = JSON.stringify({ pad: "x".repeat(PAD_BYTES), seq: SEQUENCE_PLACEHOLDER });
