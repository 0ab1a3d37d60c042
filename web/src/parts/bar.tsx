/** The buttons. */

import {
  askMissed, askPlace, askSnooze, category, choose, dialog, heat, judge, mode, playing, speed, toggleHeat, undo,
} from "../actions";
import { clips } from "../clips";
import { current, info } from "../state";
import { Icon } from "./icon";

export function Bar() {
  const off = current.value === null;
  return (
    <section class="bar" aria-label="verdict">
      <Tools />
      <div class="verdicts">
        <button class="false" disabled={off} onClick={() => judge("false")}><Icon name="false" />False <kbd>X</kbd></button>
        <button class="unsure" disabled={off} onClick={() => judge("unsure")}><Icon name="unsure" />Unsure <kbd>U</kbd></button>
        <button class="wrong_place" disabled={off} aria-pressed={mode.value.name === "place"} onClick={() => askPlace(false)}>
          <Icon name="wrong_place" />Wrong place <kbd>W</kbd>
        </button>
        <button class="true" disabled={off} onClick={() => judge("true")}><Icon name="true" />True <kbd>A</kbd></button>
      </div>
      <Classes />
    </section>
  );
}

function Tools() {
  return (
    <div class="tools">
      <button class="small" aria-label={playing.value ? "pause" : "play"} title="space" onClick={() => (playing.value = !playing.value)}>
        <Icon name={playing.value ? "pause" : "play"} />
      </button>
      <button class="small" title="speed" aria-label={`speed ${speed.value}`} onClick={() => (speed.value = { 2: 4, 4: 1, 1: 2 }[speed.value] ?? 2)}>
        {speed.value}×
      </button>
      <button class="small" aria-pressed={heat.value} title="H" onClick={toggleHeat}><Icon name="heat" />heat</button>
      <button class="small" title="M" onClick={() => askMissed(clips.time())}><Icon name="missed" />missed</button>
      {info.value?.live && <button class="small" title="S" onClick={askSnooze}><Icon name="snooze" />snooze</button>}
      <span class="gap" />
      <button class="small" title="Z" onClick={undo}><Icon name="undo" />undo</button>
      <button class="small help" title="?" onClick={() => (dialog.value = "keys")}><Icon name="keys" />keys</button>
    </div>
  );
}

function Classes() {
  const names = info.value?.classes ?? [];
  if (!names.length) return null;
  return (
    <div class="classes" role="group" aria-label="class">
      {names.map((name, n) => (
        <button key={name} class="small" aria-pressed={category.value === name} onClick={() => choose(n)}>
          {n < 9 && <kbd>{n + 1}</kbd>}<bdi>{name}</bdi>
        </button>
      ))}
    </div>
  );
}
