/** Dialogs: the list of keys, and snoozing. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { dialog, snooze } from "../actions";
import { KEYS } from "../keys";
import { current } from "../state";

const MINUTES: readonly (readonly [number, string])[] = [[15, "15 min"], [60, "1 h"], [480, "8 h"], [1440, "24 h"]];

export function Dialogs() {
  if (dialog.value === "keys") return <Keys />;
  return dialog.value === "snooze" ? <Snooze /> : null;
}

function Modal({ title, children }: { title: string; children: ComponentChildren }) {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => box.current?.showModal(), []);
  const close = () => (dialog.value = null);
  return (
    <dialog ref={box} aria-label={title} onClose={close} onClick={(event) => event.target === box.current && close()}>
      <h2>{title}</h2>
      {children}
      <button class="small" onClick={close}>close</button>
    </dialog>
  );
}

function Keys() {
  return (
    <Modal title="Keys">
      <dl class="keys">
        {KEYS.map(([keys, text]) => (
          <div key={keys}>
            <dt>{keys.split(" ").map((key) => (key.length > 1 && /[+–,]/.test(key) ? key : <kbd key={key}>{key}</kbd>))}</dt>
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
