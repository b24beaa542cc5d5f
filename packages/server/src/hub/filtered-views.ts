import type { EventFilter, FrameFormat } from "./delivery.ts";
import { FilterIndex } from "./filter-index.ts";
import type { View } from "./view.ts";

/** The views of one channel that have filters. */
export class FilteredViews {
  /** By what their filters ask for. */
  readonly index: FilterIndex<View> = new FilterIndex();
  readonly #byFormat = new Map<FrameFormat, Map<string, View>>();

  find(format: FrameFormat, { id }: EventFilter): View | undefined {
    return this.#byFormat.get(format)?.get(id);
  }

  /** Whether there is one with this filter, in any format. */
  has({ id }: EventFilter): boolean {
    return [...this.#byFormat.values()].some((views) => views.has(id));
  }

  add(view: View, { id }: EventFilter): void {
    const views = this.#byFormat.get(view.format) ?? new Map<string, View>();
    this.#byFormat.set(view.format, views.set(id, view));
    this.index.add(view);
  }

  delete(view: View, { id }: EventFilter): void {
    const views = this.#byFormat.get(view.format);
    views?.delete(id);
    if (views?.size === 0) this.#byFormat.delete(view.format);
    this.index.delete(view);
  }
}
