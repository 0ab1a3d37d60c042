/** Dialogs: the list of keys, snoozing, models. */

import { useSignal } from "@preact/signals";
import { dialog, snooze } from "../actions";
import { KEYS } from "../keys";
import { current } from "../state";
import { Modal } from "./modal";
import { Models } from "./models";

const MINUTES: readonly (readonly [number, string])[] = [[15, "15 min"], [60, "1 h"], [480, "8 h"], [1440, "24 h"]];

export function Dialogs() {
  if (dialog.value === "keys") return <Keys />;
  if (dialog.value === "models") return <Models />;
  return dialog.value === "snooze" ? <Snooze /> : null;
}

function Keys() {
  return (
    <Modal title="Keys">
      <dl class="keys">
        {KEYS.map(([keys, text]) => (
          <div key={keys}>
            <dt>{keys.split(" ").map((key) => (/^([+–]|or)$/.test(key) ? key : <kbd key={key}>{key}</kbd>))}</dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
      <p class="dim">Touch: swipe right for true, left for false, up for unsure; tap to pause.</p>
    </Modal>
  );
}

function Snooze() {
  const item = current.value;
  const zone = useSignal("");
  if (!item) return null;
  return (
    <Modal title={`Snooze ${item.camera}`}>
      <p>No alerts of it are sent until then.</p>
      {item.zones.length > 0 && (
        <select aria-label="zone" value={zone.value} onChange={(event) => (zone.value = event.currentTarget.value)}>
          <option value="">whole camera</option>
          {item.zones.map((name) => <option key={name} value={name}>{name}</option>)}
        </select>
      )}
      <div class="minutes">
        {MINUTES.map(([minutes, text]) => (
          <button key={minutes} onClick={() => void snooze(minutes, zone.value || null)}>{text}</button>
        ))}
      </div>
    </Modal>
  );
}
