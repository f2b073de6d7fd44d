import { assertEquals } from "@std/assert";
import type { PciAgent } from "../vm/pci_agent.ts";
import { QemuTarget } from "./qemu_target.ts";

/** Capabilities of a function: MSI at 0x40, MSI-X at 0x50. */
const CONFIG = new Map([[0x06, 0x10], [0x34, 0x40], [0x40, 0x05], [0x41, 0x50], [0x50, 0x11]]);

/** A guest's program with one function, and what it was asked. */
function fake() {
  const asked: string[] = [];
  const config = new Map(CONFIG);
  /** Messages by vector. */
  const messages = new Map<number, number>();
  const answer = (name: string, n: readonly number[]): bigint => {
    switch (name) {
      case "cr":
        return BigInt(config.get(n[1]!) ?? 0);
      case "cw":
        // The flags of either, also as the upper half of four bytes.
        config.set(n[2] === 4 ? n[1]! + 2 : n[1]!, n[2] === 4 ? n[3]! >>> 16 : n[3]!);
        return 0n;
      case "bar":
        return [4096n, 0n, 2n ** 33n][n[1]!] ?? 0n;
      case "arrived":
        return [...messages.keys()].reduce((bits, vector) => bits | 1n << BigInt(vector), 0n);
      case "take": {
        const count = messages.get(n[1]!) ?? 0;
        messages.delete(n[1]!);
        return BigInt(count);
      }
      default:
        return 0n;
    }
  };
  const agent = {
    do: (name: string, ...words: readonly (number | bigint)[]) => {
      asked.push([name, ...words.slice(1)].join(" "));
      return Promise.resolve(answer(name, words.map(Number)));
    },
  } as unknown as PciAgent;
  const target = QemuTarget.open({
    endpoint: 8,
    agent,
    handle: 0n,
    inspect: () => Promise.resolve({}),
    touched: () => {},
    failed: () => {},
  });
  return { asked, messages, target };
}

Deno.test("QemuTarget.barSize() is what the guest says, without asking again", async () => {
  const { asked, target } = fake();
  const opened = await target;
  asked.length = 0;
  assertEquals(([0, 1, 2, 3, 4, 5] as const).map((bar) => opened.barSize(bar)), [
    4096,
    null,
    2 ** 33,
    null,
    null,
    null,
  ]);
  assertEquals(asked, []);
});

for (
  const [name, flags, enable] of [["MSI", 0x42, 1], ["MSI-X", 0x52, 0x8000]] as const
) {
  Deno.test(`QemuTarget looks for messages while ${name} is enabled, and takes just those that came`, async () => {
    const { asked, messages, target } = fake();
    const opened = await target;
    asked.length = 0;
    await opened.barWrite(0, 0, 4, 1);
    assertEquals(asked, ["bw 0 0 4 1"]);
    await opened.configWrite(flags, 2, enable);
    messages.set(0, 1).set(63, 2);
    asked.length = 0;
    await opened.barWrite(0, 0, 4, 1);
    assertEquals(asked, ["bw 0 0 4 1", "arrived", "take 0", "take 63"]);
    messages.set(63, 1);
    assertEquals(await opened.takeInterrupts(63), 3);
    assertEquals(await opened.takeInterrupts(63), 0);
    assertEquals(await opened.takeInterrupts(64), 0);
    assertEquals(await opened.takeInterrupts(0), 1);
    // What arrived before it was disabled is kept.
    messages.set(5, 1);
    await opened.configWrite(flags, 2, 0);
    asked.length = 0;
    assertEquals(await opened.takeInterrupts(5), 1);
    assertEquals(asked, []);
  });

  Deno.test(`QemuTarget sees that ${name} is enabled by a write of four bytes, and by no reset`, async () => {
    const { messages, target } = fake();
    const opened = await target;
    await opened.configWrite(flags - 2, 4, enable * 0x1_0000);
    messages.set(2, 1);
    assertEquals(await opened.takeInterrupts(2), 1);
    await opened.reset();
    messages.set(2, 1);
    assertEquals(await opened.takeInterrupts(2), 0);
  });
}
