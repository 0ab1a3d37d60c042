/** Keys. */

import * as act from "./actions";
import { clips } from "./clips";
import { current } from "./state";

/** Keys and what they do, in the order of the list that `?` shows. */
export const KEYS: readonly (readonly [string, string])[] = [
  ["J K", "next, previous (or arrows)"],
  ["A", "true"],
  ["X", "false"],
  ["W", "true, wrong place: click or draw it"],
  ["M", "missed event: drag on the curve"],
  ["U", "unsure"],
  ["shift + verdict", "the whole group of look-alikes"],
  ["1 – 9", "class"],
  ["[ ]", "start, end of the event: now"],
  ["Z", "undo (or backspace), without end"],
  ["space", "play, pause"],
  ["H", "heat map"],
  ["G", "show the look-alikes of a group"],
  ["S", "snooze the camera"],
  ["enter esc", "confirm, cancel"],
  ["?", "this list"],
];

const STEP = 0.02; // of the picture

export function listenToKeys(): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || !handled(event)) return;
    event.preventDefault();
  });
  // A click leaves the focus where it was: the space bar plays, it does not press the last button again.
  document.addEventListener("mousedown", (event) => {
    if ((event.target as Element).closest("button, [role=option]")) event.preventDefault();
  });
}

/** Does what a key says; whether it says anything. */
function handled(event: KeyboardEvent): boolean {
  const target = event.target as Element;
  const bracket = event.key === "[" || event.key === "]"; // with AltGr on many keyboards
  if (!bracket && (event.ctrlKey || event.metaKey || event.altKey)) return false;
  if (target.closest("select, input, textarea")) return false;
  if (event.key === "Escape") return done(act.back());
  if (act.dialog.value !== null) return event.key === "?" && act.dialog.value === "keys" && done(act.back());
  const pressed = event.key === " " || event.key === "Enter";
  if (pressed && target.closest("button, a, summary")) return false;
  const key = nameOf(event);
  if (act.mode.value.name === "place" && placed(key)) return true;
  const known = COMMANDS[key];
  if (!known || (event.repeat && !known.repeats)) return known !== undefined;
  return done(known.run(event.shiftKey));
}

/** What a key is called; a letter of another alphabet, by its place on the keyboard. */
function nameOf({ key, code }: KeyboardEvent): string {
  if (key.length !== 1) return key;
  return key > "~" && code.startsWith("Key") ? code.slice(3).toLowerCase() : key.toLowerCase();
}

const done = (_: unknown): true => true;

interface Command {
  run: (shift: boolean) => unknown;
  repeats?: boolean;
}

const next: Command = { run: () => act.move(1), repeats: true };
const previous: Command = { run: () => act.move(-1), repeats: true };
const undo: Command = { run: () => act.undo(), repeats: true };

const COMMANDS: Record<string, Command> = {
  j: next,
  ArrowDown: next,
  ArrowRight: next,
  k: previous,
  ArrowUp: previous,
  ArrowLeft: previous,
  a: { run: (shift) => act.judge("true", shift) },
  x: { run: (shift) => act.judge("false", shift) },
  u: { run: (shift) => act.judge("unsure", shift) },
  w: { run: (shift) => act.askPlace(shift) },
  m: { run: () => act.askMissed(clips.time()) },
  s: { run: () => act.askSnooze() },
  h: { run: () => act.toggleHeat() },
  g: { run: () => current.value && act.fold(current.value) },
  z: undo,
  Backspace: undo,
  " ": { run: () => (act.playing.value = !act.playing.value) },
  "[": { run: () => act.trim(0, clips.time()), repeats: true },
  "]": { run: () => act.trim(1, clips.time()), repeats: true },
  Enter: { run: () => act.mode.value.name === "missed" && act.addMissed() },
  "?": { run: () => (act.dialog.value = "keys") },
  ...Object.fromEntries([...Array(9).keys()].map((n) => [String(n + 1), { run: () => act.choose(n) }])),
};

/** Keys while the right place is asked for: arrows move the box, enter sends it. */
function placed(key: string): boolean {
  const asked = act.mode.value;
  const item = current.value;
  if (asked.name !== "place" || !item) return false;
  const [x, y] = asked.at;
  const steps: Record<string, [number, number]> = {
    ArrowLeft: [-STEP, 0],
    ArrowRight: [STEP, 0],
    ArrowUp: [0, -STEP],
    ArrowDown: [0, STEP],
  };
  const step = steps[key];
  const within = (value: number) => Math.min(Math.max(value, 0), 1);
  if (step) act.mode.value = { ...asked, at: [within(x + step[0]), within(y + step[1])] };
  else if (key === "Enter") act.setPlace(act.boxAround(item, asked.at));
  else return false;
  return true;
}
