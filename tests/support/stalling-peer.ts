import type {
  DeliveryTarget,
  EndReason,
  FrameWriter,
  Greeting,
} from "../../packages/server/src/hub/delivery.ts";
import type { Subscription } from "../../packages/server/src/hub/subscription.ts";

/** A peer that reads, or does not. What it does not read fills its socket. */
export abstract class StallingPeer implements DeliveryTarget, FrameWriter {
  reads = true;
  ended: EndReason | undefined;
  subscription: Subscription | undefined;
  #isFull = false;

  /** Something else on its connection was not read. */
  fill(): void {
    this.reads = false;
    this.#isFull = true;
  }

  get writer(): this {
    return this;
  }

  get keepsUp(): boolean {
    return this.reads || !this.#isFull;
  }

  write(frames: Buffer): boolean {
    this.take(frames);
    this.#isFull = !this.reads;
    return this.reads;
  }

  end(reason: EndReason): void {
    this.ended = reason;
  }

  abstract greet(greeting: Greeting): boolean;
  /** Something has come. */
  protected abstract take(frames: Buffer): void;
}
