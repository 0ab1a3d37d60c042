/** Requests to the server of this page. */

import type { Budget, Curve, Info, Item, Judgement, Missed, Neighbours, Page, Runs, Stats, Stored, Undone } from "./model";

const PATIENCE = 10_000; // ms
const KEPT = 50_000; // characters of a body that a closing page may still send; browsers refuse 64 KiB in all

/** The server does not answer, or not now: the same request is worth another try. */
export class Away extends Error {}

/** The server refuses a request, with a reason for people. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    reason: string,
  ) {
    super(reason);
  }
}

async function ask<T>(path: string, method = "GET", body?: unknown): Promise<T> {
  const request: RequestInit & { body?: string } = { method, signal: AbortSignal.timeout(PATIENCE) };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.keepalive = request.body.length < KEPT;
    request.headers = { "content-type": "application/json" };
  }
  let answer: Response;
  try {
    answer = await fetch(`/api/v1/${path}`, request);
    if (answer.ok) return (await answer.json()) as T;
  } catch {
    throw new Away("no answer from the server");
  }
  const text = await answer.text().catch(() => "");
  if (answer.status >= 500 || answer.status === 429 || answer.status === 408) throw new Away(reason(text));
  throw new Refused(answer.status, reason(text) || `status ${answer.status}`);
}

function reason(text: string): string {
  try {
    const { detail } = JSON.parse(text) as { detail?: unknown };
    return typeof detail === "string" ? detail : "the request is not valid";
  } catch {
    return text.slice(0, 300);
  }
}

const id = encodeURIComponent;

export const fileOf = (item: string, name: "clip.mp4" | "thumb.webp" | "heat.webp"): string =>
  `/api/v1/items/${id(item)}/${name}`;

export const server = {
  info: () => ask<Info>("info"),
  stats: () => ask<Stats>("stats"),
  item: (item: string) => ask<Item>(`items/${id(item)}`),
  curve: (item: string) => ask<Curve>(`items/${id(item)}/curve`),
  neighbours: (item: string) => ask<Neighbours>(`items/${id(item)}/neighbours`),
  budget: (camera: string) => ask<Budget>(`cameras/${id(camera)}/budget`),
  review: (query: Record<string, string>) => ask<Page>(`review?${new URLSearchParams(query)}`),
  latest: (limit: number) => ask<{ verdicts: Stored[]; items: Item[] }>(`verdicts?limit=${limit}`),
  judge: (verdicts: Judgement[]) =>
    ask<{ verdicts: Stored[]; items: Item[] }>("verdicts", "POST", { verdicts }),
  undo: (keys: string[]) => ask<Undone>("verdicts/undo", "POST", { keys }),
  undoNumbered: (verdict: number) => ask<Undone>(`verdicts/${verdict}`, "DELETE"),
  missed: (missed: Missed) => ask<{ item: Item; verdict: Stored }>("missed", "POST", missed),
  snooze: (camera: string, minutes: number, zone: string | null) =>
    ask<unknown>("snooze", "POST", zone === null ? { camera, minutes } : { camera, minutes, zone }),
  runs: () => ask<Runs>("runs"),
  retrain: (model: string | null) => ask<unknown>("retrain", "POST", { model }),
  promote: (sha: string) => ask<unknown>(`models/${id(sha)}/promote`, "POST", {}),
  rollback: (sha: string) => ask<unknown>(`models/${id(sha)}/rollback`, "POST", {}),
};

/** Calls `changed` with the ids of items that changed, and `opened` whenever the connection is there (again).
 *
 * Only a visible page holds a connection: browsers open six to a server, for all their windows together.
 */
export function listen(changed: (ids: string[]) => void, opened: () => void, lost: () => void): void {
  let stream: EventSource | null = null;
  let wait = 1000;
  const open = () => {
    stream?.close();
    if (document.hidden) return;
    const one = (stream = new EventSource("/api/v1/stream"));
    one.onopen = () => {
      wait = 1000;
      opened();
    };
    one.onerror = () => {
      lost();
      if (one.readyState === EventSource.CLOSED && stream === one) {
        stream = null;
        setTimeout(() => stream === null && open(), wait);
        wait = Math.min(2 * wait, 30_000);
      }
    };
    one.addEventListener("items", (event) => changed((JSON.parse(event.data as string) as { ids: string[] }).ids));
  };
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) return open();
    stream?.close();
    stream = null;
  });
  open();
}
