/**
 * How long to look before going to sleep. Waking a sleeping thread on another CPU
 * costs tens of microseconds, more than the work of most messages; spinning saves
 * that where a CPU is free for it, and robs the peer of its CPU where none is.
 * @module
 */

import { Descriptor } from "./descriptor.ts";
import { LinuxError } from "./errno.ts";
import { O_CLOEXEC, O_RDONLY, open, pread, stable, usableCpus } from "./libc.ts";

/** Never; as long as it pays; or always this many microseconds. */
export type SpinMode = "off" | "auto" | number;

/** The longest that `auto` spins before it sleeps, in nanoseconds. */
export const MAX_SPIN_NS = 500_000;
const FIRST_SPIN_NS = 20_000;
/** How often `auto` looks whether a CPU is free, in nanoseconds. */
const LOOK_NS = 20_000_000;

/** Tells how many threads want to run on the whole machine, the caller among them; NaN when unknown. */
export type RunningThreads = () => number;

/** Reads `/proc/loadavg`. `close` it when done. */
export class LoadAverage implements Disposable {
  readonly #descriptor: Descriptor | null;
  readonly #bytes = new Uint8Array(stable(128));

  constructor() {
    let descriptor: Descriptor | null = null;
    try {
      descriptor = new Descriptor(open("/proc/loadavg", O_RDONLY | O_CLOEXEC));
    } catch (error) {
      if (!(error instanceof LinuxError)) throw error;
    }
    this.#descriptor = descriptor;
  }

  /** The first number of the field `running/all` (proc(5)). */
  running(): number {
    if (this.#descriptor === null) return NaN;
    const length = pread(this.#descriptor.fd, this.#bytes, 0);
    const fields = String.fromCharCode(...this.#bytes.subarray(0, Math.max(0, length))).split(" ");
    return parseInt(fields[3] ?? "", 10);
  }

  [Symbol.dispose](): void {
    this.#descriptor?.close();
  }
}

/**
 * The policy: told how long each wait turned out to be, it says how long to spin
 * in the next one. `auto` grows its bound while waits end soon enough for spinning
 * to have caught them, and halves it while they do not, so that an idle server
 * soon sleeps at once.
 */
export class SpinPolicy {
  readonly #mode: SpinMode;
  readonly #cpus: number;
  readonly #running: RunningThreads;
  #boundNs: number;
  #free = false;
  #lookAgainNs = -Infinity;

  /** @param cpus how many CPUs this thread may run on */
  constructor(mode: SpinMode, running: RunningThreads, cpus: number = usableCpus()) {
    if (typeof mode === "number" && !(mode >= 0 && mode <= 1e9)) {
      throw new RangeError(`Cannot spin for ${mode} us: give 0 to 1000000000`);
    }
    this.#mode = mode;
    this.#cpus = cpus;
    this.#running = running;
    this.#boundNs = typeof mode === "number" ? mode * 1000 : mode === "auto" ? FIRST_SPIN_NS : 0;
  }

  /** Nanoseconds to spin in a wait that begins at `nowNs`. */
  boundNs(nowNs: number): number {
    if (this.#mode !== "auto" || this.#boundNs === 0) return this.#boundNs;
    if (this.#cpus < 2) return 0;
    if (nowNs >= this.#lookAgainNs) {
      this.#lookAgainNs = nowNs + LOOK_NS;
      // Running now: we, and those that would lose a CPU to us. The peer we wait for
      // needs one as well, and may be counted or about to be.
      const running = this.#running();
      this.#free = running <= this.#cpus;
    }
    return this.#free ? this.#boundNs : 0;
  }

  /** A wait has lasted `waitedNs`, spun or slept. */
  learn(waitedNs: number): void {
    if (this.#mode !== "auto") return;
    if (waitedNs <= MAX_SPIN_NS) {
      const wanted = Math.min(MAX_SPIN_NS, Math.max(FIRST_SPIN_NS, 2 * waitedNs));
      this.#boundNs = Math.max(wanted, this.#boundNs - (this.#boundNs >> 4));
    } else {
      this.#boundNs = this.#boundNs <= FIRST_SPIN_NS ? 0 : this.#boundNs / 2;
    }
  }
}
