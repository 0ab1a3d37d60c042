/** The clip that plays, and those of the next items, which are loaded ahead. */

import { signal } from "@preact/signals";
import { chosenAt } from "./actions";
import type { Item } from "./model";
import { fileOf } from "./server";

const SIZE = 4; // the clip that plays and the next three
const SHORTEST = 5; // seconds of a loop
const MARGIN = 1; // seconds before and after the event

/** What the middle of the page shows: nothing yet, a picture, or why there is none. */
export type Showing = "loading" | "playing" | "missing";

interface Slot {
  video: HTMLVideoElement;
  item: Item | null;
}

/** Start and end of the loop, in seconds of the file. */
export function loopOf(item: Item, duration: number): [number, number] {
  const missing = Math.max(0, SHORTEST - (item.clip.end - item.clip.start) - 2 * MARGIN) / 2;
  const start = Math.max(0, item.clip.start - MARGIN - missing);
  return [start, Math.min(duration, Math.max(item.clip.end + MARGIN + missing, start + SHORTEST))];
}

class Clips {
  readonly showing = signal<Showing>("loading");
  /** Width / height of the picture. */
  readonly shape = signal(16 / 9);
  /** Called with the time in the file whenever another picture is shown. */
  onPicture: (time: number) => void = () => {};
  private slots: Slot[] = [];
  private shown: Slot | null = null;
  private measured = 0;
  private playing = true;
  private speed = 1;

  /** Puts the players into an element. */
  attach(parent: HTMLElement): void {
    this.slots = [...Array(SIZE)].map(() => {
      const video = document.createElement("video");
      video.muted = video.playsInline = true;
      video.disableRemotePlayback = true;
      video.preload = "auto";
      video.tabIndex = -1;
      video.setAttribute("aria-hidden", "true");
      const slot: Slot = { video, item: null };
      video.addEventListener("loadedmetadata", () => this.begin(slot));
      video.addEventListener("error", () => slot === this.shown && slot.item && (this.showing.value = "missing"));
      video.addEventListener("ended", () => this.restart(slot));
      this.follow(slot);
      parent.append(video);
      return slot;
    });
  }

  /** Plays the clip of the first item and loads those of the others. */
  show(wanted: readonly Item[], playing: boolean, speed: number): void {
    const first = wanted[0];
    const ids = new Set(wanted.map(({ id }) => id));
    for (const slot of this.slots) if (slot.item && !ids.has(slot.item.id)) this.release(slot);
    for (const item of wanted) {
      if (!item.has_clip || this.slots.some((slot) => slot.item?.id === item.id)) continue;
      const slot = this.slots.find((one) => one.item === null);
      if (!slot) break;
      slot.item = item;
      slot.video.src = fileOf(item.id, "clip.mp4");
    }
    const before = this.shown;
    this.shown = this.slots.find((slot) => slot.item !== null && slot.item.id === first?.id) ?? null;
    for (const { video } of this.slots) video.classList.toggle("shown", video === this.shown?.video);
    if (before && before !== this.shown) before.video.pause();
    if (!this.shown) {
      this.showing.value = first ? "missing" : "loading";
      return;
    }
    const { video, item } = this.shown;
    if (before !== this.shown) {
      const ready = video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
      this.showing.value = video.error ? "missing" : ready ? "playing" : "loading";
      if (video.videoWidth) this.shape.value = video.videoWidth / video.videoHeight;
      if (before && item && Math.abs(video.currentTime - this.loop(this.shown)[0]) > 0.3) this.restart(this.shown);
    }
    [this.playing, this.speed] = [playing, speed];
    video.playbackRate = speed;
    if (playing) void video.play().catch(() => {});
    else video.pause();
  }

  /** The time of the selected item that is to be seen, in the item's time; null without a picture. */
  time(): number | null {
    const { item, video } = this.shown ?? {};
    return item && video && video.readyState >= HTMLMediaElement.HAVE_METADATA ? item.clip.offset + video.currentTime : null;
  }

  /** Takes the shape of a picture that stands for the clip, until the clip is there. */
  likeStill({ naturalWidth, naturalHeight }: HTMLImageElement): void {
    if (this.showing.value !== "playing" && naturalHeight) this.shape.value = naturalWidth / naturalHeight;
  }

  /** Loads the clips again that failed. */
  retry(): void {
    for (const { video, item } of this.slots) if (item && video.error) video.load();
    const { video } = this.shown ?? {};
    if (video && this.showing.value === "missing") {
      this.showing.value = "loading";
      video.playbackRate = this.speed;
      if (this.playing) void video.play().catch(() => {});
    }
  }

  /** Shows the picture of a time, in the item's time; whether the clip has it. */
  seek(at: number): boolean {
    const { item, video } = this.shown ?? {};
    const target = item ? at - item.clip.offset : -1;
    if (!video || !(target >= 0 && target <= video.duration)) return false;
    video.currentTime = target;
    return true;
  }

  private release(slot: Slot): void {
    slot.item = null;
    slot.video.pause();
    slot.video.removeAttribute("src");
    slot.video.load();
  }

  private loop({ item, video }: Slot): [number, number] {
    return item ? loopOf(item, Number.isFinite(video.duration) ? video.duration : Infinity) : [0, Infinity];
  }

  private begin(slot: Slot): void {
    if (!slot.item) return;
    if (this.loop(slot)[0] > 0) this.restart(slot);
    if (slot === this.shown) this.shape.value = slot.video.videoWidth / slot.video.videoHeight;
  }

  private restart(slot: Slot): void {
    slot.video.currentTime = this.loop(slot)[0];
    if (slot.video.ended && slot === this.shown) void slot.video.play().catch(() => {});
  }

  /** Watches the pictures of a player: notes the first one, and returns to the start at the end of the loop. */
  private follow(slot: Slot): void {
    const { video } = slot;
    const picture = () => {
      video.requestVideoFrameCallback(picture);
      if (slot !== this.shown) return;
      this.showing.value = "playing";
      if (chosenAt.time > this.measured && !video.paused) {
        this.measured = chosenAt.time;
        performance.measure("next-clip", { start: chosenAt.time, end: performance.now() });
      }
      this.onPicture(video.currentTime);
      const [start, end] = this.loop(slot);
      if (video.currentTime >= end && !video.paused) video.currentTime = start;
    };
    video.requestVideoFrameCallback(picture);
  }
}

export const clips = new Clips();
