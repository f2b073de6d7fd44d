/**
 * The inside of a lane: a Worker that holds subjects and runs them when told.
 * @module
 */

/** One thing that is timed. */
export interface Subject {
  /** Unique within its lane. */
  readonly name: string;
  /** Operations of one pass over the prepared accesses. */
  readonly pass: number;
  /**
   * Does `operations` of them, going on where the last call ended, and returns
   * something that depends on each result, so that none can be optimised away.
   */
  run(operations: number): number;
}

/** Numbers and words that tell a lane what to build. */
export type LaneParameters = Readonly<Record<string, number | string>>;

/** Builds the subjects of one lane: those that share memory on purpose. */
export type LaneFactory = (parameters: LaneParameters) => readonly Subject[];

/** What a lane is told, one at a time; each is answered by one {@linkcode LaneAnswer}. */
export type LaneRequest =
  | { readonly kind: "build"; readonly lane: string; readonly parameters: LaneParameters }
  | { readonly kind: "checksum"; readonly subject: number }
  | {
    readonly kind: "warm-up";
    readonly subject: number;
    readonly roundMs: number;
    readonly warmUpMs: number;
  }
  | { readonly kind: "round"; readonly subject: number };

/** What a lane answers. */
export type LaneAnswer =
  | { readonly kind: "built"; readonly subjects: readonly string[] }
  | { readonly kind: "value"; readonly value: number }
  | { readonly kind: "failed"; readonly error: string };

/** Fewer operations than this are never timed: the clock would be part of it. */
const FEWEST = 8;
/** Warm-up goes on to this many operations: engines count calls and turns of loops, not time. */
const WARM_OPERATIONS = 1_000_000;
/** Unless they take so many times the warm-up's time. */
const WARM_LIMIT = 4;

class Runner {
  readonly #subject: Subject;
  #operations = FEWEST;
  #sink = 0;

  constructor(subject: Subject) {
    this.#subject = subject;
  }

  /** What one pass from the start returns. */
  checksum(): number {
    return this.#subject.run(this.#subject.pass);
  }

  /** Gets it compiled, fills caches, and finds how many operations last `roundMs`. @returns that */
  warmUp(roundMs: number, warmUpMs: number): number {
    const start = performance.now();
    let done = 0;
    for (;;) {
      const ms = this.#time();
      done += this.#operations;
      const spent = performance.now() - start;
      if (ms < roundMs / 2) this.#operations *= 2;
      else if (
        spent >= warmUpMs && (done >= WARM_OPERATIONS || spent >= WARM_LIMIT * warmUpMs)
      ) {
        this.#operations = Math.max(FEWEST, Math.round(this.#operations * roundMs / ms));
        return this.#operations;
      } else if (ms > roundMs * 2) {
        this.#operations = Math.max(FEWEST, Math.round(this.#operations * roundMs / ms));
      }
    }
  }

  /** @returns nanoseconds an operation */
  round(): number {
    // Whoever ran before has the caches: take them back outside of the time.
    this.#sink += this.#subject.run(Math.ceil(this.#operations / 4));
    return this.#time() * 1e6 / this.#operations;
  }

  #time(): number {
    const start = performance.now();
    const result = this.#subject.run(this.#operations);
    const ms = performance.now() - start;
    this.#sink += result;
    return ms;
  }

  /** Read by nobody, which no compiler can know. */
  get sink(): number {
    return this.#sink;
  }
}

/** Makes the calling Worker a lane that can be built as any of `factories`. */
export function serveLane(factories: Readonly<Record<string, LaneFactory>>): void {
  let runners: readonly Runner[] = [];
  const answer = (request: LaneRequest): LaneAnswer => {
    if (request.kind === "build") {
      const factory = factories[request.lane];
      if (factory === undefined) throw new Error(`There is no lane ${request.lane}`);
      const subjects = factory(request.parameters);
      runners = subjects.map((subject) => new Runner(subject));
      // What the building left behind is no subject's garbage.
      (globalThis as { gc?: () => void }).gc?.();
      return { kind: "built", subjects: subjects.map((subject) => subject.name) };
    }
    const runner = runners[request.subject];
    if (runner === undefined) throw new Error(`There is no subject ${request.subject}`);
    switch (request.kind) {
      case "checksum":
        return { kind: "value", value: runner.checksum() };
      case "warm-up":
        return { kind: "value", value: runner.warmUp(request.roundMs, request.warmUpMs) };
      case "round":
        return { kind: "value", value: runner.round() };
    }
  };
  const scope = globalThis as unknown as {
    onmessage: (event: MessageEvent<LaneRequest>) => void;
    postMessage(message: LaneAnswer): void;
  };
  scope.onmessage = ({ data }) => {
    try {
      scope.postMessage(answer(data));
    } catch (error) {
      scope.postMessage({
        kind: "failed",
        error: error instanceof Error ? error.stack ?? error.message : String(error),
      });
    }
  };
}
