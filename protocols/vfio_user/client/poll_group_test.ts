import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { EventFd } from "../../linux/eventfd.ts";
import { POLLIN } from "../../linux/libc.ts";
import { type Pollable, PollGroup } from "./poll_group.ts";
import { Ticket } from "./ticket.ts";

/** Counts what its eventfd was signalled. */
class Bell implements Pollable, Disposable {
  readonly event = EventFd.create();
  rung = 0;
  polls = 0;
  onRing: () => void = () => {};

  readyFds() {
    return this.event.closed ? [] : [{ fd: this.event.fd, events: POLLIN }];
  }

  poll(): boolean {
    this.polls++;
    const count = this.event.closed ? 0 : this.event.drain();
    this.rung += count;
    if (count > 0) this.onRing();
    return count > 0;
  }

  [Symbol.dispose](): void {
    this.event.close();
  }
}

Deno.test("PollGroup.wait() serves every member until the target is done, and only who is ready", () => {
  using group = new PollGroup();
  using a = new Bell();
  using b = new Bell();
  using idle = new Bell();
  for (const bell of [a, b, idle]) group.add(bell);
  const target = new Ticket<void>();
  a.onRing = () => void b.event.signal();
  b.onRing = () => target.settle();
  a.event.signal();
  assertEquals(group.wait(target, 2000), true);
  assertEquals([a.rung, b.rung, idle.polls], [1, 1, 0]);
  assertEquals(group.wait(target, 0), true);
  assertEquals(group.size, 3);
});

Deno.test("PollGroup.wait() gives up at its time limit", () => {
  using group = new PollGroup();
  using bell = new Bell();
  group.add(bell);
  assertEquals(group.wait(new Ticket<void>(), 1), false);
  // Members that always have something do not keep it from that.
  bell.onRing = () => void bell.event.signal();
  bell.event.signal();
  assertEquals(group.wait(new Ticket<void>(), 2), false);
  assertEquals(group.wait(new Ticket<void>(), 0), false);
});

Deno.test("PollGroup.turn() sleeps for as long as it takes when its time limit is Infinity", () => {
  using group = new PollGroup();
  using bell = new Bell();
  group.add(bell);
  const worker = new Worker(import.meta.resolve("./_test_signal_worker.ts"), { type: "module" });
  worker.postMessage(bell.event.fd);
  let turns = 0;
  for (; bell.rung === 0; turns++) group.turn(Infinity);
  worker.terminate();
  // One, and one for each signal that interrupts it.
  assert(turns < 10, `${turns} turns`);
});

Deno.test("PollGroup does not poll a member that another one has removed", () => {
  using group = new PollGroup();
  using a = new Bell();
  using b = new Bell();
  group.add(a);
  group.add(b);
  a.onRing = () => group.remove(b);
  a.event.signal();
  b.event.signal();
  group.turn(1000);
  assertEquals([a.rung, b.polls], [1, 0]);
});

Deno.test("PollGroup waits for more descriptors than it has room for at first", () => {
  using group = new PollGroup();
  const bells = Array.from({ length: 40 }, () => new Bell());
  for (const bell of bells) group.add(bell);
  bells[39]!.event.signal();
  group.turn(1000);
  assertEquals(bells.map(({ rung }) => rung).indexOf(1), 39);
  for (const bell of bells) bell[Symbol.dispose]();
});

for (const spin of ["auto", 50] as const) {
  Deno.test(`PollGroup with spin ${spin} finds what is there, and sleeps when nothing is`, () => {
    using group = new PollGroup({ spin });
    using bell = new Bell();
    group.add(bell);
    bell.event.signal();
    const target = new Ticket<void>();
    bell.onRing = () => target.settle();
    assertEquals(group.wait(target, 2000), true);
    assertEquals(group.wait(new Ticket<void>(), 1), false);
  });
}

Deno.test("PollGroup.settled() serves the group in the background, members added later too", async () => {
  using group = new PollGroup();
  using a = new Bell();
  using late = new Bell();
  group.add(a);
  const target = new Ticket<string>();
  late.onRing = () => target.settle("rung");
  const promise = group.settled(target);
  late.event.signal();
  group.add(late);
  assertEquals(await promise, "rung");
  assertEquals(await group.settled(target), "rung");
});

Deno.test("PollGroup.settled() hears of a ticket that this thread settles itself", async () => {
  using group = new PollGroup();
  using bell = new Bell();
  group.add(bell);
  const target = new Ticket<number>();
  const promise = group.settled(target);
  await Promise.resolve();
  bell.onRing = () => target.settle(1);
  bell.event.signal();
  group.wait(target, 1000);
  assertEquals(await promise, 1);
});

Deno.test("PollGroup.settled() rejects when a member's poll throws", async () => {
  using group = new PollGroup();
  using bell = new Bell();
  group.add(bell);
  bell.onRing = () => {
    throw new Error("a mistake of ours");
  };
  const promise = group.settled(new Ticket<void>());
  bell.event.signal();
  await assertRejects(() => promise, Error, "a mistake of ours");
  // And serves again.
  const target = new Ticket<void>();
  bell.onRing = () => target.settle();
  bell.event.signal();
  await group.settled(target);
});

Deno.test("PollGroup.settled() keeps nothing of an answer that has come, however long another one takes", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  using group = new PollGroup();
  using bell = new Bell();
  group.add(bell);
  const slow = new Ticket<void>();
  const late = group.settled(slow);
  const answers: WeakRef<object>[] = [];
  const answered = async () => {
    const target = new Ticket<object>();
    const promise = group.settled(target);
    target.settle({});
    answers.push(new WeakRef(await promise));
  };
  await answered();
  // A target of a WeakRef lives until the task at hand is over.
  await new Promise((resolve) => setTimeout(resolve, 0));
  collect();
  assertEquals(answers.map((answer) => answer.deref()), [undefined]);
  slow.settle();
  await late;
});
