/** What keys, buttons and fingers do. */

import { batch, effect, signal } from "@preact/signals";
import type { Box, Item, Judgement, Stored, Verdict } from "./model";
import { deeds, put, uuid, withdrawn, type Undo } from "./outbox";
import { Away, Refused, server } from "./server";
import { bring, current, guarded, info, lookAlikes, place, query, rows, say, selected, settle, unfolded } from "./state";
import { nameOf } from "./times";

export const WORDS: Record<Verdict, string> = {
  true: "true",
  false: "false",
  wrong_place: "true, wrong place",
  missed: "missed",
  unsure: "unsure",
};

/** What the next key or touch is about: the right place, or a missed event, or neither. */
export type Mode = { name: "judge" } | { name: "place"; group: boolean; at: [number, number]; playing: boolean } | { name: "missed" };
export type Span = [number, number];
export type Dialog = "keys" | "snooze" | "models" | null;

export const mode = signal<Mode>({ name: "judge" });
/** The span of the item as a person set it, in the item's time; null: as the model has it. */
export const trimmed = signal<Span | null>(null);
/** The span of a missed event. */
export const marked = signal<Span | null>(null);
export const category = signal<string | null>(null);
export const heat = signal(false);
export const playing = signal(true);
export const speed = signal(2);
export const dialog = signal<Dialog>(null);
export const queueOpen = signal(false);
/** The time of the last key or touch that chose an item: from here to its picture is measured. */
export const chosenAt = { time: 0 };

/** Seconds that an item was to be seen. */
const watch = { since: 0, total: 0 };
const now = (): number => performance.now() / 1000;

effect(() => {
  void selected.value;
  batch(() => {
    mode.value = { name: "judge" };
    trimmed.value = null;
    marked.value = null;
    category.value = null;
    playing.value = true;
  });
  watch.total = 0;
  watch.since = now();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) watch.total += now() - watch.since;
  else watch.since = now();
});

export function select(id: string | null): void {
  chosenAt.time = performance.now();
  selected.value = id;
}

/** Selects the line of the queue so many lines away. */
export function move(by: number): void {
  const next = rows.value[Math.max(0, place.value + by)];
  if (next) select(next.id);
}

let working = 0;
let turn: Promise<void> = Promise.resolve();

/** Does what needs an answer of the server before what comes after it; at once where nothing is being done. */
function inTurn(work: () => void | Promise<void>): void {
  const done = working ? turn.then(work) : work();
  if (!done) return;
  working += 1;
  turn = done.finally(() => (working -= 1));
}

/** Judges the selected item, or its whole group; the next one is shown at once. */
export function judge(verdict: Verdict, group = false, box: Box | null = null): void {
  inTurn(() => {
    const item = current.value;
    if (!item) return;
    const given: Given = { verdict, box, seconds: seen(), span: trimmed.value, name: category.value };
    if (!group || item.cluster === null) return give(item, [item], given);
    return lookAlikes(item).then((members) => give(item, members, given));
  });
}

/** A verdict with all that belongs to it. */
interface Given {
  verdict: Verdict;
  box: Box | null;
  seconds: number;
  span: Span | null;
  name: string | null;
}

const seen = (): number => Math.round((watch.total + now() - watch.since) * 100) / 100;

/** Gives a verdict on an item and others; span, place and time are those of the item alone. */
function give(item: Item, members: readonly Item[], { verdict, box, seconds, span, name }: Given): void {
  const verdicts = members.map((one): Judgement => {
    const judgement: Judgement = { key: uuid(), item: one.id, verdict };
    if (one.id === item.id) {
      judgement.seconds = seconds;
      if (span) [judgement.start, judgement.end] = span;
      if (box) judgement.box = box;
    }
    if (name !== null && verdict !== "false") judgement.category = name;
    return judgement;
  });
  const ids = members.map(({ id }) => id);
  const next = selected.value === item.id ? after(item, new Set(ids)) : selected.value;
  deeds.add({ verdict, keys: verdicts.map(({ key }) => key), items: ids });
  batch(() => {
    put({ type: "judge", verdicts });
    if (next !== selected.value) select(next);
  });
  say(`${WORDS[verdict]}: ${members.length > 1 ? `${members.length} look-alikes` : nameOf(item)}`);
}

/** The item to be shown after one: of its group, below it, else above it. */
function after(item: Item, judged: ReadonlySet<string>): string | null {
  const at = place.value;
  const isLeft = (id: string): boolean => !judged.has(id) && id !== item.id;
  const lines = rows.value;
  const above = lines.slice(0, Math.max(at, 0)).reverse();
  for (const row of [...lines.slice(Math.max(at, 0)), ...above]) {
    const next = row.members.find(isLeft);
    if (next !== undefined) return next;
  }
  return query.value.state === "open" ? null : item.id;
}

/** Takes back what this window did last; after that, the newest verdict of this person. */
export function undo(): void {
  inTurn(() => {
    const done = deeds.pop();
    if (done) return withdraw({ type: "undo", keys: done.keys, numbers: [], items: done.items }, WORDS[done.verdict]);
    return undoLatest();
  });
}

async function undoLatest(): Promise<void> {
  await guarded(async () => {
    const { keys, numbers } = withdrawn.value;
    const { verdicts, items } = await server.latest(Math.min(1000, 1 + keys.size + numbers.size));
    const newest = verdicts.find(({ id, key }) => !keys.has(key ?? "") && !numbers.has(id));
    if (!newest) return say("nothing to undo");
    settle(items);
    undoStored(newest);
  });
}

/** Takes back a verdict that the server has. */
export function undoStored({ id, key, item, verdict }: Stored): void {
  withdraw({ type: "undo", keys: key ? [key] : [], numbers: key ? [] : [id], items: verdict === "missed" ? [] : [item] }, WORDS[verdict]);
}

function withdraw(action: Undo, text: string): void {
  batch(() => {
    put(action);
    bring(action.items);
    if (action.items[0] !== undefined) select(action.items[0]);
  });
  say(action.items.length > 1 ? `undone: ${text}, ${action.items.length} look-alikes` : `undone: ${text}`);
}

/** Begins to ask for the right place. */
export function askPlace(group: boolean): void {
  const item = current.value;
  if (!item) return;
  const [x, y, width, height] = item.box ?? [0.4, 0.4, 0.2, 0.2];
  mode.value = { name: "place", group, at: [x + width / 2, y + height / 2], playing: playing.value };
  playing.value = false;
  say("click or draw the right place; enter: as it is; escape: back");
}

/** A box around a point, of the size of the item's box, inside the picture. */
export function boxAround(item: Item, [x, y]: [number, number]): Box {
  const [, , width, height] = item.box ?? [0, 0, 0.15, 0.15];
  const within = (value: number, most: number) => Math.min(Math.max(value, 0), Math.max(0, most));
  return [within(x - width / 2, 1 - width), within(y - height / 2, 1 - height), width, height];
}

/** Sends the right place. */
export function setPlace(box: Box): void {
  const asked = mode.value;
  if (asked.name === "place") judge("wrong_place", asked.group, box);
}

/** Begins to mark a missed event around a time; without a picture, around the start of the item. */
export function askMissed(at: number | null): void {
  const item = current.value;
  if (!item) return;
  const middle = Math.max(at ?? item.start, 1);
  marked.value = [middle - 1, middle + 1];
  mode.value = { name: "missed" };
  say("drag on the curve; enter: add; escape: back");
}

/** Adds the missed event that is marked. */
export function addMissed(): void {
  const item = current.value;
  const span = marked.value;
  if (!item || !span) return;
  const missed = { key: uuid(), item: item.id, start: span[0], end: span[1] };
  deeds.add({ verdict: "missed", keys: [missed.key], items: [] });
  put({ type: "missed", missed: category.value === null ? missed : { ...missed, category: category.value } });
  leave();
  say(`missed: ${nameOf(item)}`);
}

/** Closes what is open above the page; else leaves what was begun. */
export function back(): void {
  if (dialog.value !== null) dialog.value = null;
  else if (queueOpen.value) queueOpen.value = false;
  else leave();
}

function leave(): void {
  batch(() => {
    if (mode.value.name === "place") playing.value = mode.value.playing;
    mode.value = { name: "judge" };
    marked.value = null;
  });
}

/** Sets the start (0) or end (1) of what is marked or else of the item. */
export function trim(side: 0 | 1, at: number | null): void {
  const item = current.value;
  if (!item) return;
  if (at === null) return say("there is no picture whose time could be taken", true);
  const target = mode.value.name === "missed" ? marked : trimmed;
  const span: Span = [...(target.value ?? [item.start, item.end])];
  span[side] = side === 0 ? Math.min(at, span[1] - 0.1) : Math.max(at, span[0] + 0.1);
  target.value = span;
}

export function choose(number: number): void {
  const name = info.value?.classes[number];
  if (name === undefined) return;
  category.value = category.value === name ? null : name;
  say(category.value === null ? "no class" : `class ${name}`);
}

export function fold(item: Item): void {
  if (item.cluster === null) return;
  const open = new Set(unfolded.value);
  if (!open.delete(item.cluster)) open.add(item.cluster);
  unfolded.value = open;
}

export function toggleHeat(): void {
  if (current.value && !current.value.has_heat && !heat.value) return say("this clip has no heat map");
  heat.value = !heat.value;
}

export function askSnooze(): void {
  if (info.value?.live) dialog.value = "snooze";
  else say("snooze is for watched cameras; these are recordings", true);
}

/** Snoozes the camera, or a zone of it. */
export async function snooze(minutes: number, zone: string | null): Promise<void> {
  const item = current.value;
  dialog.value = null;
  if (!item) return;
  try {
    await server.snooze(item.camera, minutes, zone);
    say(`${zone ?? item.camera} is snoozed for ${minutes} min`);
  } catch (error) {
    if (!(error instanceof Refused) && !(error instanceof Away)) throw error;
    say(`not snoozed: ${error.message}`, true);
  }
}
