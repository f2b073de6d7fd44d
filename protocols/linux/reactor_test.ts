import { assert, assertEquals, assertThrows } from "@std/assert";
import { liveDescriptors } from "./descriptor.ts";
import { EventFd } from "./eventfd.ts";
import { POLLHUP, POLLIN, POLLOUT } from "./libc.ts";
import { Mailbox } from "./mailbox.ts";
import { Reactor, type ReactorHandle, stopReactor, wakeReactor } from "./reactor.ts";
import type { Start } from "./reactor_test_worker.ts";
import { UnixStream } from "./unix_stream.ts";

Deno.test("Reactor.turn() calls the handlers of what is ready, with what is there", () => {
  using reactor = new Reactor({ spin: "off" });
  const [a, b] = UnixStream.pair();
  using first = a;
  const seen: number[] = [];
  const registration = reactor.add(first.fd, POLLIN, (events) => seen.push(events));
  reactor.turn(0);
  assertEquals(seen, []);
  registration.watch(POLLIN | POLLOUT);
  reactor.turn();
  assertEquals(seen, [POLLOUT]);
  registration.watch(0);
  b.close();
  reactor.turn();
  assertEquals(seen, [POLLOUT, POLLHUP]);
  registration.remove();
  registration.remove();
  reactor.turn(0);
  assertEquals([seen.length, reactor.watched], [2, 0]);
});

Deno.test("Reactor handlers may remove themselves, others, and add new ones while they run", () => {
  using reactor = new Reactor({ spin: "off" });
  const events = Array.from({ length: 40 }, () => EventFd.create());
  const calls = new Array<number>(80).fill(0);
  const registrations = events.map((event, i) => {
    event.signal();
    return reactor.add(event.fd, POLLIN, () => {
      calls[i] = (calls[i] ?? 0) + 1;
      // The neighbour goes, this one goes, and a new one watches the same descriptor.
      registrations[i ^ 1]?.remove();
      registrations[i]?.remove();
      reactor.add(event.fd, POLLIN, () => calls[40 + i] = (calls[40 + i] ?? 0) + 1);
    });
  });
  reactor.turn(0);
  for (let i = 0; i < 40; i += 2) assertEquals((calls[i] ?? 0) + (calls[i + 1] ?? 0), 1);
  assertEquals(calls.slice(40).every((count) => count === 0), true, "the new ones wait their turn");
  assertEquals(reactor.watched, 20);
  reactor.turn(0);
  assertEquals(calls.slice(40), calls.slice(0, 40));
  for (const event of events) event.close();
});

Deno.test("Reactor registrations hold good after others before them were removed", () => {
  using reactor = new Reactor({ spin: "off" });
  const events = [0, 1, 2, 3].map(() => EventFd.create());
  const calls = [0, 0, 0, 0];
  const registrations = events.map((event, i) => {
    event.signal();
    return reactor.add(event.fd, POLLIN, () => calls[i] = (calls[i] ?? 0) + 1);
  });
  registrations[0]?.remove();
  reactor.turn(0);
  registrations[1]?.remove();
  registrations[2]?.watch(0);
  reactor.turn(0);
  assertEquals([calls, reactor.watched], [[0, 1, 1, 2], 2]);
  registrations[3]?.remove();
  registrations[2]?.watch(POLLIN);
  reactor.turn(0);
  assertEquals([calls, reactor.watched], [[0, 1, 2, 2], 1]);
  for (const event of events) event.close();
});

Deno.test("Reactor: a peer that floods keeps nobody waiting", () => {
  using reactor = new Reactor({ spin: "off" });
  const [flooder, flooded] = UnixStream.pair();
  const [quiet, answered] = UnixStream.pair();
  let answers = 0;
  let floods = 0;
  const flood = (): void => {
    flooder.headBytes.fill(1);
    for (let i = 0; i < 100; i++) flooder.send(1000);
  };
  flood();
  const registration = reactor.add(flooded.fd, POLLIN, (events) => {
    if (events !== 0) flooded.receive();
    flooded.consume(Math.min(1000, flooded.length));
    floods++;
    if (flooded.length > 0) registration.again();
  });
  reactor.add(answered.fd, POLLIN, () => {
    answered.receive();
    answered.consume(answered.length);
    answers++;
  });
  for (let turn = 1; turn <= 50; turn++) {
    quiet.send(1);
    reactor.turn();
    assertEquals([answers, floods], [turn, turn]);
  }
  for (const stream of [flooder, flooded, quiet, answered]) stream.close();
});

Deno.test("Reactor: each handler is first in its turn", () => {
  using reactor = new Reactor({ spin: "off" });
  const events = [0, 1, 2].map(() => EventFd.create());
  let order: number[] = [];
  events.forEach((event, i) => {
    event.signal();
    reactor.add(event.fd, POLLIN, () => order.push(i));
  });
  const firsts = new Set<number>();
  for (let turn = 0; turn < 4; turn++) {
    order = [];
    reactor.turn(0);
    assertEquals(order.toSorted(), [0, 1, 2]);
    firsts.add(order[0] ?? -1);
  }
  assertEquals(firsts.size, 3);
  for (const event of events) event.close();
});

Deno.test("Reactor.clock runs tasks in order of their instants, not before, and none cancelled", () => {
  using reactor = new Reactor({ spin: "off" });
  const ran: string[] = [];
  // An hour, so that a thread that is held up changes no order.
  const late = reactor.clock.defer(3_600_000, () => ran.push("late"));
  reactor.clock.defer(0, () => ran.push("cancelled")).cancel();
  reactor.clock.defer(0, () => {
    ran.push("first");
    const start = reactor.clock.nowNs;
    reactor.clock.defer(1, () => {
      ran.push("third");
      assert(reactor.clock.nowNs - start >= 1_000_000);
      reactor.stop();
    });
  });
  reactor.clock.defer(0, () => ran.push("second"));
  reactor.run();
  late.cancel();
  assertEquals(ran, ["first", "second", "third"]);
  assert(reactor.counts.turns < 20, "it slept in between");
  assertThrows(() => reactor.clock.defer(-1, () => {}), RangeError);
  assertThrows(() => reactor.clock.defer(NaN, () => {}), RangeError);
});

Deno.test("Reactor.post() runs tasks once, those posted meanwhile in the next turn", () => {
  using reactor = new Reactor();
  let rounds = 0;
  const again = (): void => {
    rounds++;
    reactor.post(again);
  };
  reactor.post(again);
  for (let turn = 1; turn <= 5; turn++) {
    reactor.turn();
    assertEquals(rounds, turn);
  }
});

Deno.test("Reactor.hasTasks tells of tasks for the next turn until they run", () => {
  using reactor = new Reactor();
  assertEquals(reactor.hasTasks, false);
  let during: boolean | null = null;
  reactor.post(() => during = reactor.hasTasks);
  assertEquals(reactor.hasTasks, true);
  reactor.turn();
  assertEquals([during, reactor.hasTasks], [false, false]);
});

Deno.test("Reactor gives what a handler throws to onError, or throws it when the turn is done", () => {
  const errors: unknown[] = [];
  using reporting = new Reactor({ onError: (error) => errors.push(error) });
  using throwing = new Reactor();
  for (const reactor of [reporting, throwing]) {
    reactor.post(() => {
      throw new Error("of a task");
    });
    reactor.post(() => errors.push("the next task"));
  }
  reporting.turn();
  assertEquals([(errors[0] as Error).message, errors[1]], ["of a task", "the next task"]);
  assertThrows(() => throwing.turn(), Error, "of a task");
  assertEquals(errors.length, 3);
  throwing.turn(0);
  throwing.post(() => throwing.turn());
  assertThrows(() => throwing.turn(), Error, "from within one");
});

Deno.test("Reactor.stop() ends the loop before the next handler", () => {
  using reactor = new Reactor();
  let calls = 0;
  const events = [EventFd.create(), EventFd.create()];
  for (const event of events) {
    event.signal();
    reactor.add(event.fd, POLLIN, () => {
      calls++;
      reactor.stop();
    });
  }
  reactor.run();
  assertEquals(calls, 1);
  for (const event of events) event.close();
});

Deno.test("Reactor grows its table, and disposes of what it has open", () => {
  const before = liveDescriptors();
  const event = EventFd.create();
  event.signal();
  let calls = 0;
  {
    using reactor = new Reactor();
    const registrations = Array.from(
      { length: 1000 },
      () => reactor.add(event.fd, POLLIN, () => calls++),
    );
    reactor.turn();
    assertEquals([calls, reactor.watched], [1000, 1000]);
    for (const registration of registrations) registration.remove();
    reactor.turn(0);
    assertEquals([calls, reactor.watched], [1000, 0]);
    wakeReactor(reactor.handle);
    reactor[Symbol.dispose]();
    wakeReactor(reactor.handle);
  }
  event.close();
  assertEquals(liveDescriptors(), before);
});

Deno.test("Reactor.runAlongside() leaves the event loop running, and hears of changes at once", async () => {
  using reactor = new Reactor();
  const event = EventFd.create();
  const done = reactor.runAlongside();
  // By now it waits on another thread, with nothing that would ever wake it.
  await new Promise<void>((resolve) => setTimeout(resolve, 0));
  const seen = new Promise<number>((resolve) => {
    reactor.add(event.fd, POLLIN, () => resolve(event.drain()));
  });
  event.signal();
  assertEquals(await seen, 1);
  await new Promise<void>((resolve) => reactor.clock.defer(1, resolve));
  await new Promise<void>((resolve) => reactor.post(resolve));
  const busy = (): void => reactor.post(busy);
  busy();
  await new Promise<void>((resolve) => setTimeout(resolve, 0));
  reactor.stop();
  await done;
  event.close();
});

interface Running {
  readonly worker: Worker;
  readonly handle: ReactorHandle;
  readonly mailbox: Mailbox;
  next(): Promise<Record<string, unknown>>;
}

async function start(spin: Start["spin"]): Promise<Running> {
  const worker = new Worker(import.meta.resolve("./reactor_test_worker.ts"), { type: "module" });
  const arrived: Record<string, unknown>[] = [];
  let notify: (() => void) | null = null;
  worker.onmessage = (event: MessageEvent<Record<string, unknown>>) => {
    arrived.push(event.data);
    notify?.();
  };
  const next = async (): Promise<Record<string, unknown>> => {
    while (arrived.length === 0) await new Promise<void>((resolve) => notify = resolve);
    return arrived.shift() as Record<string, unknown>;
  };
  const mailbox = Mailbox.create();
  worker.postMessage({ mailbox: mailbox.handle, spin } satisfies Start);
  const { handle } = await next();
  return { worker, handle: handle as ReactorHandle, mailbox, next };
}

Deno.test("a reactor that sleeps in a Worker takes commands, posts answers, and stops at once", async () => {
  const { handle, mailbox, next, worker } = await start("off");
  for (let i = 0; i < 20; i++) {
    assert(mailbox.send({ command: i }));
    wakeReactor(handle);
    assertEquals(await next(), { echo: { command: i } });
  }
  stopReactor(handle);
  const end = await next();
  assertEquals([end["done"], end["spins"]], [true, 0]);
  assert(Number(end["sleeps"]) > 0);
  worker.terminate();
});

Deno.test("a reactor that spins in a Worker takes commands without sleeping", async () => {
  // Longer than any test, so that no wait ends but by what is waited for.
  const { handle, mailbox, next, worker } = await start(100_000_000);
  for (let i = 0; i < 5; i++) {
    assert(mailbox.send(i));
    wakeReactor(handle);
    assertEquals(await next(), { echo: i });
  }
  stopReactor(handle);
  const end = await next();
  assertEquals([end["done"], end["sleeps"]], [true, 0]);
  assert(Number(end["spins"]) >= 1);
  worker.terminate();
});
