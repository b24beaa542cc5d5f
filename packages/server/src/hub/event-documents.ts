import type { SourceEvent } from "../source/change-source.ts";
import type { EventDocuments } from "./delivery.ts";

/** A value that is made when it is first asked for. */
class Lazy {
  readonly #make: () => unknown;
  #value: unknown;
  #isMade = false;

  constructor(make: () => unknown) {
    this.#make = make;
  }

  get value(): unknown {
    if (!this.#isMade) {
      this.#value = this.#make();
      this.#isMade = true;
    }
    return this.#value;
  }
}

/** The documents of one event, each parsed when it is first asked for. */
export class ParsedDocuments implements EventDocuments {
  readonly #current: Lazy;
  readonly #prior: Lazy;
  readonly #currentWithHidden: Lazy;
  readonly #priorWithHidden: Lazy;

  constructor({ body }: SourceEvent) {
    this.#current = new Lazy(() => currentOf(body));
    this.#prior = new Lazy(() => priorOf(body));
    const { hidden, priorHidden } = "topic" in body ? {} : body;
    this.#currentWithHidden = lazyWithHidden(this.#current, hidden);
    this.#priorWithHidden = lazyWithHidden(this.#prior, priorHidden);
  }

  get current(): unknown {
    return this.#current.value;
  }

  get prior(): unknown {
    return this.#prior.value;
  }

  get currentWithHidden(): unknown {
    return this.#currentWithHidden.value;
  }

  get priorWithHidden(): unknown {
    return this.#priorWithHidden.value;
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

function lazyWithHidden(document: Lazy, hidden: string | undefined): Lazy {
  return hidden === undefined ? document : new Lazy(() => withHidden(document.value, hidden));
}

/** A document with its hidden members, a JSON object, for grants to judge. */
export function withHidden(document: unknown, hidden: string | undefined): unknown {
  if (hidden === undefined || !isObject(document)) return document;
  const added: unknown = JSON.parse(hidden);
  // A spread makes own members of all names, whatever they are.
  return isObject(added) ? { ...document, ...added } : document;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
