import type { Page } from "../../tenants/tenant-store.ts";

/** A part of a list, and where the next one starts when there is more. */
export interface CutPage<Entry> {
  readonly entries: Entry[];
  readonly next: string | undefined;
}

/** Lists one entry more than asked for, to learn whether there is more. */
export async function cutPage<Entry extends { readonly id: string }>(
  { after, limit }: Page,
  list: (page: Page) => Promise<readonly Entry[]>,
): Promise<CutPage<Entry>> {
  const found = await list({ after, limit: limit + 1 });
  const entries = found.slice(0, limit);
  return { entries, next: found.length > limit ? entries.at(-1)?.id : undefined };
}
