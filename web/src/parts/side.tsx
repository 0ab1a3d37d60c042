/** The right side: nearest judged clips, budget of the camera, last verdicts. */

import { useSignal, useSignalEffect } from "@preact/signals";
import { select, undoStored, WORDS } from "../actions";
import type { Item, Stats } from "../model";
import { expected, waiting } from "../outbox";
import { Away, Refused, server } from "../server";
import { about, current, info, items, latest, settle } from "../state";
import { moment, nameOf, score, shortNameOf } from "../times";
import { Icon } from "./icon";
import { Thumb } from "./queue";

export const neighbours = about(async (item: Item) => {
  const near = await server.neighbours(item.id);
  const known = [...near.true, ...near.false].filter(({ id }) => !items.peek().has(id));
  if (known.length) settle(known);
  return near;
});
export const budgets = about((item: Item) => server.budget(item.camera));

export function Side() {
  const item = current.value;
  return (
    <aside class="side" aria-label="context">
      {item && <Near item={item} />}
      {item && <Used item={item} />}
      <Latest />
      <Numbers />
    </aside>
  );
}

function Near({ item }: { item: Item }) {
  const near = neighbours.of(item);
  return (
    <section>
      <h3>Look-alikes, judged</h3>
      <Clips title="true" list={near?.true ?? []} />
      <Clips title="false" list={near?.false ?? []} />
    </section>
  );
}

function Clips({ title, list }: { title: "true" | "false"; list: Item[] }) {
  return (
    <div class="near">
      <span class={`mark ${title}`}>{title}</span>
      <ul>
        {list.map((item) => (
          <li key={item.id}>
            <button title={`${nameOf(item)}, ${moment(item, item.start)}`} onClick={() => select(item.id)}>
              <Thumb item={item} />
              <span class="hidden">{nameOf(item)}, {moment(item, item.start)}</span>
            </button>
          </li>
        ))}
        {list.length === 0 && <li class="dim">none yet</li>}
      </ul>
    </div>
  );
}

function Used({ item }: { item: Item }) {
  const budget = info.value?.live ? budgets.of(item) : null;
  if (!budget || budget.per_day == null) return null;
  const used = budget.used_today ?? 0;
  return (
    <section>
      <h3>Budget of <bdi>{item.camera}</bdi></h3>
      <meter min={0} max={Math.max(budget.per_day, used, 1)} high={budget.per_day} value={used} aria-label="alerts today" />
      <p>
        {used} of {budget.per_day} alerts today
        {budget.upper != null && <span class="dim">; at most {score(budget.upper)} false a day (95 %)</span>}
        {budget.learning && <span class="dim">; learning</span>}
      </p>
    </section>
  );
}

function Latest() {
  const own = [...expected.value].filter(([, { verdict }]) => verdict !== null).reverse();
  const held = latest.value.filter(({ item }) => !expected.value.has(item));
  return (
    <section>
      <h3>Last verdicts</h3>
      <ul class="latest">
        {own.slice(0, 10).map(([id, { verdict }]) => (
          <li key={`own-${id}`}>
            <span class={`mark ${verdict}`}>{WORDS[verdict!]}</span>
            <Named id={id} />
            <span class="dim">waits</span>
          </li>
        ))}
        {held.slice(0, Math.max(0, 10 - own.length)).map((one) => (
          <li key={one.id}>
            <span class={`mark ${one.verdict}`}>{WORDS[one.verdict]}</span>
            <Named id={one.item} />
            <button class="plain" aria-label={`undo ${WORDS[one.verdict]}`} title="undo" onClick={() => undoStored(one)}>
              <Icon name="undo" />
            </button>
          </li>
        ))}
        {own.length + held.length === 0 && <li class="dim">none yet</li>}
      </ul>
    </section>
  );
}

function Named({ id }: { id: string }) {
  const item = items.value.get(id);
  if (!item) return <span class="name dim">…</span>;
  return (
    <button class="plain name" title={nameOf(item)} onClick={() => select(id)}>
      <bdi>{shortNameOf(item)}</bdi> <span class="dim">{moment(item, item.start, false)}</span>
    </button>
  );
}

function Numbers() {
  const stats = useSignal<Stats | null>(null);
  useSignalEffect(() => {
    void latest.value;
    if (waiting.value > 0) return;
    server.stats().then(
      (read) => (stats.value = read),
      (error: unknown) => {
        if (!(error instanceof Away) && !(error instanceof Refused)) throw error;
      },
    );
  });
  const now = stats.value;
  if (!now || !now.judged) return null;
  const { consistency, misses } = now;
  return (
    <section>
      <h3>So far</h3>
      <dl>
        <dt>judged</dt><dd>{now.judged}</dd>
        {now.median_seconds != null && <><dt>median time</dt><dd>{now.median_seconds.toFixed(1)} s</dd></>}
        {!!consistency?.shown_twice && (
          <><dt>same verdict again</dt><dd>{consistency.agree} of {consistency.shown_twice}</dd></>
        )}
        {!!misses?.audited && <><dt>missed in random clips</dt><dd>{misses.missed} of {misses.audited}</dd></>}
        {!!misses?.audited && misses.low != null && misses.high != null && (
          <><dt>share missed (95 %)</dt><dd>{percent(misses.low)} – {percent(misses.high)}</dd></>
        )}
      </dl>
    </section>
  );
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
