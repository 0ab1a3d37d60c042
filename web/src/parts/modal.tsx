/** A dialog above the page. */

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { dialog } from "../actions";

export function Modal({ title, children }: { title: string; children: ComponentChildren }) {
  const box = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => box.current?.showModal(), []);
  const close = () => (dialog.value = null);
  return (
    <dialog ref={box} aria-label={title} onClose={close} onClick={(event) => event.target === box.current && close()}>
      <h2>{title}</h2>
      {children}
      <button class="small" onClick={close}>close</button>
    </dialog>
  );
}
