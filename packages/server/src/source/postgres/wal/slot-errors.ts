/** The slot cannot be had now; the message says why, and it is tried again. */
export class SlotUnavailableError extends Error {
  override readonly name = "SlotUnavailableError";
}

/** What is told while another server streams from the slot. */
export function inUse(slot: string): string {
  return `The replication slot "${slot}" is in use by another server: this one takes over when it ends. To run both, give one of them another "slot".`;
}
