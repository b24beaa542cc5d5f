import { createParser, type EventSourceMessage } from "eventsource-parser";

/** What came over an event stream: an event, or the cursor of a quiet client, which comes alone. */
export type SseItem = { readonly event: EventSourceMessage } | { readonly cursor: string };

const CURSOR_ALONE = /^id: (.*)\n\n$/;

/** Reads an event stream by whole blocks, so that what is cut off in the middle counts as not received. */
export class SseBlocks {
  readonly #onItem: (item: SseItem) => void;
  readonly #parser: ReturnType<typeof createParser>;
  #parts: string[] = [];

  constructor(onItem: (item: SseItem) => void) {
    this.#onItem = onItem;
    this.#parser = createParser({ onEvent: (event) => onItem({ event }) });
  }

  feed(text: string): void {
    const end = text.lastIndexOf("\n\n");
    const last = this.#parts.at(-1) ?? "";
    // The blank line may have been cut in two.
    const isSplit = end < 0 && last.endsWith("\n") && text.startsWith("\n");
    const cut = isSplit ? 1 : end + 2;
    if (end < 0 && !isSplit) {
      this.#parts.push(text);
      return;
    }
    const whole = this.#parts.join("") + text.slice(0, cut);
    this.#parts = [text.slice(cut)];
    for (const block of whole.split(/(?<=\n\n)/)) this.#take(block);
  }

  #take(block: string): void {
    const [, cursor] = CURSOR_ALONE.exec(block) ?? [];
    if (cursor === undefined) this.#parser.feed(block);
    else this.#onItem({ cursor });
  }
}
