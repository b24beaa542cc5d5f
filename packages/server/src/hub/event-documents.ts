import type { SourceEvent } from "../source/change-source.ts";
import type { EventDocuments } from "./delivery.ts";

/** The documents of one event, each parsed when it is first asked for. */
export class ParsedDocuments implements EventDocuments {
  readonly #body: SourceEvent["body"];
  #current: unknown;
  #prior: unknown;
  #hasCurrent = false;
  #hasPrior = false;

  constructor({ body }: SourceEvent) {
    this.#body = body;
  }

  get current(): unknown {
    if (!this.#hasCurrent) {
      this.#hasCurrent = true;
      this.#current = currentOf(this.#body);
    }
    return this.#current;
  }

  get prior(): unknown {
    if (!this.#hasPrior) {
      this.#hasPrior = true;
      this.#prior = priorOf(this.#body);
    }
    return this.#prior;
  }
}

function currentOf(body: SourceEvent["body"]): unknown {
  if ("topic" in body) return { topic: body.topic };
  return body.type === "delete" ? undefined : JSON.parse(body.document);
}

function priorOf(body: SourceEvent["body"]): unknown {
  if ("topic" in body) return undefined;
  const prior = body.type === "delete" ? body.document : body.prior;
  return prior === undefined ? undefined : JSON.parse(prior);
}
