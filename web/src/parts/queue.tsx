/** The queue: tabs by state, filters, and a list that holds only the lines to be seen. */

import { useEffect, useRef, useState } from "preact/hooks";
import { fold, queueOpen, select, WORDS } from "../actions";
import { STATES, type Item } from "../model";
import { fileOf } from "../server";
import {
  arrived, change, counts, info, isRead, items, order, place, query, readOn, readQueue, rows, selected, stateOf, total,
  verdictOf, type Query, type Row, type Sort,
} from "../state";
import { moment, nameOf, score, shortNameOf } from "../times";
import { Icon } from "./icon";

const HEIGHT = 68; // pixels of a line, as in page.css
const SPARE = 6; // lines above and below those to be seen

const SORTS: Record<Sort, string> = { uncertain: "most useful first", score: "highest score first", time: "newest first" };
const SOURCES = ["alert", "detection", "audit", "missed", "label", "search"];

export function Queue() {
  return (
    <section class={queueOpen.value ? "queue open" : "queue"} aria-label="queue">
      <Tabs />
      <Filters />
      {arrived.value > 0 && (
        <button class="arrived" onClick={() => void readQueue()}>
          {arrived.value} new: show
        </button>
      )}
      <List />
    </section>
  );
}

function Tabs() {
  return (
    <div class="tabs" role="group" aria-label="state">
      {STATES.map((state) => (
        <button key={state} aria-pressed={query.value.state === state} onClick={() => change({ state })}>
          {state} <span class="count">{counts.value[state].toLocaleString("en")}</span>
        </button>
      ))}
    </div>
  );
}

function Filters() {
  const { camera, source, sort } = query.value;
  const pick = (name: keyof Query) => (event: Event) => {
    const list = event.target as HTMLSelectElement;
    list.blur(); // the next key is about the clip
    change({ [name]: list.value });
  };
  return (
    <div class="filters">
      <select aria-label="camera" value={camera} onChange={pick("camera")}>
        <option value="">all cameras</option>
        {info.value?.cameras.map((name) => <option key={name} value={name}>{name}</option>)}
      </select>
      <select aria-label="source" value={source} onChange={pick("source")}>
        <option value="">all sources</option>
        {SOURCES.map((name) => <option key={name}>{name}</option>)}
      </select>
      <select aria-label="order" value={sort} onChange={pick("sort")} class="wide">
        {Object.entries(SORTS).map(([name, text]) => <option key={name} value={name}>{text}</option>)}
      </select>
    </div>
  );
}

function List() {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  const lines = rows.value;
  const index = place.value;
  useEffect(() => {
    const list = box.current!;
    const see = () => setView({ top: list.scrollTop, height: list.clientHeight });
    const observer = new ResizeObserver(see);
    observer.observe(list);
    list.addEventListener("scroll", see, { passive: true });
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const list = box.current!;
    if (index < 0) return;
    const [top, bottom] = [index * HEIGHT, (index + 1) * HEIGHT];
    if (top < list.scrollTop) list.scrollTop = Math.max(0, top - HEIGHT);
    else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight + HEIGHT;
  }, [index, selected.value]);
  const first = Math.max(0, Math.floor(view.top / HEIGHT) - SPARE);
  const last = Math.ceil((view.top + view.height) / HEIGHT) + SPARE;
  useEffect(() => void readOn(Math.max(last, index)), [last, index, order.value]);
  const there = lines[index];
  return (
    <div
      class="list"
      ref={box}
      role="listbox"
      tabIndex={0}
      aria-label="items"
      aria-activedescendant={there && index >= first && index < last ? `row-${index}` : undefined}
    >
      {lines.length > 0 && (
        <div role="presentation" class="lines" style={{ height: `${lines.length * HEIGHT}px` }}>
          {lines.slice(first, last).map((row, n) => (
            <Line key={row.id} row={row} index={first + n} chosen={first + n === index} />
          ))}
        </div>
      )}
      {lines.length === 0 && <p class="none" role="option" aria-selected={false}>{isRead.value ? nothing() : "loading"}</p>}
    </div>
  );
}

const nothing = (): string => (query.value.state === "open" ? "Nothing left to judge." : `No ${query.value.state} items.`);

function Line({ row, index, chosen }: { row: Row; index: number; chosen: boolean }) {
  const item = items.value.get(chosen && selected.value ? selected.value : row.id) ?? items.value.get(row.id)!;
  const verdict = verdictOf(item);
  return (
    <div
      id={`row-${index}`}
      class={chosen ? "line chosen" : "line"}
      role="option"
      aria-selected={chosen}
      aria-setsize={Math.max(total.value, rows.value.length)}
      aria-posinset={index + 1}
      style={{ transform: `translateY(${index * HEIGHT}px)` }}
      onClick={() => {
        select(row.id);
        queueOpen.value = false;
      }}
    >
      <Thumb item={item} />
      <span class="words">
        <bdi class="name" title={nameOf(item)}>{shortNameOf(item)}</bdi>
        <span class="time">{moment(item, item.start)}</span>
      </span>
      <span class="marks">
        <Score item={item} />
        {verdict !== null && query.value.state !== "open" && <span class={`mark ${verdict}`}>{WORDS[verdict]}</span>}
        {verdict !== null && query.value.state === "open" && stateOf(item) !== "open" && (
          <span class={`mark ${verdict}`}>{WORDS[verdict]}</span>
        )}
        {row.size > 1 && (
          <span
            class="size"
            title="look-alikes: show or hide (G)"
            onClick={(event) => {
              event.stopPropagation();
              fold(item);
            }}
          >
            <Icon name="stack" />{row.size}{row.more && "+"}<span class="hidden"> look-alikes</span>
          </span>
        )}
      </span>
    </div>
  );
}

export function Score({ item }: { item: Item }) {
  const above = item.score >= item.threshold;
  return (
    <span class={above ? "score above" : "score"} title={`threshold ${score(item.threshold)}`}>
      <span class="hidden">score </span>{score(item.score)}
    </span>
  );
}

export function Thumb({ item }: { item: Item }) {
  return item.has_thumb ? (
    <img class="thumb" src={fileOf(item.id, "thumb.webp")} alt="" loading="lazy" decoding="async" />
  ) : (
    <span class="thumb" />
  );
}
