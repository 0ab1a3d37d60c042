/** Verdicts that wait for the server.
 *
 * Each is stored in the browser before anything is sent, so a lost server, a closed window or a reload loses none. Every
 * window of this browser may send what waits: the server stores a key once.
 */

import { computed, signal } from "@preact/signals";
import type { Box, Item, Judgement, Missed, Stored, Verdict } from "./model";
import { Away, Refused, server } from "./server";

export type Deed = { type: "judge"; verdicts: Judgement[] } | { type: "missed"; missed: Missed };
/** Takes verdicts back by their keys; those of other programs may have none, but a number. */
export type Undo = { type: "undo"; keys: string[]; numbers: number[]; items: string[] };
/** What a person did, as far as undo needs it. */
export interface Done {
  verdict: Verdict;
  keys: string[];
  items: string[];
}
type Action = Deed | Undo;
interface Entry {
  name: string;
  action: Action;
}

/** How an item looks to a person before the server has answered. */
export interface Expected {
  verdict: Verdict | null;
  category: string | null;
  box: Box | null;
}

export type Link = "connecting" | "ok" | "lost" | "signed out";

const MOST = 1000; // verdicts of a request
const LARGEST = 400_000; // bytes of them: the server limits the size of a body
const SLOWEST = 30_000; // ms between tries

export const link = signal<Link>("connecting");
const entries = signal<Entry[]>([]);
let prefix = "";
let sending = false;
let again: ReturnType<typeof setTimeout> | undefined;
let wait = 500;
let count = 0;
let settled: (items: Item[], verdicts: Stored[], gone: string[]) => void = () => {};
let refused: (reason: string, item: string | null) => void = () => {};

/** The number of actions that wait. */
export const waiting = computed(() => entries.value.length);

/** What the waiting actions make of items, by id. */
export const expected = computed(() => {
  const items = new Map<string, Expected>();
  for (const { action } of entries.value) {
    if (action.type === "judge") {
      for (const { item, verdict, category, box } of action.verdicts) {
        items.set(item, { verdict, category: category ?? null, box: box ?? null });
      }
    } else if (action.type === "undo") {
      for (const item of action.items) items.set(item, { verdict: null, category: null, box: null });
    }
  }
  return items;
});

/** The verdicts that waiting actions take back. */
export const withdrawn = computed(() => {
  const undone = entries.value.flatMap(({ action }) => (action.type === "undo" ? [action] : []));
  return { keys: new Set(undone.flatMap(({ keys }) => keys)), numbers: new Set(undone.flatMap(({ numbers }) => numbers)) };
});

/** A name that no other window makes; `crypto.randomUUID` is missing on pages without HTTPS. */
export function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Names in the order of time. */
function named(): string {
  count += 1;
  return `${Date.now().toString().padStart(15, "0")}-${String(count).padStart(6, "0")}-${uuid().slice(0, 8)}`;
}

/** Starts with what earlier pages left for the store of this name. */
export function start(store: string, onSettled: typeof settled, onRefused: typeof refused): void {
  prefix = `wherewhen:${store}:`;
  settled = onSettled;
  refused = onRefused;
  read();
  addEventListener("storage", read);
  addEventListener("online", send);
  addEventListener("beforeunload", (event) => {
    if (entries.value.some((entry) => !isStored(entry))) event.preventDefault();
  });
  send();
}

/** Stores an action and sends it as soon as may be. */
export function put(action: Action): void {
  const entry = { name: `${prefix}waiting:${named()}`, action };
  // Where it can't be stored it stays in memory, and the browser asks before the page is closed.
  keep(localStorage, entry.name, action);
  if (action.type === "undo") for (const key of action.keys) undone.add(key);
  entries.value = [...entries.value, entry];
  send();
}

/** Sends what waits, the oldest first; tries again later where the server is away. */
export async function send(): Promise<void> {
  clearTimeout(again);
  if (sending) return;
  sending = true;
  try {
    for (let first = entries.value[0]; first; first = entries.value[0]) {
      const group = first.action.type === "judge" ? leading() : [first];
      if (first.action.type === "judge") {
        await judge(group.flatMap(({ action }) => (action.type === "judge" ? action.verdicts : [])));
      } else if (first.action.type === "missed") {
        await miss(first.action.missed);
      } else {
        await undo(first.action);
      }
      for (const { name } of group) drop(localStorage, name);
      entries.value = entries.value.filter((entry) => !group.includes(entry));
      link.value = "ok";
      wait = 500;
    }
  } catch (error) {
    if (!(error instanceof Away)) throw error;
    link.value = error instanceof SignedOut ? "signed out" : "lost";
    again = setTimeout(send, wait);
    wait = Math.min(2 * wait, SLOWEST);
  } finally {
    sending = false;
  }
}

/** The verdicts at the head of the queue that go into one request. */
function leading(): Entry[] {
  const group: Entry[] = [];
  let size = 0;
  for (const entry of entries.value) {
    if (entry.action.type !== "judge") break;
    size += entry.action.verdicts.length;
    if (group.length && size > MOST) break;
    group.push(entry);
  }
  return group;
}

/** Parts of a list that fit into a request each. */
function parts<T>(list: T[]): T[][] {
  const all: T[][] = [];
  let size = 0;
  for (const one of list) {
    const bytes = 4 * JSON.stringify(one).length;
    const last = all.at(-1);
    if (!last || last.length === MOST || size + bytes > LARGEST) {
      all.push([one]);
      size = bytes;
    } else {
      last.push(one);
      size += bytes;
    }
  }
  return all;
}

class SignedOut extends Away {}

/** The answer, or null where the server refuses for good; refusals for want of a token are tried again. */
async function answer<T>(request: Promise<T>, item: string | null): Promise<T | null> {
  try {
    return await request;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401 || error.status === 403) throw new SignedOut(error.message);
    refused(error.message, item);
    return null;
  }
}

async function judge(verdicts: Judgement[]): Promise<void> {
  for (const part of parts(verdicts)) {
    try {
      const stored = await server.judge(part);
      settled(stored.items, stored.verdicts, []);
    } catch (error) {
      if (!(error instanceof Refused) || part.length === 1) {
        await answer(Promise.reject(error), part[0]!.item);
        continue;
      }
      // All or none are stored: halves find the one that is refused.
      const middle = part.length >> 1;
      await judge(part.slice(0, middle));
      await judge(part.slice(middle));
    }
  }
}

async function miss(missed: Missed): Promise<void> {
  const stored = await answer(server.missed(missed), null);
  if (stored) settled([stored.item], [stored.verdict], []);
}

async function undo({ keys, numbers, items }: Undo): Promise<void> {
  const requests = [...parts(keys).map((part) => () => server.undo(part)), ...numbers.map((one) => () => server.undoNumbered(one))];
  for (const request of requests) {
    const undone = await answer(request(), items[0] ?? null);
    if (undone) settled(undone.items, [], undone.gone ?? []);
  }
}

function read(): void {
  const memory = entries.value.filter((entry) => !isStored(entry) && !wasStored.has(entry.name));
  const stored = names(localStorage, "waiting:").flatMap((name) => {
    wasStored.add(name);
    const action = parsed<Action>(localStorage, name);
    return action ? [{ name, action }] : [];
  });
  entries.value = [...stored, ...memory].sort((one, other) => (one.name < other.name ? -1 : 1));
}

const wasStored = new Set<string>();

const isStored = ({ name }: Entry): boolean => localStorage.getItem(name) !== null;

/** What this window did and can undo, the oldest first; a reload keeps it. */
export const deeds = {
  add(done: Done): void {
    const name = `${prefix}done:${named()}`;
    while (!keep(sessionStorage, name, done)) {
      const oldest = names(sessionStorage, "done:")[0];
      if (oldest === undefined) return; // the server's list of verdicts is undone instead
      drop(sessionStorage, oldest);
    }
  },
  pop(): Done | null {
    for (let name = names(sessionStorage, "done:").at(-1); name; name = names(sessionStorage, "done:").at(-1)) {
      const done = parsed<Done>(sessionStorage, name);
      drop(sessionStorage, name);
      if (done?.keys.some((key) => !undone.has(key))) return done;
    }
    return null;
  },
};

/** Keys of verdicts that this page took back. */
const undone = new Set<string>();

function names(storage: Storage, kind: string): string[] {
  return Object.keys(storage)
    .filter((name) => name.startsWith(prefix + kind))
    .sort();
}

function parsed<T>(storage: Storage, name: string): T | null {
  try {
    return JSON.parse(storage.getItem(name) ?? "null") as T | null;
  } catch {
    return null;
  }
}

/** Stores a value; false where storage is full or forbidden. */
function keep(storage: Storage, name: string, value: unknown): boolean {
  try {
    storage.setItem(name, JSON.stringify(value));
    if (storage === localStorage) wasStored.add(name);
    return true;
  } catch {
    return false;
  }
}

const drop = (storage: Storage, name: string): void => storage.removeItem(name);
