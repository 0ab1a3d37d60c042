/** The middle: the clip with box and heat, which can be swiped, and the place of an event, which can be drawn. */

import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { boxAround, heat, judge, mode, playing, setPlace, speed, WORDS } from "../actions";
import { clips } from "../clips";
import type { Box, Item, Verdict } from "../model";
import { fileOf } from "../server";
import { current, items, upcoming, verdictOf } from "../state";
import { moment, nameOf } from "../times";
import { Score } from "./queue";

const FAR = 90; // pixels of a swipe that judges
const STILL = 8; // pixels of a touch that is none
const LEAST = 0.01; // of the picture, of a drawn box

export function Stage() {
  const item = current.value;
  return (
    <section class="stage" aria-label="clip">
      {item ? <Head item={item} /> : <h2 class="title dim">no item is selected</h2>}
      <Swiped>
        <Picture />
        {item && <Over item={item} />}
      </Swiped>
    </section>
  );
}

function Head({ item }: { item: Item }) {
  const verdict = verdictOf(item);
  return (
    <h2 class="title">
      <bdi class="name">{nameOf(item)}</bdi>
      <span class="time">{moment(item, item.start)}, {(item.end - item.start).toFixed(1)} s</span>
      {item.zones.map((zone) => <bdi class="zone" key={zone}>{zone}</bdi>)}
      <span class="dim">{item.label ? `labelled ${item.label}` : item.source}</span>
      <Score item={item} />
      {verdict !== null && <span class={`mark ${verdict}`}>{WORDS[verdict]}</span>}
      {item.verdict?.category && <bdi class="zone">{item.verdict.category}</bdi>}
    </h2>
  );
}

/** The players: made once, so that a clip that is loaded ahead is shown at once. */
function Picture() {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => clips.attach(box.current!), []);
  useSignalEffect(() => {
    const wanted = [current.value, ...upcoming.value.map((id) => items.value.get(id))];
    const [on, rate] = [playing.value, speed.value];
    queueMicrotask(() => clips.show(wanted.filter((item): item is Item => !!item), on, rate));
  });
  return <div class="players" ref={box} />;
}

/** What lies over the picture: thumbnail while nothing plays, heat, box. */
function Over({ item }: { item: Item }) {
  const showing = item.has_clip ? clips.showing.value : "missing";
  return (
    <>
      {showing !== "playing" && item.has_thumb && (
        <img class="still" key={item.id} src={fileOf(item.id, "thumb.webp")} alt="" onLoad={(event) => clips.likeStill(event.currentTarget)} />
      )}
      {showing === "missing" && <p class="gone">{item.state === "expired" ? "The clip has expired." : "No clip."}</p>}
      {heat.value && item.has_heat && <img class="heat" src={fileOf(item.id, "heat.webp")} alt="heat map" />}
      {heat.value && !item.has_heat && <p class="gone low">No heat map.</p>}
      <Boxes item={item} />
    </>
  );
}

const percent = (value: number): string => `${100 * value}%`;

function Boxes({ item }: { item: Item }) {
  const drawn = useSignal<Box | null>(null);
  const asked = mode.value;
  const right = item.verdict?.box ?? null;
  const at = (event: PointerEvent): [number, number] => {
    const area = (event.currentTarget as Element).getBoundingClientRect();
    const within = (value: number) => Math.min(Math.max(value, 0), 1);
    return [within((event.clientX - area.left) / area.width), within((event.clientY - area.top) / area.height)];
  };
  const from = useRef<[number, number] | null>(null);
  const down = (event: PointerEvent) => {
    event.stopPropagation();
    (event.currentTarget as Element).setPointerCapture(event.pointerId);
    from.current = at(event);
  };
  const drag = (event: PointerEvent) => {
    if (!from.current) return;
    const [[x, y], [u, v]] = [from.current, at(event)];
    drawn.value = [Math.min(x, u), Math.min(y, v), Math.abs(u - x), Math.abs(v - y)];
  };
  const up = (event: PointerEvent) => {
    event.stopPropagation();
    if (!from.current) return;
    const box = drawn.value;
    const isDrawn = box !== null && box[2] > LEAST && box[3] > LEAST;
    const point = at(event);
    from.current = drawn.value = null;
    setPlace(isDrawn ? box : boxAround(item, point));
  };
  return (
    <>
      {item.box && <Frame box={item.box} kind="shown" />}
      {right && <Frame box={right} kind="right" />}
      {asked.name === "place" && (
        <div class="ask" onPointerDown={down} onPointerMove={drag} onPointerUp={up}>
          <Frame box={drawn.value ?? boxAround(item, asked.at)} kind="right" />
        </div>
      )}
    </>
  );
}

function Frame({ box: [x, y, width, height], kind }: { box: Box; kind: string }) {
  const style = { left: percent(x), top: percent(y), width: percent(width), height: percent(height) };
  return <div class={`box ${kind}`} style={style} />;
}

/** Right is true, left is false, up is unsure; a touch that does not move plays or pauses. */
function Swiped({ children }: { children: preact.ComponentChildren }) {
  const offset = useSignal<[number, number]>([0, 0]);
  const start = useRef<[number, number] | null>(null);
  const [x, y] = offset.value;
  const verdict = swiped(x, y);
  const end = (event: PointerEvent) => {
    if (!start.current) return;
    start.current = null;
    const meant = swiped(...offset.value);
    const still = Math.hypot(...offset.value) < STILL;
    offset.value = [0, 0];
    if (event.type !== "pointerup") return;
    if (meant) judge(meant);
    else if (still && mode.value.name !== "place") playing.value = !playing.value;
  };
  return (
    <div class="screen" style={{ "--shape": String(clips.shape.value) }}>
      <div
        class={start.current ? "frame moving" : "frame"}
        style={{ transform: x || y ? `translate(${x}px, ${Math.min(y, 0)}px) rotate(${x / 40}deg)` : "" }}
        onPointerDown={(event) => {
          if (event.button !== 0 || mode.value.name === "place") return;
          event.currentTarget.setPointerCapture(event.pointerId);
          start.current = [event.clientX, event.clientY];
        }}
        onPointerMove={(event) => {
          if (!start.current || event.pointerType === "mouse") return;
          offset.value = [event.clientX - start.current[0], event.clientY - start.current[1]];
        }}
        onPointerUp={end}
        onPointerCancel={end}
      >
        {children}
        {verdict && <span class={`swipe mark ${verdict}`}>{WORDS[verdict]}</span>}
      </div>
    </div>
  );
}

function swiped(x: number, y: number): Verdict | null {
  if (-y > FAR && -y > Math.abs(x)) return "unsure";
  if (Math.abs(x) < FAR) return null;
  return x > 0 ? "true" : "false";
}
