/** Models that learned from the verdicts: a new one can be trained, take over, or give way to the one before. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { HeldOut, Run, Runs, Training } from "../model";
import { Away, Refused, server } from "../server";
import { moment } from "../times";
import { Modal } from "./modal";

const INTERVAL = 2000; // ms between two looks while a model is trained

export function Models() {
  const read = useSignal<Runs | null>(null);
  const trouble = useSignal("");
  const busy = useSignal(false);
  const look = () => attempt(async () => void (read.value = await server.runs()));
  const attempt = async (work: () => Promise<unknown>) => {
    try {
      await work();
      trouble.value = "";
    } catch (error) {
      if (!(error instanceof Away) && !(error instanceof Refused)) throw error;
      trouble.value = error.message;
    }
  };
  const act = async (work: () => Promise<unknown>) => {
    busy.value = true;
    try {
      await attempt(async () => {
        await work();
        read.value = await server.runs();
      });
    } finally {
      busy.value = false;
    }
  };
  useEffect(() => {
    void look();
    const timer = setInterval(() => read.peek()?.training.state === "running" && void look(), INTERVAL);
    return () => clearInterval(timer);
  }, []);
  const now = read.value;
  return (
    <Modal title="Models">
      <p class={trouble.value ? "trouble" : "hidden"} role="alert">{trouble.value}</p>
      {!now && !trouble.value && <p class="dim">loading</p>}
      {now && <Learn now={now} busy={busy.value} start={(model) => void act(() => server.retrain(model))} />}
      {now && (
        <ul class="runs">
          {now.runs.map((run) => (
            <li key={run.sha}>
              <Learned run={run} busy={busy.value} act={(change) => void act(() => server[change](run.sha))} />
            </li>
          ))}
          {now.runs.length === 0 && <li class="dim">No model has learned from these verdicts yet.</li>}
        </ul>
      )}
    </Modal>
  );
}

function Learn({ now, busy, start }: { now: Runs; busy: boolean; start: (model: string | null) => void }) {
  const chosen = useSignal("");
  const { models, training } = now;
  if (!models.length) {
    return <p>The model of these alerts is not known here, so that none can be trained: open them with <code>--model RUN</code>.</p>;
  }
  const running = training.state === "running";
  const model = models.length > 1 ? chosen.value || models[0]! : null;
  return (
    <>
      <div class="learn">
        {models.length > 1 && (
          <select aria-label="model" value={model ?? ""} onChange={(event) => (chosen.value = event.currentTarget.value)}>
            {models.map((path) => <option key={path} value={path}>{nameOf(path)}</option>)}
          </select>
        )}
        <button class="small strong" disabled={busy || running} onClick={() => start(model)}>retrain</button>
        <span class={training.state === "failed" ? "trouble" : "dim"} role="status">{stateOf(training)}</span>
      </div>
      <p class="dim">A new model is trained on its videos and on the verdicts; a fifth of them is held out, and compares both.</p>
    </>
  );
}

function stateOf({ state, started, output, detail }: Training): string {
  const name = output === undefined ? "" : nameOf(output);
  if (state === "running") return `${name} is trained since ${moment({ clock: "wall" }, started ?? 0, false)}`;
  if (state === "done") return `${name} is trained`;
  return state === "failed" ? `not trained: ${detail ?? ""}` : "";
}

interface LearnedProps {
  run: Run;
  busy: boolean;
  act: (change: "promote" | "rollback") => void;
}

/** A model with its figures on the verdicts held out, beside those of the one that it came from. */
function Learned({ run, busy, act }: LearnedProps) {
  const { champion, challenger, promoted, reason } = run.held_out;
  return (
    <section aria-label={nameOf(run.folder)}>
      <h3>
        <bdi>{nameOf(run.folder)}</bdi>
        <span class="dim">{moment({ clock: "wall" }, run.at)}</span>
        {run.active && <span class="mark true">in use</span>}
      </h3>
      {champion && challenger && (
        <table>
          <thead>
            <tr><th>held out</th><th scope="col">false alarms</th><th scope="col">events found</th></tr>
          </thead>
          <tbody>
            <Figures name="before" of={champion} />
            <Figures name="this" of={challenger} />
          </tbody>
        </table>
      )}
      <p class={promoted ? "" : "dim"}>{reason ?? "It was not compared."}</p>
      {run.active && <button class="small" disabled={busy} onClick={() => act("rollback")}>roll back</button>}
      {!run.active && promoted && <button class="small strong" disabled={busy} onClick={() => act("promote")}>promote</button>}
    </section>
  );
}

function Figures({ name, of }: { name: string; of: HeldOut }) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>{of.false_alarms} of {of.false}</td>
      <td>{of.events_found} of {of.confirmed}</td>
    </tr>
  );
}

const nameOf = (path: string): string => path.replace(/\/+$/, "").split("/").at(-1) ?? path;
