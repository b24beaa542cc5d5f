import type { AnyDocument } from "./listener.ts";
import type { Subscriptions } from "./subscriptions.ts";
import type { DocumentList, ListOptions, SubscriptionStatus } from "./types.ts";

/** Opens a list. The subscription, which all lists of the same share, keeps the documents. */
export function openList(
  subscriptions: Subscriptions,
  name: string,
  options: ListOptions<AnyDocument>,
): DocumentList<AnyDocument> {
  const { compare, onChange, onStatus } = options;
  const listeners = new Set<() => unknown>();
  let documents: ReadonlyMap<string, AnyDocument> | undefined;
  let status: SubscriptionStatus = "connecting";
  let current: readonly AnyDocument[] = [];
  let isOutdated = false;

  // An array is made when somebody looks at it: not of each change in a row of many.
  const read = (): readonly AnyDocument[] => {
    if (isOutdated && !listener.isOver) {
      isOutdated = false;
      const next = [...(documents?.values() ?? [])];
      current = compare === undefined ? next : next.toSorted(compare);
    }
    return current;
  };
  const tell = (): void => {
    for (const tellOne of Array.from(listeners)) if (listeners.has(tellOne)) listener.call(tellOne);
  };
  const onUpdate = (): void => {
    isOutdated = true;
    if (onChange !== undefined) listener.call(onChange, read());
    tell();
  };
  const listener = subscriptions.add(
    { kind: "collection", name },
    {
      ...options,
      snapshot: true,
      onStatus: (next, details) => {
        status = next;
        tell();
        return onStatus?.(next, details);
      },
    },
    onUpdate,
    {
      onDocuments: (all) => {
        documents = all;
        onUpdate();
      },
    },
  );
  return {
    get current() {
      return read();
    },
    get isLoaded() {
      return documents !== undefined;
    },
    get status() {
      return listener.isOver ? "ended" : status;
    },
    subscribe(onTold) {
      const own = (): unknown => onTold();
      listeners.add(own);
      return () => {
        listeners.delete(own);
      };
    },
    close: listener.unsubscribe,
  };
}
