/**
 * The outside of a lane. Each lane is a Worker, an isolate of its own: what the
 * compiler learnt from one subject, and the garbage that it makes, is not there
 * when another is timed. Lanes run one at a time, never side by side.
 * @module
 */

import type { LaneAnswer, LaneParameters, LaneRequest } from "./subject.ts";

/** What {@linkcode Lane.open} builds. */
export interface LaneSpec {
  /** Module that calls `serveLane()`. */
  readonly worker: URL;
  /** Name of the factory in it. */
  readonly lane: string;
  readonly parameters: LaneParameters;
}

/** A Worker that holds one or more subjects. */
export class Lane implements Disposable {
  readonly #worker: Worker;
  #subjects: readonly string[] = [];

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  /** Starts the Worker and builds its subjects. */
  static async open(spec: LaneSpec): Promise<Lane> {
    const lane = new Lane(new Worker(spec.worker, { type: "module" }));
    try {
      const built = await lane.#ask({
        kind: "build",
        lane: spec.lane,
        parameters: spec.parameters,
      });
      if (built.kind !== "built") throw new Error(`Lane ${spec.lane} answered ${built.kind}`);
      lane.#subjects = built.subjects;
      return lane;
    } catch (error) {
      lane[Symbol.dispose]();
      throw error;
    }
  }

  /** Names of the subjects; elsewhere they go by index. */
  get subjects(): readonly string[] {
    return this.#subjects;
  }

  /** What one pass of the subject computes. Ask before anything else runs: a pass goes on where the last ended. */
  checksum(subject: number): Promise<number> {
    return this.#value({ kind: "checksum", subject });
  }

  /** @returns operations that a round will do */
  warmUp(subject: number, roundMs: number, warmUpMs: number): Promise<number> {
    return this.#value({ kind: "warm-up", subject, roundMs, warmUpMs });
  }

  /** @returns nanoseconds an operation */
  round(subject: number): Promise<number> {
    return this.#value({ kind: "round", subject });
  }

  /** Ends the Worker, whatever it is doing. */
  [Symbol.dispose](): void {
    this.#worker.terminate();
  }

  async #value(request: LaneRequest): Promise<number> {
    const answer = await this.#ask(request);
    if (answer.kind !== "value") throw new Error(`A lane answered ${answer.kind} to a measurement`);
    return answer.value;
  }

  #ask(request: LaneRequest): Promise<LaneAnswer> {
    return new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data }: MessageEvent<LaneAnswer>) => {
        if (data.kind === "failed") reject(new Error(`A lane failed: ${data.error}`));
        else resolve(data);
      };
      this.#worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(`A lane ended: ${event.message}`));
      };
      this.#worker.postMessage(request);
    });
  }
}
