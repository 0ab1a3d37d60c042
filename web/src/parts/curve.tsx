/** The score over time: threshold, span of the item with handles, and missed events, which are dragged. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { addMissed, askMissed, back, marked, mode, trim, trimmed, type Span } from "../actions";
import { clips } from "../clips";
import type { Curve as Scores, Item } from "../model";
import { server } from "../server";
import { about, current } from "../state";
import { moment } from "../times";
import { Icon } from "./icon";

const WIDTH = 1000;
const HEIGHT = 100;
const COLUMNS = 500; // of the drawing: the highest and lowest score of each
const NEAR = 10; // seconds around the event, where the time axis is enlarged
const LEAST = 4; // pixels of a drag that is none

export const curves = about((item: Item) => server.curve(item.id));

export function Curve() {
  const item = current.value;
  const near = useSignal(false);
  if (!item) return <section class="curve" aria-label="score" />;
  const curve = curves.of(item);
  return (
    <section class="curve" aria-label="score">
      <Axes item={item} curve={curve} near={near.value} />
      <div class="under">
        {mode.value.name === "missed" && marked.value ? <Confirm item={item} span={marked.value} /> : <Spans item={item} />}
        <button class="small" aria-pressed={near.value} onClick={() => (near.value = !near.value)}>
          <Icon name="lens" />±{near.value ? "10 s" : "2 min"}
        </button>
      </div>
    </section>
  );
}

function Confirm({ item, span }: { item: Item; span: Span }) {
  return (
    <span class="confirm">
      missed: {moment(item, span[0], false, 1)} – {moment(item, span[1], false, 1)}
      <button class="small strong" onClick={addMissed}>add</button>
      <button class="small" onClick={back}>cancel</button>
    </span>
  );
}

function Spans({ item }: { item: Item }) {
  const [start, end] = trimmed.value ?? [item.start, item.end];
  return (
    <span class="dim">
      {moment(item, start, false, 1)} – {moment(item, end, false, 1)}
      {trimmed.value && (
        <button class="small" onClick={() => (trimmed.value = null)}>as found</button>
      )}
    </span>
  );
}

function Axes({ item, curve, near }: { item: Item; curve: Scores | null; near: boolean }) {
  const box = useRef<HTMLDivElement>(null);
  const head = useRef<HTMLDivElement>(null);
  const from = useRef<{ at: number; x: number } | null>(null);
  const [low, high] = reach(item, curve, near);
  const part = (at: number): number => Math.min(Math.max((at - low) / (high - low), 0), 1);
  const timeOf = (event: PointerEvent): number => {
    const area = box.current!.getBoundingClientRect();
    return low + ((high - low) * Math.min(Math.max(event.clientX - area.left, 0), area.width)) / area.width;
  };
  useEffect(() => {
    clips.onPicture = (time) => head.current?.style.setProperty("left", `${100 * part(item.clip.offset + time)}%`);
  });
  const top = Math.max(1, ...(curve ? [curve.threshold, ...extremes(curve.scores)] : []));
  const missing = mode.value.name === "missed" ? marked.value : null;
  const span = missing ?? trimmed.value ?? ([item.start, item.end] as Span);
  const drag = (event: PointerEvent) => {
    if (!from.current || Math.abs(event.clientX - from.current.x) < LEAST) return;
    const at = timeOf(event);
    if (mode.value.name !== "missed") askMissed(at);
    marked.value = [Math.min(from.current.at, at), Math.max(from.current.at, at)];
  };
  const up = (event: PointerEvent) => {
    if (from.current && Math.abs(event.clientX - from.current.x) < LEAST) clips.seek(timeOf(event));
    from.current = null;
  };
  return (
    <div
      class="axes"
      ref={box}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        from.current = { at: timeOf(event), x: event.clientX };
      }}
      onPointerMove={drag}
      onPointerUp={up}
      onPointerCancel={() => (from.current = null)}
    >
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        <rect class="event" x={WIDTH * part(item.start)} width={WIDTH * (part(item.end) - part(item.start))} height={HEIGHT} />
        {curve && <path class="area" d={`${path(curve, low, high, top)} V${HEIGHT} H0 Z`} />}
        {curve && <path class="trace" d={path(curve, low, high, top)} />}
        {curve && <path class="threshold" d={`M0 ${HEIGHT * (1 - curve.threshold / top)} H${WIDTH}`} />}
      </svg>
      {!curve && <span class="none dim">no curve</span>}
      <div class={missing ? "span missed" : "span"} style={{ left: `${100 * part(span[0])}%`, right: `${100 - 100 * part(span[1])}%` }} />
      <Handle item={item} side={0} at={span[0]} part={part} timeOf={timeOf} limits={[low, span[1]]} />
      <Handle item={item} side={1} at={span[1]} part={part} timeOf={timeOf} limits={[span[0], high]} />
      <div class="head" ref={head} />
      <span class="tick left">{moment(item, low, false)}</span>
      <span class="tick right">{moment(item, high, false)}</span>
    </div>
  );
}

interface HandleProps {
  item: Item;
  side: 0 | 1;
  at: number;
  part: (at: number) => number;
  timeOf: (event: PointerEvent) => number;
  limits: Span;
}

/** A handle of a span: dragged, or moved by arrows. */
function Handle({ item, side, at, part, timeOf, limits }: HandleProps) {
  const keys = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    trim(side, at + step * (event.shiftKey ? 1 : 0.1));
  };
  return (
    <div
      class={side === 0 ? "handle start" : "handle end"}
      role="slider"
      tabIndex={0}
      aria-label={side === 0 ? "start of the event" : "end of the event"}
      aria-valuemin={limits[0]}
      aria-valuemax={limits[1]}
      aria-valuenow={at}
      aria-valuetext={moment(item, at, false, 1)}
      style={{ left: `${100 * part(at)}%` }}
      onKeyDown={keys}
      onPointerDown={(event) => {
        event.stopPropagation();
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={(event) => {
        if (event.currentTarget.hasPointerCapture(event.pointerId)) trim(side, timeOf(event));
      }}
      onPointerUp={(event) => event.stopPropagation()}
    />
  );
}

/** The times at both ends of the axis. */
function reach(item: Item, curve: Scores | null, near: boolean): Span {
  const low = curve?.start ?? item.start - 120;
  const high = Math.max(curve?.end ?? item.end + 120, low + 1);
  return near ? [Math.max(low, item.start - NEAR), Math.min(high, item.end + NEAR)] : [low, high];
}

function extremes(scores: number[]): number[] {
  let high = 0;
  for (const value of scores) if (value > high) high = value;
  return [high];
}

/** The curve as a path; where there are more times than columns, the highest and lowest score of each column. */
function path({ times, scores }: Scores, low: number, high: number, top: number): string {
  const points: string[] = [];
  let column = -1;
  let [least, most, x] = [0, 0, 0];
  const flush = () => {
    if (column < 0) return;
    points.push(`${x.toFixed(1)} ${(HEIGHT * (1 - most / top)).toFixed(1)}`);
    if (least < most) points.push(`${x.toFixed(1)} ${(HEIGHT * (1 - least / top)).toFixed(1)}`);
  };
  for (let n = 0; n < times.length; n++) {
    const share = (times[n]! - low) / (high - low);
    const value = Math.min(Math.max(scores[n] ?? 0, 0), top);
    if (share < 0 || share > 1) continue;
    const place = Math.floor(share * COLUMNS);
    if (place !== column) {
      flush();
      [column, least, most, x] = [place, value, value, share * WIDTH];
    } else {
      [least, most] = [Math.min(least, value), Math.max(most, value)];
    }
  }
  flush();
  return points.length ? `M${points.join(" L")}` : "M0 0";
}
