/** The whole page. */

import { dialog, queueOpen } from "../actions";
import { link, waiting } from "../outbox";
import { counts, info, message } from "../state";
import { THEMES, choose, theme } from "../theme";
import { Bar } from "./bar";
import { Curve } from "./curve";
import { Dialogs } from "./dialogs";
import { Icon } from "./icon";
import { Queue } from "./queue";
import { Side } from "./side";
import { Stage } from "./stage";

export function App() {
  return (
    <>
      <header>
        <button class="small drawer" aria-expanded={queueOpen.value} onClick={() => (queueOpen.value = !queueOpen.value)}>
          <Icon name="queue" />queue
        </button>
        <h1>Review</h1>
        <span class="left">{counts.value.open.toLocaleString("en")} open</span>
        <span class="gap" />
        <Link />
        <button class="small" onClick={() => (dialog.value = "models")}><Icon name="models" /><span class="word">models</span></button>
        <Theme />
        {info.value?.live && <a href="/">cameras</a>}
      </header>
      <main>
        {queueOpen.value && <div class="shade" onClick={() => (queueOpen.value = false)} />}
        <Queue />
        <div class="middle">
          <Stage />
          <Bar />
          <Curve />
        </div>
        <Side />
      </main>
      <Said />
      <Dialogs />
    </>
  );
}

/** Goes through the themes. */
function Theme() {
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length]!;
  return (
    <button class="small" aria-label={`theme: ${theme.value}`} title={`theme: ${theme.value}; ${next}: click`} onClick={() => choose(next)}>
      <Icon name={theme.value} />
    </button>
  );
}

/** Whether the server answers, and how many verdicts wait for it. */
function Link() {
  const number = waiting.value;
  const texts = { connecting: "connecting", ok: "", lost: "no answer from the server", "signed out": "signed out: open the address with its token" };
  const state = texts[link.value];
  const waits = number > 0 && link.value !== "ok" ? `${number} ${number === 1 ? "verdict waits" : "verdicts wait"} in this browser` : "";
  return (
    <span class={state && link.value !== "connecting" ? "link lost" : "link"} role="status">
      {[state, waits].filter(Boolean).join("; ")}
    </span>
  );
}

/** What was done last, for eyes and for screen readers. */
function Said() {
  const { text, urgent, number } = message.value ?? { text: "", urgent: false, number: 0 };
  const words = text && <span key={number}>{text}</span>;
  return (
    <div class={urgent ? "said urgent" : "said"}>
      <p aria-live="polite">{!urgent && words}</p>
      <p role="alert">{urgent && words}</p>
    </div>
  );
}
