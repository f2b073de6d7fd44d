import { assert, assertEquals, assertThrows } from "@std/assert";
import { LoadAverage, MAX_SPIN_NS, SpinPolicy } from "./spin.ts";

Deno.test("SpinPolicy off never spins, and a number always spins that long", () => {
  const off = new SpinPolicy("off", () => 1, 8);
  const fixed = new SpinPolicy(50, () => 99, 1);
  for (let i = 0; i < 100; i++) {
    off.learn(1000);
    fixed.learn(1e9);
    assertEquals([off.boundNs(i), fixed.boundNs(i)], [0, 50_000]);
  }
  assertThrows(() => new SpinPolicy(-1, () => 1), RangeError);
  assertThrows(() => new SpinPolicy(NaN, () => 1), RangeError);
});

Deno.test("SpinPolicy auto grows its bound for short waits, and is bounded", () => {
  const policy = new SpinPolicy("auto", () => 1, 2);
  for (let i = 0; i < 100; i++) policy.learn(100_000);
  const bound = policy.boundNs(0);
  assert(bound >= 200_000 && bound <= MAX_SPIN_NS, `${bound}`);
  for (let i = 0; i < 100; i++) policy.learn(MAX_SPIN_NS);
  assertEquals(policy.boundNs(1), MAX_SPIN_NS);
});

Deno.test("SpinPolicy auto stops spinning when waits are long, and starts again when they are short", () => {
  const policy = new SpinPolicy("auto", () => 1, 2);
  for (let i = 0; i < 100; i++) policy.learn(100_000);
  let rounds = 0;
  for (; policy.boundNs(0) > 0; rounds++) policy.learn(1e9);
  assert(rounds <= 6, `${rounds} long waits were spun in`);
  policy.learn(5_000);
  assert(policy.boundNs(0) >= 10_000);
});

Deno.test("SpinPolicy auto spins only where a CPU is free, and looks again after a while", () => {
  let running = 3;
  const policy = new SpinPolicy("auto", () => running, 2);
  assertEquals(policy.boundNs(0), 0);
  running = 1;
  assertEquals(policy.boundNs(1_000_000), 0, "not so soon");
  assert(policy.boundNs(100_000_000) > 0);
  assertEquals(new SpinPolicy("auto", () => 1, 1).boundNs(0), 0, "one CPU");
  assertEquals(new SpinPolicy("auto", () => NaN, 2).boundNs(0), 0, "unknown");
});

Deno.test("LoadAverage.running() counts this thread", () => {
  using load = new LoadAverage();
  for (let i = 0; i < 3; i++) assert(load.running() >= 1);
});
