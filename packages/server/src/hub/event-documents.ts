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
    this.#currentWithHidden = withHidden(this.#current, hidden);
    this.#priorWithHidden = withHidden(this.#prior, priorHidden);
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

function withHidden(document: Lazy, hidden: string | undefined): Lazy {
  if (hidden === undefined) return document;
  return new Lazy(() => {
    const { value } = document;
    if (!isObject(value)) return value;
    const added: unknown = JSON.parse(hidden);
    // A spread makes own members of all names, whatever they are.
    return isObject(added) ? { ...value, ...added } : value;
  });
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
