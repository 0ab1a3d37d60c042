/** Drawn signs, in the colour of the text. */

const PATHS = {
  true: "M4 12.5l5 5L20 6.5",
  false: "M6 6l12 12M18 6L6 18",
  unsure: "M8.5 9a3.5 3.5 0 1 1 5 3.2c-1 .5-1.5 1-1.5 2.3M12 18.4v.1",
  wrong_place: "M12 3v5M12 16v5M3 12h5M16 12h5M12 12v.1",
  missed: "M12 5v14M5 12h14",
  undo: "M9 6L4 11l5 5M4 11h10a6 6 0 0 1 0 9h-3",
  play: "M8 5l11 7-11 7z",
  pause: "M8 5v14M16 5v14",
  heat: "M12 3c4 5 6 7.5 6 11a6 6 0 0 1-12 0c0-2 1-3.500 2.500-5 .5 1.500 1 2 2 2.500C11 8.500 11 6 12 3z",
  stack: "M7 4h13v13M4 8h12v12H4z",
  queue: "M4 6h16M4 12h16M4 18h10",
  snooze: "M12 7v5l3.500 2M12 3a9 9 0 1 0 .1 0z",
  keys: "M3 6h18v12H3zM7 10h.1M11 10h.1M15 10h.1M8 14h8",
  models: "M12 3l8 4.500-8 4.500-8-4.500zM4 12l8 4.500 8-4.500M4 16.500l8 4.500 8-4.500",
  system: "M4 5h16v11H4zM9 20h6M12 16v4",
  dark: "M20 14.500A8.500 8.500 0 0 1 9.500 4 8.500 8.500 0 1 0 20 14.500z",
  light: "M12 8a4 4 0 1 0 .1 0zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.500 1.500M17.500 17.500L19 19M19 5l-1.500 1.500M6.500 17.500L5 19",
  lens: "M10.500 4a6.500 6.500 0 1 0 .1 0zM15.500 15.500L21 21",
} as const;

export type Sign = keyof typeof PATHS;

export function Icon({ name }: { name: Sign }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
