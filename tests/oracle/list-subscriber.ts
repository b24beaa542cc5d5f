import type { Client, DocumentList } from "paperdb";
import type { TcpProxy } from "../support/proxy.ts";
import { Observations } from "./observations.ts";
import type { SubscriberPlan } from "./plan.ts";
import { connectSdk } from "./sdk-subscriber.ts";
import type { Subscriber, SubscriberTools } from "./subscriber.ts";
import type { Viewer } from "./viewer.ts";

/** A list of the SDK: it shows nothing but states that there were, one after the other. */
export class ListSubscriber implements Subscriber {
  readonly plan: SubscriberPlan;
  readonly viewer: Viewer | undefined;
  readonly observations: Observations = new Observations();
  readonly violations: string[] = this.observations.violations;
  readonly #client: Client;
  readonly #proxy: TcpProxy;
  readonly #list: DocumentList<Record<string, unknown>>;
  readonly #judged = new Set<number>();

  private constructor(
    { plan, viewer, journal }: SubscriberTools,
    { client, proxy }: Awaited<ReturnType<typeof connectSdk>>,
  ) {
    this.plan = plan;
    this.viewer = viewer;
    this.#client = client;
    client.realtime.onStatus((status, error) => {
      this.observations.add({ kind: "note", text: `${status} ${error?.message ?? ""}` });
    });
    this.#proxy = proxy;
    this.#list = client.realtime.list(plan.collection ?? "", {
      where: plan.where,
      onChange: (documents) => {
        for (const document of documents) {
          const mark = Number(document["mark"]);
          if (this.#judged.has(mark)) continue;
          this.#judged.add(mark);
          const documentId = journal.image(mark)?.documentId ?? "";
          const objection = viewer?.objection({ documentId, document }, journal);
          if (objection !== undefined) this.violations.push(objection);
        }
        this.observations.add({ kind: "list", marks: documents.map(({ mark }) => Number(mark)) });
      },
      onStatus: (status) => {
        if (status === "ended") this.violations.push("the list has ended");
      },
      onError: (error) => this.violations.push(`${error.code}: ${error.message}`),
    });
    this.#documentIds = (mark) => journal.image(mark)?.documentId ?? "";
  }

  readonly #documentIds: (mark: number) => string;

  static async start(tools: SubscriberTools): Promise<ListSubscriber> {
    return new ListSubscriber(tools, await connectSdk(tools.access));
  }

  held(): ReadonlyMap<string, number> | undefined {
    if (!this.#list.isLoaded) return undefined;
    return new Map(
      this.#list.current.map(({ mark }) => [this.#documentIds(Number(mark)), Number(mark)] as const),
    );
  }

  async leave(): Promise<void> {
    await this.#proxy.cut();
  }

  async comeBack(): Promise<void> {
    await this.#proxy.mend();
  }

  async close(): Promise<void> {
    this.#client.close();
    await this.#proxy.close();
  }
}
