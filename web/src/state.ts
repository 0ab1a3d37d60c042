/** What the page shows: items, the queue with its filters, the selected item. */

import { batch, computed, effect, signal } from "@preact/signals";
import { STATES, type Info, type Item, type Page, type State, type Stored, type Verdict } from "./model";
import { expected, link, waiting } from "./outbox";
import { Away, Refused, server } from "./server";

export type Sort = "uncertain" | "score" | "time";
export interface Query {
  state: State | "all";
  camera: string;
  source: string;
  sort: Sort;
}

/** A line of the queue: an item, or the first of a group of look-alikes with the others. */
export interface Row {
  id: string;
  members: string[];
  size: number;
  /** Whether the group may have others, which are not read yet. */
  more: boolean;
}

const PAGE = 300; // items of a request
const FRESH = 100; // items that are read anew after a change; more: the queue is read again
const PAUSE = 250; // ms after the last change until the numbers are read anew

export const info = signal<Info | null>(null);
export const query = signal<Query>({ state: "open", camera: "", source: "", sort: "uncertain" });
export const items = signal<ReadonlyMap<string, Item>>(new Map());
export const order = signal<readonly string[]>([]);
export const total = signal(0);
export const cursor = signal<string | null>(null);
export const isRead = signal(false); // whether the queue is that of the server
export const arrived = signal(0); // items of this queue that are not in it yet: it can be read again
export const unfolded = signal<ReadonlySet<number>>(new Set());
export const selected = signal<string | null>(null);
export const latest = signal<readonly Stored[]>([]);
export const message = signal<{ text: string; urgent: boolean; number: number } | null>(null);
const serverCounts = signal<Record<State, number>>({ open: 0, judged: 0, used: 0, expired: 0 });

export const say = (text: string, urgent = false): void => {
  message.value = { text, urgent, number: (message.peek()?.number ?? 0) + 1 };
};

/** The verdict that holds, with those that the server has not confirmed yet. */
export function verdictOf(item: Item): Verdict | null {
  const own = expected.value.get(item.id);
  return own ? own.verdict : (item.verdict?.verdict ?? null);
}

/** The state, with verdicts that the server has not confirmed yet. */
export function stateOf(item: Item): State {
  const own = expected.value.get(item.id);
  if (!own) return item.state;
  if (own.verdict !== null) return item.state === "used" ? "used" : "judged";
  return item.state === "judged" ? "open" : item.state;
}

/** Whether an item belongs to what the filters show, whatever its state. */
function isShown(item: Item): boolean {
  const { camera, source } = query.value;
  return (!camera || item.camera === camera) && (!source || item.source === source);
}

/** How many items are in each state, as the server counts them, with verdicts that it has not confirmed yet. */
export const counts = computed(() => {
  const numbers = { ...serverCounts.value };
  for (const id of expected.value.keys()) {
    const item = items.value.get(id);
    if (item && isShown(item) && stateOf(item) !== item.state) {
      numbers[item.state] -= 1;
      numbers[stateOf(item)] += 1;
    }
  }
  return numbers;
});

/** The lines of the queue, look-alikes in one. The selected item stays, whatever becomes of it. */
export const rows = computed(() => {
  const wanted = query.value.state;
  const lines: Row[] = [];
  const groups = new Map<number, Row>();
  for (const id of order.value) {
    const item = items.value.get(id);
    if (!item || (wanted !== "all" && stateOf(item) !== wanted && id !== selected.value)) continue;
    const group = item.cluster === null || item.cluster_size < 2 ? undefined : groups.get(item.cluster);
    if (group && !unfolded.value.has(item.cluster!)) {
      group.members.push(id);
      continue;
    }
    const row = { id, members: [id], size: 1, more: false };
    lines.push(row);
    if (item.cluster !== null && !group) groups.set(item.cluster, row);
  }
  for (const row of lines) {
    const item = items.value.get(row.id)!;
    row.size = row.members.length;
    row.more = row.size > 1 && cursor.value !== null && item.cluster_size > row.size;
  }
  return lines;
});

/** The place of the selected item in the queue; -1 where it is not there. */
export const place = computed(() => {
  const id = selected.value;
  return id === null ? -1 : rows.value.findIndex((row) => row.id === id || row.members.includes(id));
});

export const current = computed(() => (selected.value === null ? null : (items.value.get(selected.value) ?? null)));

/** The items after the selected one, whose clips are loaded ahead. */
export const upcoming = computed(() => {
  const row = rows.value[place.value];
  const inside = row && row.members.length > 1 ? row.members.filter((id) => id !== selected.value).slice(0, 1) : [];
  const below = rows.value.slice(place.value + 1, place.value + 4).map(({ id }) => id);
  return [...new Set([...below, ...inside])].slice(0, 3);
});

/** Takes items as the server has them now. */
export function settle(changed: readonly Item[], verdicts: readonly Stored[] = []): void {
  const map = new Map(items.value);
  const numbers = { ...serverCounts.value };
  for (const item of changed) {
    const before = map.get(item.id)?.state;
    if (before && before !== item.state && isShown(item)) {
      numbers[before] -= 1;
      numbers[item.state] += 1;
    }
    map.set(item.id, item);
  }
  const held = (one: Stored) => {
    const item = map.get(one.item);
    return !item || item.verdict?.id === one.id;
  };
  const own = changed.flatMap(({ verdict }) => (verdict && (verdict.user ?? "") === info.value?.user ? [verdict] : []));
  batch(() => {
    items.value = map;
    serverCounts.value = numbers;
    latest.value = unique([...verdicts, ...own, ...latest.value]).filter(held).slice(0, 10);
  });
  recount();
}

/** Removes items that are no longer there. */
export function remove(gone: readonly string[]): void {
  const map = new Map(items.value);
  const ids = new Set(gone.filter((id) => map.delete(id)));
  if (!ids.size) return;
  batch(() => {
    order.value = order.value.filter((id) => !ids.has(id));
    if (selected.value !== null && ids.has(selected.value)) selected.value = rows.value[0]?.id ?? null;
    items.value = map;
    latest.value = latest.value.filter(({ item }) => !ids.has(item));
  });
  recount();
}

/** Puts items that the queue does not have at its head. */
export function bring(ids: readonly string[]): void {
  const there = new Set(order.value);
  const missing = ids.filter((id) => !there.has(id) && items.value.has(id));
  if (missing.length) order.value = [...missing, ...order.value];
}

let changes = 0;
let isExact = true; // whether the numbers are those of the queue as it was read, but for changes of its items
let counting: ReturnType<typeof setTimeout> | undefined;

/** Reads the numbers from the server, once nothing changes any more. What it has more is not in the queue yet. */
function recount(): void {
  changes += 1;
  clearTimeout(counting);
  counting = setTimeout(async () => {
    if (waiting.value > 0) return; // it is counted when the server has them
    if (!isExact) return readQueue(true); // something changed while it was read
    const number = changes;
    try {
      const page = await server.review({ ...parameters(), limit: "1" });
      if (number !== changes) return;
      const { state } = query.value;
      const known = state === "all" ? total.value : serverCounts.value[state];
      batch(() => {
        arrived.value = Math.max(0, arrived.value + page.total - known);
        serverCounts.value = inAll(page);
        total.value = page.total;
      });
    } catch (error) {
      if (!(error instanceof Away) && !(error instanceof Refused)) throw error;
    }
  }, PAUSE);
}

const inAll = (page: Page): Record<State, number> =>
  Object.fromEntries(STATES.map((state) => [state, page.counts[state] ?? 0])) as Record<State, number>;

const unique = (verdicts: Stored[]): Stored[] =>
  [...new Map(verdicts.map((one) => [one.id, one])).values()].sort((one, other) => other.id - one.id);

let reading = 0;
let paging = false;

/** Reads the queue from its start; with `keep` as far as it was read, and the selected item stays. */
export async function readQueue(keep = false): Promise<void> {
  const number = ++reading;
  const since = changes;
  await guarded(async () => {
    let page = await server.review(parameters());
    const all = page.items;
    // As far as it is read now: the list may have grown since this began.
    while (page.cursor !== null && keep && all.length < order.value.length) {
      page = await server.review({ ...parameters(), cursor: page.cursor });
      all.push(...page.items);
    }
    if (number !== reading) return;
    isExact = waiting.value === 0 && since === changes;
    take({ ...page, items: all }, []);
    batch(() => {
      total.value = page.total;
      serverCounts.value = inAll(page);
      arrived.value = 0;
    });
    if (place.value < 0 && !(keep && selected.value !== null)) selected.value = rows.value[0]?.id ?? null;
  });
}

/** Reads on where lines below `last` are to be seen. */
export async function readOn(last: number): Promise<void> {
  if (paging) return;
  paging = true;
  try {
    while (cursor.value !== null && last > rows.value.length - 40) {
      const number = reading;
      const done = await guarded(async () => {
        const page = await server.review({ ...parameters(), cursor: cursor.value ?? "" });
        if (number !== reading) return;
        take(page, order.value);
        selected.value ??= rows.value[0]?.id ?? null;
      });
      if (!done) return;
    }
  } finally {
    paging = false;
  }
}

function take(page: Page, before: readonly string[]): void {
  batch(() => {
    isRead.value = true;
    settle(page.items);
    order.value = [...new Set([...before, ...page.items.map(({ id }) => id)])];
    cursor.value = page.cursor;
  });
}

function parameters(): Record<string, string> {
  const { state, camera, source, sort } = query.value;
  const words: Record<string, string> = { state, sort, limit: String(PAGE) };
  if (camera) words["camera"] = camera;
  if (source) words["source"] = source;
  return words;
}

/** Reads items anew that another window, process or person changed. */
export async function refresh(ids: readonly string[]): Promise<void> {
  const shown = ids.filter((id) => items.value.has(id));
  if (shown.length < ids.length) recount();
  if (shown.length > FRESH) return readQueue(true);
  if (!shown.length) return;
  await guarded(async () => {
    const [alone, listed] = [shown.filter((id) => id.includes(",")), shown.filter((id) => !id.includes(","))];
    const read = listed.length ? (await server.review({ ids: listed.join(","), limit: "1" })).items : [];
    for (const id of alone) read.push(await server.item(id));
    settle(read);
    const there = new Set(read.map(({ id }) => id));
    remove(shown.filter((id) => !there.has(id)));
  });
}

/** All open items of a group of look-alikes; those that are known here where the server is away. */
export async function lookAlikes(item: Item): Promise<Item[]> {
  let all = [...items.value.values()];
  try {
    const words = { state: "open", cluster: String(item.cluster), limit: "1000" };
    let page: Page | null = link.value === "lost" ? null : await server.review(words);
    const read = [...(page?.items ?? [])];
    while (page?.cursor != null) {
      page = await server.review({ ...words, cursor: page.cursor });
      read.push(...page.items);
    }
    if (page) {
      settle(read);
      all = read.map(({ id }) => items.value.get(id)!);
    }
  } catch (error) {
    if (!(error instanceof Away) && !(error instanceof Refused)) throw error;
  }
  const group = all.filter((one) => one.cluster === item.cluster && (stateOf(one) === "open" || one.id === item.id));
  return group.some(({ id }) => id === item.id) ? group : [item, ...group];
}

export function change(part: Partial<Query>): void {
  query.value = { ...query.value, ...part };
  selected.value = null;
  order.value = [];
  cursor.value = null;
  isRead.value = false;
  void readQueue();
}

/** Does what reads from the server; whether it could. */
export async function guarded(read: () => Promise<void>): Promise<boolean> {
  try {
    await read();
    link.value = "ok";
    return true;
  } catch (error) {
    if (error instanceof Away) link.value = "lost";
    else if (error instanceof Refused && error.status === 401) link.value = "signed out";
    else if (error instanceof Refused) say(error.message, true);
    else throw error;
    return false;
  }
}

/** Facts about the selected item, read once for each. */
export function about<T>(read: (item: Item) => Promise<T>): { of: (item: Item) => T | null; forget: () => void } {
  const cache = signal<ReadonlyMap<string, T | null>>(new Map());
  const of = (item: Item): T | null => {
    const known = cache.value.get(item.id);
    if (known === undefined) {
      cache.peek();
      void Promise.resolve().then(async () => {
        if (cache.peek().has(item.id)) return;
        cache.value = new Map([...[...cache.peek()].slice(-60), [item.id, null]]);
        try {
          const value = await read(item);
          cache.value = new Map(cache.peek()).set(item.id, value);
        } catch (error) {
          if (!(error instanceof Away) && !(error instanceof Refused)) throw error;
        }
      });
    }
    return known ?? null;
  };
  return { of, forget: () => (cache.value = new Map()) };
}

effect(() => {
  const left = counts.value.open;
  document.title = left ? `(${left}) review` : "wherewhen: review";
});
