import { eventName } from "./expected-events.ts";
import type { Journal } from "./journal.ts";
import { Observations } from "./observations.ts";
import type { SubscriberPlan } from "./plan.ts";
import type { SubscriberTools } from "./subscriber.ts";
import type { DeliveredDocument, Viewer } from "./viewer.ts";

/** A change or a topic's event, as a message carries it. */
export interface DeliveredEvent extends Partial<DeliveredDocument> {
  readonly type?: string;
  readonly topic?: string;
  readonly data?: { readonly mark: number };
}

/** Judges at once what a subscriber gets, notes it, and keeps the documents as a client would. */
export class Receiver {
  readonly plan: SubscriberPlan;
  readonly viewer: Viewer | undefined;
  readonly observations: Observations = new Observations();
  readonly violations: string[] = this.observations.violations;
  readonly #journal: Journal;
  #held = new Map<string, number>();
  #isComplete: boolean;

  constructor({ plan, viewer, journal }: SubscriberTools) {
    this.plan = plan;
    this.viewer = viewer;
    this.#journal = journal;
    this.#isComplete = false;
  }

  /** What it holds is complete only if it began with the documents. */
  held(): ReadonlyMap<string, number> | undefined {
    return this.#isComplete ? this.#held : undefined;
  }

  protected ready(resumed: boolean): void {
    this.observations.add({ kind: "ready", resumed });
    if (!resumed) this.#isComplete = this.plan.snapshot;
  }

  protected reset(reason: string): void {
    this.observations.add({ kind: "reset", reason });
    this.forget();
  }

  /** What came so far is of no use: the documents come again. */
  protected forget(): void {
    this.#isComplete = false;
    this.#held = new Map();
  }

  protected snapshot({
    documents,
    documentIds,
  }: {
    readonly documents: readonly DeliveredDocument["document"][];
    readonly documentIds: readonly string[];
  }): void {
    if (!this.plan.snapshot) this.violations.push("documents that were not asked for");
    if (documents.length !== documentIds.length) this.violations.push("not one id for each document");
    const noted = documents.map((document, index) => {
      const documentId = documentIds[index] ?? "";
      this.#judge({ documentId, document });
      this.#held.set(documentId, Number(document["mark"]));
      return [documentId, Number(document["mark"])] as const;
    });
    this.observations.add({ kind: "snapshot", documents: noted });
  }

  protected event({ type = "published", documentId = "", document, topic, data }: DeliveredEvent): void {
    if (document !== undefined) this.#judge({ documentId, document });
    else if (topic !== "oracle.done")
      this.violations.push(`a topic that was not published: ${String(topic)}`);
    const mark = Number(document?.["mark"] ?? data?.mark);
    this.observations.add({ kind: "event", name: eventName(type, documentId, mark), documentId, mark });
    if (type === "delete") this.#held.delete(documentId);
    else this.#held.set(documentId, mark);
  }

  #judge(delivered: DeliveredDocument): void {
    const objection = this.viewer?.objection(delivered, this.#journal);
    if (objection !== undefined) this.violations.push(objection);
  }
}
