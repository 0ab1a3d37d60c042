/** Times for people. */

import type { Item } from "./model";

const two = (value: number): string => String(value).padStart(2, "0");

/** Date and time of a moment on the wall clock, or minutes and seconds in a video. */
export function moment(item: Pick<Item, "clock">, at: number, withDate = true, digits = 0): string {
  const rounded = Math.round(at * 10 ** digits) / 10 ** digits;
  const part = digits ? (rounded % 1).toFixed(digits).slice(1) : "";
  if (item.clock === "wall") {
    const date = new Date(Math.floor(rounded) * 1000);
    const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}${part}`;
    const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    return withDate ? `${day} ${clock}` : clock;
  }
  const seconds = Math.max(0, Math.floor(rounded));
  const hours = Math.floor(seconds / 3600);
  const minutes = `${Math.floor((seconds % 3600) / 60)}`;
  return `${hours ? `${hours}:${two(Number(minutes))}` : minutes}:${two(seconds % 60)}${part}`;
}

/** The camera, or the video where there is no wall time. */
export const nameOf = (item: Item): string => (item.clock === "video" && item.video ? item.video : item.camera);

/** The same without the folders of a video, for narrow places. */
export const shortNameOf = (item: Item): string =>
  item.clock === "video" ? (nameOf(item).replace(/\/+$/, "").split("/").at(-1) ?? "") : item.camera;

export const score = (value: number): string => value.toFixed(2);
