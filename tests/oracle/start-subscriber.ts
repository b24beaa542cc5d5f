import { ListSubscriber } from "./list-subscriber.ts";
import { SdkSubscriber } from "./sdk-subscriber.ts";
import { SseSubscriber } from "./sse-subscriber.ts";
import type { Subscriber, SubscriberTools } from "./subscriber.ts";

/** Starts a subscriber of the kind that its plan says. */
export function startSubscriber(tools: SubscriberTools): Promise<Subscriber> {
  const { client } = tools.plan;
  if (client === "sdk") return SdkSubscriber.start(tools);
  if (client === "list") return ListSubscriber.start(tools);
  return Promise.resolve(new SseSubscriber(tools));
}
