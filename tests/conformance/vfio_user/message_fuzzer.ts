/**
 * Messages that are nearly right: every command with fields from the edges, and then bytes changed,
 * cut or added.
 * @module
 */

import { ProbeCommand, ProbeRegister } from "./probe.ts";
import * as wire from "./wire.ts";

const { bytes, u16, u32, u64 } = wire;

/** What is sent: bytes, and how many descriptors of which kind go with them. */
export interface FuzzMessage {
  readonly bytes: Uint8Array;
  readonly memory: number;
  readonly events: number;
  /** Whether a header follows where the server expects one: else nothing that follows means anything. */
  readonly step: "kept" | "lost";
}

interface FuzzCommand {
  readonly command: number;
  readonly body: Uint8Array;
  readonly memory?: number;
  readonly events?: number;
}

/** 64-bit values that something may go wrong with. */
const WIDE: readonly (number | bigint)[] = [
  0,
  1,
  4,
  8,
  0xfff,
  0x1000,
  0x1001,
  0x2000,
  0x4000,
  0x1_0000,
  0x8000_0000,
  0xffff_f000,
  0xffff_ffff,
  2 ** 32,
  2 ** 40,
  2 ** 47,
  2n ** 52n - 0x1000n,
  2n ** 52n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 0x1000n,
  2n ** 64n - 1n,
];
const WORDS: readonly number[] = [
  0,
  1,
  2,
  3,
  4,
  5,
  7,
  8,
  9,
  15,
  16,
  20,
  24,
  32,
  40,
  64,
  255,
  256,
  4096,
  0xffff,
  0x1_0000,
  0x10_0000,
  0x10_0001,
  0x7fff_ffff,
  0xffff_ffff,
];

/** Makes messages; the same ones for the same seed. */
export class MessageFuzzer {
  #state: number;
  /** What is still to come of a migration. */
  #story: FuzzCommand[] = [];

  constructor(seed: number) {
    this.#state = (seed >>> 0) || 1;
  }

  /** Uniform in [0, bound). */
  below(bound: number): number {
    // xorshift32: three shifts, period 2^32 - 1.
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state % bound;
  }

  next(): FuzzMessage {
    const { command, body, memory = 0, events = 0 } = this.#command();
    const flags = this.below(4) === 0 ? wire.Flag.NO_REPLY : 0;
    const message = wire.message(command, body, { id: this.below(4), flags });
    const stray = this.below(40) === 0;
    return {
      ...(this.below(5) === 0 ? this.#mutate(message) : { bytes: message, step: "kept" }),
      memory: stray ? this.below(12) : memory,
      events: stray ? this.below(12) : events,
    };
  }

  /** What a client may say first: a version, good or bad. */
  greeting(): FuzzMessage {
    return { bytes: wire.message(1, this.#version()), memory: 0, events: 0, step: "kept" };
  }

  /** Bytes that are no message at all. */
  garbage(): Uint8Array {
    return Uint8Array.from({ length: 1 + this.below(200) }, () => this.below(256));
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }

  #address(): number | bigint {
    return this.below(3) === 0 ? this.#pick(WIDE) : 0x1000 * this.below(32);
  }

  #size(): number | bigint {
    return this.below(4) === 0 ? this.#pick(WIDE) : 0x1000 * (1 + this.below(8));
  }

  #word(likely: number): number {
    return this.below(6) === 0 ? this.#pick(WORDS) : likely;
  }

  #register(): number {
    return this.#pick([0, 4, 0x100, 0xffc, ...Object.values(ProbeRegister), 0x3ffc, 0x4000]);
  }

  #data(): Uint8Array {
    const length = this.#pick([0, 1, 2, 3, 4, 4, 4, 8, 16, 64]);
    if (this.below(2) === 0) {
      return bytes(
        u32(this.#pick(Object.values(ProbeCommand).filter((one) => one !== ProbeCommand.THROW))),
      )
        .subarray(0, Math.max(4, Math.min(4, length)));
    }
    return Uint8Array.from({ length }, () => this.below(256));
  }

  #command(): FuzzCommand {
    // Now and then something else in the middle of it.
    const next = this.below(8) === 0 ? undefined : this.#story.shift();
    if (next !== undefined) return next;
    switch (this.below(20)) {
      case 0:
        return { command: 1, body: this.#version() };
      case 1:
      case 2:
      case 3:
        return {
          command: 2,
          body: wire.dmaMap(this.#address(), this.#size(), {
            flags: this.#word(1 + this.below(3)),
            offset: this.below(3) === 0 ? this.#address() : 0,
            argsz: this.#word(32),
          }),
          memory: this.below(3) === 0 ? 0 : 1,
        };
      case 4:
      case 5:
        return {
          command: 3,
          body: this.below(4) === 0
            ? wire.dmaUnmap(0, 0, { flags: 2 })
            : wire.dmaUnmap(this.#address(), this.#size(), {
              flags: this.#word(this.below(3)),
              argsz: this.#word(this.#pick([24, 48, 0x1_0000])),
              ...(this.below(2) === 0
                ? { bitmap: [this.#pick([256, 4096, 8192]), this.#pick([8, 16, 64])] as const }
                : {}),
            }),
        };
      case 6:
        return { command: 4, body: bytes(u32(this.#word(16)), u32(0), u32(0), u32(0)) };
      case 7:
        return {
          command: 5,
          body: bytes(
            u32(this.#word(64)),
            u32(0),
            u32(this.#word(this.below(9))),
            u32(0),
            u64(0),
            u64(0),
          ),
        };
      case 8:
        return {
          command: 6,
          body: bytes(
            u32(this.#word(256)),
            u32(this.#word(0)),
            u32(this.#word(this.below(9))),
            u32(this.#word(0)),
          ),
        };
      case 9:
        return {
          command: 7,
          body: bytes(u32(this.#word(16)), u32(0), u32(this.#word(this.below(5))), u32(0)),
        };
      case 10:
      case 11:
        return this.#irqs();
      case 12:
      case 13:
        return {
          command: 9,
          body: wire.regionRead(
            this.#word(this.#pick([0, 0, 2, 4, 5, 7])),
            this.#register(),
            this.#word(this.#pick([1, 2, 4, 8, 256])),
          ),
        };
      case 14:
      case 15: {
        const data = this.#data();
        const region = this.#word(this.#pick([0, 0, 0, 2, 4, 5, 7]));
        const offset = region === 7 ? this.below(256) : this.#register();
        return {
          command: 10,
          body: wire.regionWrite(region, offset, data, this.#word(data.length)),
        };
      }
      case 16:
        return {
          command: this.#pick([13, 11, 12, 14, 19, 26, 100, 0, 0xffff]),
          body: this.#data(),
        };
      case 17: {
        const count = this.below(5);
        const writes = Array.from(
          { length: count },
          () =>
            bytes(
              u64(this.#register()),
              u32(this.#word(0)),
              u32(this.#word(4)),
              u64(this.below(12)),
            ),
        );
        return { command: 15, body: bytes(u64(this.#word(count)), ...writes) };
      }
      case 18:
        return { command: 16, body: this.#feature() };
      default:
        if (this.below(4) === 0) this.#story = this.#migration();
        return this.#migrationData();
    }
  }

  /** The states that have data, the data, and back. */
  #migration(): FuzzCommand[] {
    const states = this.#pick([[6, 3], [6], [1, 3], [4], [4], [4, 1]]);
    const story = states.flatMap((state) => [
      this.#setState(state),
      ...Array.from({ length: this.below(5) }, () => this.#migrationData()),
    ]);
    return [...story, this.#setState(2)];
  }

  #setState(state: number): FuzzCommand {
    return { command: 16, body: wire.feature(2 | 0x2_0000, bytes(u32(state), u32(0))) };
  }

  #migrationData(): FuzzCommand {
    const data = this.#data();
    return this.below(2) === 0
      ? { command: 17, body: bytes(u32(this.#word(0x1000)), u32(this.#word(64))) }
      : { command: 18, body: bytes(u32(8 + data.length), u32(this.#word(data.length)), data) };
  }

  #irqs(): FuzzCommand {
    const index = this.#word(this.below(5));
    const count = this.#word(this.below(3));
    const start = this.#word(0);
    const data = this.#pick([1, 2, 4, 4]);
    const action = this.#pick([8, 16, 32, 32]);
    const bools = data === 2 ? new Uint8Array(Math.min(count, 16)).fill(this.below(2)) : undefined;
    const events = data === 4 && this.below(4) > 0 ? Math.min(count, 16) : 0;
    const flags = this.#word(data | action);
    return { command: 8, body: wire.setIrqs(flags, index, start, count, bools), events };
  }

  #feature(): Uint8Array {
    const index = this.#word(this.#pick([1, 2, 2, 2, 6, 7, 8, 8]));
    const methods = this.#pick([0x1_0000, 0x2_0000, 0x2_0000, 0x4_0000, 0x7_0000]);
    const data = this.#pick([
      () => new Uint8Array(0),
      // Mostly back to running: nothing else passes while the device is stopped.
      () => bytes(u32(this.#word(this.#pick([2, 2, 2, 1, 3, 4, 6]))), u32(0)),
      () => bytes(u64(this.#pick([0, 256, 4096, 8192])), u32(this.#word(0)), u32(0)),
      () =>
        bytes(u64(this.#address()), u64(this.#size()), u64(this.#pick([0, 1, 256, 4096, 2 ** 40]))),
    ])();
    return wire.feature(index | methods, data, this.#word(0x1000));
  }

  #version(): Uint8Array {
    return this.#pick([
      () => wire.version(),
      () => wire.version({ capabilities: { max_msg_fds: this.#pick(WORDS) } }),
      () => wire.version("{\0"),
      () => bytes(u16(this.below(3)), u16(this.below(3))),
    ])();
  }

  #mutate(message: Uint8Array): Pick<FuzzMessage, "bytes" | "step"> {
    const out = message.slice();
    // Most changes leave the stream in step: what breaks it ends the connection.
    const kind = this.below(40);
    switch (kind) {
      case 0:
        return { bytes: out.subarray(0, this.below(out.length)), step: "lost" };
      case 1:
        return { bytes: bytes(out, this.garbage()), step: "lost" };
      case 2: {
        // Its size tells a lie.
        const size = this.below(4) === 0 ? this.#pick(WORDS) : out.length + this.below(64) - 32;
        new DataView(out.buffer).setUint32(4, size, true);
        return { bytes: out, step: size === out.length ? "kept" : "lost" };
      }
      case 3:
        // Longer than the command has use for, and sent whole.
        return { bytes: this.#lengthen(out, this.below(200)), step: "kept" };
      case 4:
        return { bytes: this.#lengthen(out, this.below(0x1_0000)), step: "kept" };
      default:
        for (let i = this.below(4); i >= 0; i--) {
          const at = this.below(out.length);
          // Bytes 4 to 7 are the size.
          if (at < 4 || at > 7) {
            out[at] = kind < 20 ? this.below(256) : out[at]! ^ 1 << this.below(8);
          }
        }
        return { bytes: out, step: "kept" };
    }
  }

  #lengthen(message: Uint8Array, more: number): Uint8Array {
    const out = new Uint8Array(message.length + more).fill(this.below(256));
    out.set(message);
    new DataView(out.buffer).setUint32(4, out.length, true);
    return out;
  }
}
