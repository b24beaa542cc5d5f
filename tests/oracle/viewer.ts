import type { JsonValue } from "../../packages/server/src/filter/json-value.ts";
import { naiveMatch, type RawFilter } from "../support/filters.ts";
import { isSameJson, shownOf, type Image } from "./image.ts";
import type { Journal } from "./journal.ts";
import type { CollectionPlan, SubscriberPlan } from "./plan.ts";

/** A document as a subscriber got it. */
export interface DeliveredDocument {
  readonly documentId: string;
  readonly document: Readonly<Record<string, unknown>>;
}

/** What a subscriber may see of a collection, by the plainest reading of the rules. */
export class Viewer {
  readonly collection: CollectionPlan;
  readonly #tenant: string;
  readonly #wanted: RawFilter;
  readonly #granted: readonly RawFilter[];

  constructor({ tenant, where, grant }: SubscriberPlan, collection: CollectionPlan) {
    this.collection = collection;
    this.#tenant = tenant;
    this.#wanted = where ?? {};
    this.#granted = [grant.keyWhere ?? {}, grant.token?.filter ?? {}];
  }

  /** Grants judge the whole document, a client's filter what it could see of it. */
  sees(image: Image): boolean {
    return (
      image.tenant === this.#tenant &&
      this.#granted.every((filter) => naiveMatch(filter, image.document as JsonValue)) &&
      naiveMatch(this.#wanted, shownOf(this.collection, image))
    );
  }

  /** What is wrong with a document that the subscriber got, whenever that was; undefined if nothing is. */
  objection({ documentId, document }: DeliveredDocument, journal: Journal): string | undefined {
    const image = journal.image(Number(document["mark"]));
    if (image === undefined) return `a document that was never written: ${excerpt(document)}`;
    if (image.tenant !== this.#tenant)
      return `a document of the tenant ${String(image.tenant)}: ${excerpt(document)}`;
    if (!this.sees(image)) return `a document outside its filters: ${excerpt(document)}`;
    if (image.documentId !== documentId) return `the id ${documentId} for ${image.documentId}`;
    const shown = shownOf(this.collection, image);
    if (isSameJson(shown, document)) return undefined;
    return `another document than was written: ${excerpt(document)} for ${excerpt(shown)}`;
  }
}

const EXCERPT_LENGTH = 600;

function excerpt(document: object): string {
  return JSON.stringify(document, (_, value: unknown) =>
    typeof value === "string" && value.length > 100
      ? `${value.slice(0, 20)}…(${String(value.length)})`
      : value,
  ).slice(0, EXCERPT_LENGTH);
}
