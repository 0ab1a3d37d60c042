/** What the server sends and takes. */

export const VERDICTS = ["true", "false", "wrong_place", "missed", "unsure"] as const;
export type Verdict = (typeof VERDICTS)[number];
export const STATES = ["open", "judged", "used", "expired"] as const;
export type State = (typeof STATES)[number];
/** Left, top, width and height, in fractions of the picture. */
export type Box = [number, number, number, number];

export interface Stored {
  id: number;
  key: string | null;
  item: string;
  verdict: Verdict;
  start: number | null;
  end: number | null;
  box: Box | null;
  category: string | null;
  note: string | null;
  seconds: number | null;
  at: number;
  user: string | null;
}

export interface Item {
  id: string;
  camera: string;
  start: number;
  end: number;
  clock: "wall" | "video";
  video: string | null;
  score: number;
  threshold: number;
  severity: "alert" | "detection";
  source: string;
  /** What the data set calls the video of a label to check; null for other items. */
  label: string | null;
  box: Box | null;
  zones: string[];
  cluster: number | null;
  cluster_size: number;
  state: State;
  verdict: Stored | null;
  has_clip: boolean;
  has_thumb: boolean;
  has_heat: boolean;
  clip: { start: number; end: number; offset: number };
}

export interface Page {
  items: Item[];
  cursor: string | null;
  total: number;
  counts: Record<State, number>;
}

/** A verdict on its way to the server; the server stores a key once. */
export interface Judgement {
  key: string;
  item: string;
  verdict: Verdict;
  start?: number;
  end?: number;
  box?: Box;
  category?: string;
  seconds?: number;
}

/** An event that the model did not report, dragged on the curve of an item. */
export interface Missed {
  key: string;
  item: string;
  start: number;
  end: number;
  category?: string;
}

export interface Curve {
  times: number[];
  scores: number[];
  threshold: number;
  start: number;
  end: number;
}

export interface Neighbours {
  true: Item[];
  false: Item[];
}

export interface Info {
  version: string;
  live: boolean;
  cameras: string[];
  classes: string[];
  user: string;
  retrain: boolean;
  store?: string;
}

export interface Budget {
  per_day?: number | null;
  used_today?: number;
  upper?: number | null;
  learning?: boolean;
}

export interface Stats {
  judged: number;
  median_seconds: number | null;
  consistency?: { shown_twice: number; agree: number };
  misses?: { audited: number; missed: number; low: number | null; high: number | null };
}

/** Items whose verdicts were taken back, and ids of those that went with them. */
export interface Undone {
  items: Item[];
  gone?: string[];
}

/** Verdicts held out, as a model judges them. */
export interface HeldOut {
  false_alarms: number;
  false: number;
  events_found: number;
  confirmed: number;
}

/** A model that learned from verdicts, beside the one that it came from. */
export interface Run {
  sha: string;
  parent_sha: string;
  folder: string;
  at: number;
  active: boolean;
  held_out: { champion?: HeldOut; challenger?: HeldOut; promoted?: boolean; reason?: string };
}

export interface Training {
  state: "idle" | "running" | "done" | "failed";
  started?: number;
  output?: string;
  detail?: string;
}

export interface Runs {
  runs: Run[];
  models: string[];
  training: Training;
}
