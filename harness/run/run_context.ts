/**
 * A scenario's side of a run: steps, checks, randomness and logs, over the
 * machine it runs on. Everything is told at once through `emit`, so that a run
 * that is cut off has still told how far it came.
 * @module
 */

import { AsyncLocalStorage } from "node:async_hooks";
import type { DeviceType } from "../../devices/pci/pci_device.ts";
import { difference } from "./difference.ts";
import type { Machine } from "../machine/machine.ts";
import type { RunWatch } from "../observe/run_watch.ts";
import type { Random } from "../random.ts";
import type { RunEvent } from "./run_events.ts";
import type {
  DmaBuffer,
  DmaBufferOptions,
  FaultReport,
  MachineIommu,
  MachineMemory,
  MigrateOptions,
  Mode,
  Plugged,
  PlugOptions,
  ScenarioContext,
  Via,
} from "../scenario.ts";

/** Milliseconds between two progress events. */
const PROGRESS_INTERVAL_MS = 50;

/** What a context is made of. */
export interface RunContextOptions {
  readonly mode: Mode;
  readonly via: Via;
  readonly seed: number;
  readonly random: Random;
  readonly machine: Machine;
  /** Who watches the run, if anybody does. */
  readonly watch?: RunWatch | null;
  readonly emit: (event: RunEvent) => void;
  /** Called when a step has begun, and when it has ended. */
  readonly onStep?: () => void;
}

/** A step as the trace shows it, in scenario time. */
export interface StepSpan {
  /** Which it is, by beginnings, from 0. */
  readonly step: number;
  readonly name: string;
  readonly startNs: number;
  readonly endNs: number;
  readonly ok: boolean;
  /** Wall-clock milliseconds. */
  readonly durationMs: number;
}

/** {@linkcode ScenarioContext} over a {@linkcode Machine}. */
export class RunContext implements ScenarioContext {
  readonly mode: Mode;
  readonly via: Via;
  readonly seed: number;
  readonly iommu: MachineIommu;
  readonly memory: MachineMemory;
  readonly clock: ScenarioContext["clock"];
  /** Steps that ended, in order of their end. */
  readonly spans: StepSpan[] = [];
  readonly #random: Random;
  readonly #machine: Machine;
  readonly #watch: RunWatch | null;
  readonly #emit: (event: RunEvent) => void;
  readonly #onStep: () => void;
  /** Follows promises, so that steps that run at the same time nest each in its own parent. */
  readonly #path = new AsyncLocalStorage<readonly string[]>();
  #steps = 0;
  /** Names of steps that go on, by number. */
  readonly #open = new Map<number, string>();
  #progressAt = -Infinity;
  #ended = false;

  constructor(options: RunContextOptions) {
    this.mode = options.mode;
    this.via = options.via;
    this.seed = options.seed;
    this.#random = options.random;
    this.#machine = options.machine;
    this.#watch = options.watch ?? null;
    this.#emit = options.emit;
    this.#onStep = options.onStep ?? (() => {});
    this.iommu = options.machine.iommu;
    this.memory = options.machine.memory;
    const { clock } = options.machine;
    this.clock = this.#watch?.watchClock(clock) ?? clock;
  }

  /** Steps that have begun and not ended, in order of their beginnings. */
  get openSteps(): readonly string[] {
    return [...this.#open.values()];
  }

  /** From now on every call of the scenario is one that it forgot to wait for, and throws. */
  end(): void {
    this.#ended = true;
  }

  plug<Options, Driver>(
    type: DeviceType<Options, Driver>,
    options: Options,
    placement?: PlugOptions,
  ): Promise<Plugged<Driver>> {
    this.#mustRun("plug");
    if (this.#watch !== null) return this.#watch.plug(this.#machine, type, options, placement);
    return this.#machine.plug(type, options, placement);
  }

  async migrate(device: Plugged<unknown>, options?: MigrateOptions): Promise<void> {
    this.#mustRun("migrate");
    await this.#machine.migrate(device.endpoint, options);
  }

  dmaBuffer(
    device: Plugged<unknown>,
    length: number,
    options?: DmaBufferOptions,
  ): Promise<DmaBuffer> {
    this.#mustRun("dmaBuffer");
    this.#watch?.breathe();
    return this.#machine.dmaBuffer(device.endpoint, length, options);
  }

  random(bound: number): number {
    return this.#random.below(bound);
  }

  randomBytes(length: number): Uint8Array {
    return this.#random.bytes(length);
  }

  async step<T>(name: string, body: () => Promise<T> | T): Promise<T> {
    this.#mustRun("step");
    const outer = this.#path.getStore() ?? [];
    const step = this.#steps++;
    name = String(name);
    this.#open.set(step, name);
    this.#emit({ kind: "step", step, name, depth: outer.length });
    this.#onStep();
    const started = performance.now();
    const startNs = this.clock.nowNs;
    let ok = false;
    try {
      const result = await this.#path.run([...outer, name], body);
      ok = true;
      return result;
    } finally {
      const durationMs = performance.now() - started;
      this.#open.delete(step);
      this.#emit({ kind: "step-end", step, ok, durationMs });
      this.spans.push({ step, name, startNs, endNs: this.clock.nowNs, ok, durationMs });
      this.#onStep();
    }
  }

  check(name: string, ok: boolean, detail?: string): void {
    this.#mustRun("check");
    this.#watch?.breathe();
    const full = [...this.#path.getStore() ?? [], name].join(" > ");
    // A check that was given something else than a boolean must not pass by accident.
    const passed = ok === true;
    this.#emit({
      kind: "check",
      name: full,
      ok: passed,
      ...(detail === undefined ? {} : { detail: String(detail) }),
    });
  }

  equal<T>(name: string, actual: T, expected: T): void {
    const found = difference(actual, expected);
    if (found === null) this.check(name, true);
    else this.check(name, false, found);
  }

  async faults(): Promise<readonly FaultReport[]> {
    this.#mustRun("faults");
    const faults = await this.#machine.takeFaults();
    this.#watch?.breathe();
    return faults;
  }

  progress(done: number, total: number): void {
    const now = performance.now();
    if (now - this.#progressAt < PROGRESS_INTERVAL_MS) return;
    if (!Number.isFinite(done) || !Number.isFinite(total)) return;
    this.#progressAt = now;
    this.#emit({ kind: "progress", done, total });
  }

  log(message: string): void {
    this.#mustRun("log");
    this.#emit({ kind: "log", message: String(message) });
  }

  #mustRun(method: string): void {
    if (this.#ended) {
      throw new Error(
        `Cannot call t.${method}() after the scenario has returned: await everything it starts`,
      );
    }
  }
}
