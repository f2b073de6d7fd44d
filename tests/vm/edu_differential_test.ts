/**
 * QEMU's built-in edu and ours, through QEMU's vfio-user client, side by side in one machine: the
 * same operations on both come to the same, but for what `edu_differences.ts` lists.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";
import {
  edu,
  EDU_BUFFER,
  EduDmaCommand,
  EduInterrupt,
  EduRegister,
  EduStatus,
  EduTiming,
} from "../../devices/edu/mod.ts";
import { requesterId } from "../../devices/pci/bdf.ts";
import {
  PCI_BASE_ADDRESS_0,
  PCI_CAP_ID_MSI,
  PCI_CAPABILITY_LIST,
  PCI_COMMAND,
  PCI_COMMAND_MASTER,
  PCI_COMMAND_MEMORY,
  PCI_MSI_ADDRESS_LO,
  PCI_MSI_DATA_64,
  PCI_MSI_FLAGS,
  PCI_MSI_FLAGS_ENABLE,
  PCI_STATUS,
} from "../../devices/pci/spec.ts";
import { Random } from "../../harness/random.ts";
import { SILENT } from "../../harness/vm/fetch/listener.ts";
import { Qtest, type QtestWidth } from "../../harness/vm/qtest.ts";
import { vfioUserPci } from "../../harness/vm/vfio_user_pci.ts";
import { Reactor } from "../../protocols/linux/reactor.ts";
import { ServerMachine, VfioUserServer } from "../../protocols/vfio_user/server/mod.ts";
import { vmTest } from "./_machine.ts";
import { EDU_DIFFERENCES, type Looked } from "./edu_differences.ts";

/** PCI 3.0, 6.2.3 and 6.2.2. */
const STATUS_INTERRUPT = 0x8, COMMAND_NO_INTX = 0x400;
const NO_MESSAGE = 0xffff_ffffn;
/** RAM for transfers of both, so that their registers hold the same. One takes its turn after the other. */
const WINDOW = { start: 0x100_0000, length: 0x8000 } as const;
const REGISTERS = Object.values(EduRegister);
/** How long a message of ours may take through QEMU's event loop, in looks. */
const LOOKS = 2000;

/** Devices in a time that moves when it is told to. */
class ClockedReactor extends Reactor {
  override clock: VirtualClock = new VirtualClock();
}

/** One of the two. */
interface Side {
  readonly endpoint: number;
  readonly bar: number;
  readonly mailbox: number;
}

const BUILTIN: Side = {
  endpoint: requesterId(0, 3),
  bar: 0xfd00_0000,
  mailbox: 0x300_0000,
};
const OURS: Side = {
  endpoint: requesterId(0, 4),
  bar: 0xfd10_0000,
  mailbox: 0x300_1000,
};
const SIDES = [BUILTIN, OURS] as const;

/** The machine with both. */
class Pair {
  readonly #qtest: Qtest;
  readonly #clock: VirtualClock;
  /** What was done, for a failure's report: the last of it. */
  readonly #history: string[] = [];
  readonly met = new Map<string, number>();
  looks = 0;
  /** MSI has been enabled since QEMU's pin was last seen asserted. */
  #pinDropped = false;

  constructor(qtest: Qtest, clock: VirtualClock) {
    this.#qtest = qtest;
    this.#clock = clock;
  }

  async begin(): Promise<void> {
    for (const { endpoint, bar, mailbox } of SIDES) {
      const q = this.#qtest;
      await q.configWrite(endpoint, PCI_BASE_ADDRESS_0, 4, bar);
      await q.configWrite(endpoint, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
      const msi = await q.configRead(endpoint, PCI_CAPABILITY_LIST, 1);
      assertEquals(await q.configRead(endpoint, msi, 1), PCI_CAP_ID_MSI);
      await q.configWrite(endpoint, msi + PCI_MSI_ADDRESS_LO, 4, mailbox);
      await q.configWrite(endpoint, msi + PCI_MSI_DATA_64, 2, 0x1234);
      await q.write(4, mailbox, NO_MESSAGE);
    }
  }

  /** Configuration space but for what software has put there. */
  async compareConfig(): Promise<void> {
    for (let offset = 0; offset < 0x100; offset += 4) {
      if (offset === PCI_BASE_ADDRESS_0 || offset === 0x40 + PCI_MSI_ADDRESS_LO) continue;
      const [builtin, ours] = await this.#both((side) =>
        this.#qtest.configRead(side.endpoint, offset, 4)
      );
      assertEquals(ours, builtin, `configuration space at ${offset.toString(16)}`);
    }
  }

  async read(width: QtestWidth, offset: number): Promise<bigint> {
    this.#note(`read ${width} 0x${offset.toString(16)}`);
    return await this.#compare(
      "register",
      offset,
      width,
      ({ bar }) => this.#qtest.read(width, bar + offset),
    );
  }

  async write(width: QtestWidth, offset: number, value: bigint): Promise<void> {
    this.#note(`write ${width} 0x${offset.toString(16)} 0x${value.toString(16)}`);
    await this.#both(({ bar }) => this.#qtest.write(width, bar + offset, value));
  }

  async setCommand(set: number, clear: number): Promise<void> {
    this.#note(`command +0x${set.toString(16)} -0x${clear.toString(16)}`);
    await this.#both(async ({ endpoint }) => {
      const command = await this.#qtest.configRead(endpoint, PCI_COMMAND, 2);
      await this.#qtest.configWrite(endpoint, PCI_COMMAND, 2, command & ~clear | set);
    });
  }

  async setMsi(setting: "on" | "off"): Promise<void> {
    this.#note(`msi ${setting}`);
    await this.#both(async ({ endpoint }) => {
      const at = await this.#qtest.configRead(endpoint, PCI_CAPABILITY_LIST, 1) + PCI_MSI_FLAGS;
      const flags = await this.#qtest.configRead(endpoint, at, 2);
      const enabled = setting === "on"
        ? flags | PCI_MSI_FLAGS_ENABLE
        : flags & ~PCI_MSI_FLAGS_ENABLE;
      await this.#qtest.configWrite(endpoint, at, 2, enabled);
    });
    if (setting === "on") this.#pinDropped = true;
  }

  /**
   * Both finish the factorial that a write has started, or may have. QEMU's thread says that it is
   * done before it raises the interrupt: who knows that one was started, and that the interrupt was
   * not there before, waits for that as well.
   */
  async finishFactorial(started: "started" | "perhaps"): Promise<void> {
    const builtin = (register: number) => this.#qtest.read(4, BUILTIN.bar + register);
    let status: bigint;
    do status = await builtin(EduRegister.STATUS); while (
      (status & BigInt(EduStatus.COMPUTING)) !== 0n
    );
    if (started === "started" && (status & BigInt(EduStatus.RAISE_INTERRUPT)) !== 0n) {
      const raised = BigInt(EduInterrupt.FACTORIAL);
      const deadline = performance.now() + 10_000;
      while ((await builtin(EduRegister.INTERRUPT_STATUS) & raised) === 0n) {
        assert(performance.now() < deadline, "QEMU's edu raises no interrupt for its factorial");
      }
    }
    await this.#flush();
    this.#clock.advance(EduTiming.FACTORIAL_MS);
  }

  /** Moves time on, and compares what transfers leave in RAM. */
  async advance(ms: number): Promise<void> {
    this.#note(`advance ${ms}`);
    const before = await this.#window();
    await this.#qtest.advance(ms);
    const builtin = await this.#window();
    await this.fill(0, before);
    await this.#flush();
    this.#clock.advance(ms);
    const ours = await this.#window();
    this.looks++;
    assertEquals(ours, builtin, `RAM differs after\n${this.#history.join("\n")}`);
  }

  async fill(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#qtest.writeBytes(WINDOW.start + offset, bytes);
  }

  /** Programs a transfer; `at` is the place in the window, `high` what lies above the device's 28 bits. */
  async dma(
    direction: "to-device" | "from-device",
    at: number,
    buffer: number,
    count: number,
    high: number,
    flags: number,
  ): Promise<void> {
    this.#note(`dma ${direction} ${at} ${buffer} ${count} ${flags}`);
    const local = BigInt(EDU_BUFFER.start + buffer);
    const toBus = direction === "from-device";
    await this.#both(async ({ bar }) => {
      const bus = BigInt(high) * 2n ** 28n + BigInt(WINDOW.start + at);
      const command = BigInt(EduDmaCommand.RUN | (toBus ? EduDmaCommand.TO_BUS : 0) | flags);
      await Promise.all([
        this.#qtest.write(8, bar + EduRegister.DMA_SOURCE, toBus ? local : bus),
        this.#qtest.write(8, bar + EduRegister.DMA_DESTINATION, toBus ? bus : local),
        this.#qtest.write(8, bar + EduRegister.DMA_COUNT, BigInt(count)),
        this.#qtest.write(8, bar + EduRegister.DMA_COMMAND, command),
      ]);
    });
  }

  /** What interrupts have come to: the status of the pin, and messages. */
  async compareInterrupts(): Promise<void> {
    await this.#compare("intx-status", PCI_STATUS, 2, async ({ endpoint }) => {
      const word = await this.#qtest.configRead(endpoint, PCI_STATUS, 2);
      const pending = (word & STATUS_INTERRUPT) !== 0;
      if (endpoint === BUILTIN.endpoint && pending) this.#pinDropped = false;
      return pending ? 1n : 0n;
    });
    const expected = await this.#qtest.read(4, BUILTIN.mailbox);
    let found = await this.#qtest.read(4, OURS.mailbox);
    // Ours comes by way of an eventfd.
    for (let looks = 0; found !== expected && looks < LOOKS; looks++) {
      found = await this.#qtest.read(4, OURS.mailbox);
    }
    this.#judge({ what: "message", offset: 0, width: 4 }, expected, found);
    if (expected !== NO_MESSAGE || found !== NO_MESSAGE) {
      await this.#both(({ mailbox }) => this.#qtest.write(4, mailbox, NO_MESSAGE));
    }
  }

  /** A transfer that bus mastering does not let out; what it left in the buffers differs as it is known to. */
  async transferWithoutMaster(count: number): Promise<void> {
    await this.setCommand(0, PCI_COMMAND_MASTER);
    await this.dma("to-device", 0, 0, count, 0, 0);
    await this.advance(EduTiming.DMA_MS);
    await this.setCommand(PCI_COMMAND_MASTER, 0);
    await this.dma("from-device", 0, 0, EDU_BUFFER.length, 0, 0);
    await this.#qtest.advance(EduTiming.DMA_MS);
    const builtin = (await this.#window()).subarray(0, EDU_BUFFER.length);
    await this.#flush();
    this.#clock.advance(EduTiming.DMA_MS);
    const ours = (await this.#window()).subarray(0, EDU_BUFFER.length);
    for (const [at, byte] of builtin.entries()) {
      const seen = { what: "buffer", offset: at, width: 1, masterOff: at < count } as const;
      this.#judge(seen, BigInt(byte), BigInt(ours[at]!));
    }
    await this.dma("to-device", 0, 0, EDU_BUFFER.length, 0, 0);
    await this.advance(EduTiming.DMA_MS);
  }

  async #window(): Promise<Uint8Array> {
    return await this.#qtest.readBytes(WINDOW.start, WINDOW.length);
  }

  /** Writes are posted: what is read from configuration space comes after them. */
  async #flush(): Promise<void> {
    await this.#qtest.configRead(OURS.endpoint, PCI_STATUS, 2);
  }

  async #both<T>(work: (side: Side) => Promise<T>): Promise<[T, T]> {
    return [await work(BUILTIN), await work(OURS)];
  }

  async #compare(
    what: Looked["what"],
    offset: number,
    width: number,
    work: (side: Side) => Promise<bigint>,
  ): Promise<bigint> {
    const [builtin, ours] = await this.#both(work);
    this.#judge({ what, offset, width }, builtin, ours);
    return ours;
  }

  #judge(
    seen: Omit<Looked, "pinDropped" | "masterOff"> & Partial<Looked>,
    builtin: bigint,
    ours: bigint,
  ): void {
    this.looks++;
    if (builtin === ours) return;
    const looked: Looked = { pinDropped: this.#pinDropped, masterOff: false, ...seen };
    const known = EDU_DIFFERENCES.find(({ explains }) => explains?.(looked, { builtin, ours }));
    if (known === undefined) {
      throw new Error(
        `${looked.what} at 0x${looked.offset.toString(16)}, ${looked.width} bytes: QEMU's edu ` +
          `gives 0x${builtin.toString(16)}, ours 0x${ours.toString(16)}, after\n` +
          this.#history.join("\n"),
      );
    }
    this.met.set(known.name, (this.met.get(known.name) ?? 0) + 1);
  }

  #note(text: string): void {
    this.#history.push(text);
    if (this.#history.length > 25) this.#history.shift();
  }
}

async function withPair(body: (pair: Pair) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  const path = `${folder}/edu.sock`;
  using reactor = new ClockedReactor({ spin: "off" });
  const machine = new ServerMachine({ reactor });
  const server = new VfioUserServer(machine, { path, device: edu.create({}) });
  const running = reactor.runAlongside();
  try {
    await using qtest = await Qtest.start([
      ...["-device", "edu,addr=03.0"],
      "-device",
      JSON.stringify(vfioUserPci(path, { addr: "04.0" })),
    ], { network: "allowed", listener: SILENT });
    const pair = new Pair(qtest, reactor.clock);
    await pair.begin();
    await body(pair);
  } finally {
    server[Symbol.dispose]();
    reactor.stop();
    await running;
    await Deno.remove(folder, { recursive: true });
  }
}

/** A place among the registers, or anywhere; aligned as often as not. */
function somewhere(random: Random): number {
  const dice = random.below(8);
  if (dice < 5) return REGISTERS[random.below(REGISTERS.length)]!;
  if (dice < 7) return random.below(0xc0);
  return random.below(0x10_0000 - 8);
}

/** A value that starts no transfer and no endless factorial, wherever it goes. */
function harmless(random: Random, offset: number, width: number): bigint {
  let value = 0n;
  for (let at = 0; at < width; at++) {
    let byte = random.below(256);
    const place = offset + at;
    // A large operand would keep QEMU's thread busy for seconds.
    if (place === EduRegister.FACTORIAL + 2 || place === EduRegister.FACTORIAL + 3) byte = 0;
    if (place === EduRegister.DMA_COMMAND) byte &= 0xfe;
    value |= BigInt(byte) << BigInt(8 * at);
  }
  return value;
}

/** Whether a write reaches the operand in one piece of 4 bytes: QEMU cuts what is not aligned. */
function startsFactorial(offset: number, width: number): boolean {
  for (let at = offset, left = width; left > 0;) {
    const aligned = at === 0 ? left : Math.min(left, at & -at);
    const piece = 2 ** Math.floor(Math.log2(aligned));
    if (at === EduRegister.FACTORIAL && piece === 4) return true;
    at += piece;
    left -= piece;
  }
  return false;
}

async function step(pair: Pair, random: Random): Promise<void> {
  const dice = random.below(100);
  const width = ([1, 2, 4, 4, 4, 8, 8] as const)[random.below(7)]!;
  if (dice < 40) {
    await pair.read(width, somewhere(random));
  } else if (dice < 70) {
    const offset = somewhere(random);
    const starts = startsFactorial(offset, width);
    if (starts) {
      await pair.write(4, EduRegister.INTERRUPT_ACKNOWLEDGE, BigInt(EduInterrupt.FACTORIAL));
    }
    await pair.write(width, offset, harmless(random, offset, width));
    await pair.finishFactorial(starts ? "started" : "perhaps");
  } else if (dice < 80) {
    const bits = random.below(3) === 0 ? 0 : random.below(0x1_0000);
    await pair.write(4, EduRegister.INTERRUPT_RAISE, BigInt(bits));
  } else if (dice < 86) {
    const bits = random.below(2) === 0 ? 0xffff_ffff : random.below(0x1_0000);
    await pair.write(4, EduRegister.INTERRUPT_ACKNOWLEDGE, BigInt(bits));
  } else if (dice < 90) {
    await pair.setMsi(random.below(2) === 0 ? "on" : "off");
  } else if (dice < 92) {
    if (random.below(2) === 0) await pair.setCommand(COMMAND_NO_INTX, 0);
    else await pair.setCommand(0, COMMAND_NO_INTX);
  } else {
    const count = random.below(EDU_BUFFER.length + 1);
    const at = random.below(WINDOW.length - count + 1);
    const direction = random.below(2) === 0 ? "to-device" : "from-device";
    const flags = random.below(2) === 0 ? EduDmaCommand.RAISE_INTERRUPT : 0;
    if (direction === "to-device") await pair.fill(at, random.bytes(Math.min(count, 64)));
    const buffer = random.below(EDU_BUFFER.length - count + 1);
    await pair.dma(
      direction,
      at,
      buffer,
      count,
      random.below(4) === 0 ? random.below(64) : 0,
      flags,
    );
    // In mid-transfer what is written to these registers is lost.
    await pair.advance(1 + random.below(EduTiming.DMA_MS - 1));
    const register = EduRegister.DMA_SOURCE + 8 * random.below(4);
    await pair.write(8, register, harmless(random, register, 8));
    await pair.read(8, register);
    await pair.advance(EduTiming.DMA_MS);
  }
  await pair.compareInterrupts();
}

const STEPS = 3000;
const SEEDS = [1, 2, crypto.getRandomValues(new Uint32Array(1))[0]!];

vmTest("edu answers as QEMU's own does, to thousands of random operations", async (t) => {
  const met = new Set<string>();
  for (const seed of SEEDS) {
    await t.step(`seed ${seed}`, async () => {
      await withPair(async (pair) => {
        const random = new Random(seed);
        await pair.compareConfig();
        await pair.fill(0, random.bytes(WINDOW.length));
        for (let at = 0; at < STEPS; at++) await step(pair, random);
        await pair.transferWithoutMaster(1 + random.below(EDU_BUFFER.length));
        for (const name of pair.met.keys()) met.add(name);
        assert(pair.looks > 2 * STEPS, `${pair.looks} looks`);
      });
    });
  }
  const table = EDU_DIFFERENCES.filter(({ explains }) => explains !== undefined);
  assertEquals(
    table.map(({ name }) => name).filter((name) => !met.has(name)),
    [],
    "the table lists what does not happen",
  );
});
