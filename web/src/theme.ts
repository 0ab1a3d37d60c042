/** Dark or light: as the system has it, unless a person chose one, which this browser remembers. */

import { effect, signal } from "@preact/signals";

export const THEMES = ["system", "dark", "light"] as const;
export type Theme = (typeof THEMES)[number];

const NAME = "wherewhen:theme";

function read(): Theme {
  try {
    return THEMES.find((one) => one === localStorage.getItem(NAME)) ?? "system";
  } catch {
    return "system"; // storage is forbidden
  }
}

export const theme = signal<Theme>(read());

effect(() => {
  document.documentElement.dataset["theme"] = theme.value;
});
addEventListener("storage", (event) => {
  if (event.key === NAME) theme.value = read();
});

export function choose(name: Theme): void {
  theme.value = name;
  try {
    localStorage.setItem(NAME, name);
  } catch {
    // It holds until the page is closed.
  }
}
