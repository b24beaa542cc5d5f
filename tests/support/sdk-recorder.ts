import type { PaperDBError, SubscriptionCallbacks, SubscriptionStatus } from "paperdb";

/** What a subscription of the SDK was told, in order. */
export class SdkRecorder<Event> {
  readonly events: Event[] = [];
  readonly resets: string[] = [];
  readonly statuses: SubscriptionStatus[] = [];
  /** Of each `live`, whether it resumed. */
  readonly resumed: boolean[] = [];
  readonly errors: PaperDBError[] = [];

  readonly listener = (event: Event): void => {
    this.events.push(event);
  };

  readonly options: SubscriptionCallbacks = {
    onReset: ({ reason }) => this.resets.push(reason),
    onStatus: (status, { resumed }) => {
      this.statuses.push(status);
      if (status === "live") this.resumed.push(resumed);
    },
    onError: (error) => this.errors.push(error),
  };

  get status(): SubscriptionStatus | undefined {
    return this.statuses.at(-1);
  }

  get isLive(): boolean {
    return this.status === "live";
  }
}
