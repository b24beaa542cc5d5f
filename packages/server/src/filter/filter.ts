import { compile } from "./compile.ts";
import type { DocumentTest } from "./compile.ts";
import { equalityTerms } from "./equality-terms.ts";
import type { EqualityTerm } from "./equality-terms.ts";
import { conjunction, EVERYTHING } from "./filter-node.ts";
import type { FilterNode } from "./filter-node.ts";
import type { JsonValue } from "./json-value.ts";

/** Which documents somebody wants, or may see; compiled once. */
export class Filter {
  /** The normal form, for what translates it. */
  readonly node: FilterNode;
  readonly #test: DocumentTest;
  #terms: readonly EqualityTerm[] | undefined;

  constructor(node: FilterNode) {
    this.node = node;
    this.#test = compile(node);
  }

  /** Filters of one id match the same documents. */
  get id(): string {
    return this.node.id;
  }

  /** Whether it matches every document. */
  get isEmpty(): boolean {
    return this.node.id === EVERYTHING.id;
  }

  /** Equalities that every matching document fulfils, the most selective first; empty where there is none. */
  get terms(): readonly EqualityTerm[] {
    this.#terms ??= equalityTerms(this.node);
    return this.#terms;
  }

  /** How many comparisons it takes at most. */
  get comparisons(): number {
    return comparisonsOf(this.node);
  }

  /** The outermost names of the fields that it compares. */
  get fields(): ReadonlySet<string> {
    return new Set(namesOf(this.node));
  }

  /** @param document - the JSON that is delivered, parsed. */
  matches(document: JsonValue): boolean {
    return this.#test(document);
  }

  /** What matches both. */
  and(other: Filter): Filter {
    return new Filter(conjunction([this.node, other.node]));
  }
}

function comparisonsOf(node: FilterNode): number {
  switch (node.kind) {
    case "and":
    case "or":
      return node.nodes.reduce((sum, inner) => sum + comparisonsOf(inner), 0);
    case "not":
      return comparisonsOf(node.node);
    case "in":
      return node.values.length;
    case "range":
    case "exists":
      return 1;
  }
}

function namesOf(node: FilterNode): readonly string[] {
  switch (node.kind) {
    case "and":
    case "or":
      return node.nodes.flatMap(namesOf);
    case "not":
      return namesOf(node.node);
    case "in":
    case "range":
    case "exists":
      return node.path.slice(0, 1);
  }
}
