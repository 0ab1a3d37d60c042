import { render } from "preact";
import { listenToKeys } from "./keys";
import { clips } from "./clips";
import { start, send } from "./outbox";
import { App } from "./parts/app";
import { budgets, neighbours } from "./parts/side";
import { curves } from "./parts/curve";
import { Away, Refused, listen, server } from "./server";
import { guarded, info, latest, readQueue, refresh, remove, say, settle } from "./state";
import "./page.css";

const PAUSE = 200; // ms in which changes are gathered
const AGAIN = 2000; // ms until the first request is tried again
const LONGEST = 1000; // ms that the first read waits for the stream of changes, so that none is missed between both

async function begin(): Promise<void> {
  const read = await guarded(async () => {
    info.value = await server.info();
  });
  if (!read || !info.value) return void setTimeout(begin, AGAIN);
  start(
    info.value.store ?? "",
    (items, verdicts, gone) => {
      settle(items, verdicts);
      remove(gone);
      if (verdicts.length) neighbours.forget();
    },
    (reason, item) => {
      say(reason, true);
      if (item !== null) void refresh([item]);
    },
  );
  listen(gather, opened, () => void send());
  setTimeout(beginToRead, LONGEST);
}

async function readLatest(): Promise<void> {
  try {
    const { verdicts, items } = await server.latest(10);
    settle(items);
    latest.value = verdicts;
  } catch (error) {
    if (!(error instanceof Away) && !(error instanceof Refused)) throw error;
  }
}

let isRead = false;

function beginToRead(): void {
  if (isRead) return;
  isRead = true;
  void readQueue();
  void readLatest();
}

/** The stream of changes is there: what was missed meanwhile is read anew. */
function opened(): void {
  void send();
  if (!isRead) return beginToRead();
  curves.forget();
  neighbours.forget();
  budgets.forget();
  clips.retry();
  void readQueue(true);
  void readLatest();
}

const changed = new Set<string>();

function gather(ids: string[]): void {
  if (!changed.size) {
    setTimeout(() => {
      const all = [...changed];
      changed.clear();
      void refresh(all);
    }, PAUSE);
  }
  for (const id of ids) changed.add(id);
}

listenToKeys();
render(<App />, document.getElementById("page")!);
void begin();
