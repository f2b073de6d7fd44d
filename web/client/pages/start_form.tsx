/**
 * Starts a scenario.
 * @module
 */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Mode, RunInfo, ScenarioList, StartRun, Via } from "../../api.ts";
import { Skeleton } from "../components/parts.tsx";
import { postJson, type RequestError, token } from "../state/request.ts";
import { announcement, route, setExtra } from "../state/store.ts";

/** The form; what is chosen is in the address. */
export function StartForm({ scenarios, canStart, isKnown, onStarted }: {
  readonly scenarios: ScenarioList | null;
  readonly canStart: boolean;
  /** Whether `canStart` has been asked for. */
  readonly isKnown: boolean;
  readonly onStarted: (run: RunInfo) => void;
}): JSX.Element {
  const isBusy = useSignal(false);
  const problem = useSignal<string | null>(null);
  const seed = useSignal("");
  const { extra } = route.value;
  const row = scenarios?.scenarios.find(({ name }) => name === extra["scenario"]) ??
    scenarios?.scenarios[0];
  const modes = row?.modes.filter((mode) => scenarios!.modes.includes(mode)) ?? [];
  const vias = row?.vias.filter((via) => scenarios!.vias.includes(via)) ?? [];
  const mode = modes.find((each) => each === extra["mode"]) ??
    modes.find((each) => each === "remap") ?? modes[0];
  const via = vias.find((each) => each === extra["via"]) ?? vias[0];
  const why = !isKnown
    ? null
    : !canStart
    ? "A command line owns the runs of this dashboard."
    : token() === null
    ? "To start runs, open the link that the command printed: it carries the token."
    : row !== undefined && (mode === undefined || via === undefined)
    ? "This scenario runs in no mode and via that this version has."
    : null;

  async function start(event: Event): Promise<void> {
    event.preventDefault();
    if (row === undefined || mode === undefined || via === undefined) return;
    const text = seed.value.trim();
    if (text !== "" && !(/^\d{1,10}$/.test(text) && Number(text) < 2 ** 32)) {
      problem.value = "A seed is a number from 0 to 4294967295.";
      return;
    }
    isBusy.value = true;
    problem.value = null;
    const body: StartRun = {
      scenario: row.name,
      mode,
      via,
      ...(text === "" ? {} : { seed: Number(text) }),
    };
    try {
      const run = await postJson<RunInfo>("/api/runs", body);
      announcement.value = `Run ${run.id} of ${run.scenario} is asked for`;
      onStarted(run);
    } catch (error) {
      problem.value = (error as RequestError).message;
    }
    isBusy.value = false;
  }

  return (
    <section class="panel" aria-labelledby="start-title">
      <h2 id="start-title" class="unseen">Start a run</h2>
      {scenarios === null ? <Skeleton rows={2} /> : (
        <form class="form" onSubmit={start}>
          <label class="field grow">
            Scenario
            <select
              id="start-scenario"
              value={row?.name ?? ""}
              onChange={(event) => setExtra("scenario", event.currentTarget.value, "replace")}
            >
              {scenarios.scenarios.map(({ name }) => <option key={name} value={name}>{name}
              </option>)}
            </select>
          </label>
          <Picker<Mode> name="Mode" parameter="mode" values={modes} value={mode} />
          <Picker<Via> name="Via" parameter="via" values={vias} value={via} />
          <label class="field">
            Seed
            <input
              type="text"
              inputmode="numeric"
              size={11}
              placeholder="random"
              value={seed.value}
              onInput={(event) => seed.value = event.currentTarget.value}
            />
          </label>
          <button
            type="submit"
            class="primary"
            disabled={isBusy.value || why !== null || row === undefined || !isKnown}
          >
            Start
          </button>
          <p class="start-title muted">{row?.title}</p>
        </form>
      )}
      {why !== null && <p class="start-note muted">{why}</p>}
      {problem.value !== null && <p class="error-text start-note" role="alert">{problem.value}</p>}
    </section>
  );
}

function Picker<T extends string>({ name, parameter, values, value }: {
  readonly name: string;
  readonly parameter: string;
  readonly values: readonly T[];
  readonly value: T | undefined;
}): JSX.Element {
  return (
    <fieldset class="field plain">
      <legend>{name}</legend>
      <div class="segments">
        {values.map((each) => (
          <button
            key={each}
            type="button"
            aria-pressed={each === value}
            onClick={() => setExtra(parameter, each, "replace")}
          >
            {each}
          </button>
        ))}
      </div>
    </fieldset>
  );
}
