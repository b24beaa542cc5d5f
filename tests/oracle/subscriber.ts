import type { GetToken } from "paperdb";
import type { Journal } from "./journal.ts";
import type { Observations } from "./observations.ts";
import type { SubscriberPlan } from "./plan.ts";
import type { Viewer } from "./viewer.ts";

/** How a subscriber reaches the server, and what it shows there. */
export interface Access {
  /** The same for as long as the world lasts, whichever server stands behind it. */
  readonly url: string;
  /** A key or a token. */
  fetchCredential(signal: AbortSignal): Promise<string>;
  /** What the SDK takes instead. */
  sdkCredential(): { readonly apiKey: string } | { readonly getToken: GetToken };
}

/** A subscriber that runs: it comes back by itself whenever it was disconnected. */
export interface Subscriber {
  readonly plan: SubscriberPlan;
  /** Undefined: of topics. */
  readonly viewer: Viewer | undefined;
  readonly observations: Observations;
  /** What was wrong with what it got, or with how it was answered. */
  readonly violations: readonly string[];
  /** Documents as a client holds them now, id → mark; undefined where it keeps none. */
  held(): ReadonlyMap<string, number> | undefined;
  /** Leaves without a goodbye, and stays away until {@link comeBack}. */
  leave(): Promise<void>;
  comeBack(): Promise<void>;
  close(): Promise<void>;
}

/** What subscribers are made from. */
export interface SubscriberTools {
  readonly plan: SubscriberPlan;
  readonly viewer: Viewer | undefined;
  readonly access: Access;
  readonly journal: Journal;
}
