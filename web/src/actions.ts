/** What keys, buttons and fingers do. */

import { batch, effect, signal } from "@preact/signals";
import type { Box, Item, Judgement, Verdict } from "./model";
import { deeds, put, uuid, type Deed } from "./outbox";
import { Away, Refused, server } from "./server";
import { current, guarded, info, lookAlikes, place, rows, say, selected, settle, unfolded } from "./state";
import { nameOf } from "./times";

export const WORDS: Record<Verdict, string> = {
  true: "true",
  false: "false",
  wrong_place: "true, wrong place",
  missed: "missed",
  unsure: "unsure",
};

/** What the next key or touch is about: the right place, or a missed event, or neither. */
export type Mode = { name: "judge" } | { name: "place"; group: boolean; at: [number, number] } | { name: "missed" };
export type Span = [number, number];
export type Dialog = "keys" | "snooze" | null;

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

/** Judges the selected item, or its whole group; the next one is shown at once. */
export async function judge(verdict: Verdict, group = false, box: Box | null = null): Promise<void> {
  const item = current.value;
  if (!item) return;
  const seconds = Math.round((watch.total + now() - watch.since) * 100) / 100;
  const [span, name] = [trimmed.value, category.value];
  const together = group && item.cluster !== null;
  const members = together ? await lookAlikes(item) : [item];
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
  if (selected.value !== item.id) return;
  perform({ type: "judge", verdicts }, item);
  say(`${WORDS[verdict]}: ${members.length > 1 ? `${members.length} look-alikes` : nameOf(item)}`);
}

/** Stores a deed, and shows the item after this one. */
function perform(deed: Deed, item: Item): void {
  const at = place.value;
  const before = rows.value[at];
  const judged = new Set(deed.type === "judge" ? deed.verdicts.map((one) => one.item) : []);
  const inside = before?.members.find((id) => !judged.has(id) && id !== item.id);
  const below = rows.value.slice(at + 1).find((row) => row.members.some((id) => !judged.has(id)));
  const above = rows.value.slice(0, Math.max(at, 0)).reverse().find((row) => !row.members.every((id) => judged.has(id)));
  const next = inside ?? below?.members.find((id) => !judged.has(id)) ?? above?.id ?? null;
  deeds.add(deed);
  batch(() => {
    put(deed);
    if (next !== null) select(next);
    else if (selected.value === item.id) select(null);
  });
}

/** Takes back what this window did last; after that, the newest verdict of this person. */
export async function undo(): Promise<void> {
  const deed = deeds.pop();
  if (deed) {
    const changed = deed.type === "judge" ? deed.verdicts.map(({ item }) => item) : [];
    batch(() => {
      put({ type: "undo", of: deed, numbers: [], items: changed });
      if (changed[0] !== undefined) select(changed[0]);
    });
    return say(deed.type === "judge" ? `undone: ${WORDS[deed.verdicts[0]!.verdict]}` : "undone: missed");
  }
  await guarded(async () => {
    const { verdicts, items } = await server.latest(1);
    const verdict = verdicts[0];
    if (!verdict) return say("nothing to undo");
    settle(items);
    undoStored(verdict.id, verdict.item);
  });
}

/** Takes back a verdict that the server has. */
export function undoStored(number: number, item: string): void {
  batch(() => {
    put({ type: "undo", of: null, numbers: [number], items: [item] });
    select(item);
  });
  say("undone");
}

/** Begins to ask for the right place. */
export function askPlace(group: boolean): void {
  const item = current.value;
  if (!item) return;
  const [x, y, width, height] = item.box ?? [0.4, 0.4, 0.2, 0.2];
  mode.value = { name: "place", group, at: [x + width / 2, y + height / 2] };
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
  if (asked.name === "place") void judge("wrong_place", asked.group, box);
}

/** Begins to mark a missed event around a time. */
export function askMissed(at: number): void {
  marked.value = [at - 1, at + 1];
  mode.value = { name: "missed" };
  say("drag on the curve; enter: add; escape: back");
}

/** Adds the missed event that is marked. */
export function addMissed(): void {
  const item = current.value;
  const span = marked.value;
  if (!item || !span) return;
  const missed = { key: uuid(), item: item.id, start: span[0], end: span[1] };
  const deed: Deed = { type: "missed", missed: category.value === null ? missed : { ...missed, category: category.value } };
  deeds.add(deed);
  put(deed);
  back();
  say(`missed: ${nameOf(item)}`);
}

export function back(): void {
  batch(() => {
    if (mode.value.name === "place") playing.value = true;
    mode.value = { name: "judge" };
    marked.value = null;
    dialog.value = null;
    queueOpen.value = false;
  });
}

/** Sets the start (0) or end (1) of what is marked or else of the item. */
export function trim(side: 0 | 1, at: number): void {
  const item = current.value;
  if (!item) return;
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
