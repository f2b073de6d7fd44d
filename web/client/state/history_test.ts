import { assert, assertEquals } from "@std/assert";
import { busiest, Grid, History, HISTORY_SAMPLES } from "./history.ts";

/** A sample each 250 ms from 0 on, with totals that grow by `step` each. */
function steady(samples: number, step = 10): History {
  const history = new History(1);
  for (let i = 0; i < samples; i++) {
    history.begin(i * 250, "sample");
    history.set("a", 0, i * step);
  }
  return history;
}

Deno.test("Grid.rate() is the growth of the total a second", () => {
  const grid = new Grid(steady(41), 0, 10_000, 10);
  assertEquals(grid.stepMs, 1000);
  assertEquals(grid.rate("a", 0), new Array(10).fill(40));
  assertEquals([...grid.seconds].slice(0, 2), [0.5, 1.5]);
});

Deno.test("Grid.growth() adds up to the whole, whatever the columns", () => {
  const history = steady(41);
  for (const columns of [7, 10, 13, 40, 400]) {
    const grid = new Grid(history, 0, 10_000, columns);
    const sum = grid.growth("a", 0).reduce<number>((total, grown) => total + (grown ?? 0), 0);
    assertEquals(Math.round(sum), Math.round(grid.length * grid.stepMs / 25), String(columns));
  }
});

Deno.test("Grid.growth() is unknown across a gap, and nowhere else", () => {
  const history = new History(1);
  for (let i = 0; i < 9; i++) {
    history.begin(i * 1000, i === 4 ? "gap" : "sample");
    history.set("a", 0, i);
  }
  assertEquals(new Grid(history, 0, 8000, 8).growth("a", 0), [1, 1, 1, null, 1, 1, 1, 1]);
});

Deno.test("Grid.growth() is unknown where a total was started afresh", () => {
  const history = new History(1);
  [5, 6, 0, 1].forEach((total, i) => {
    history.begin(i * 1000, "sample");
    history.set("a", 0, total);
  });
  assertEquals(new Grid(history, 0, 3000, 3).growth("a", 0), [1, null, 1]);
});

Deno.test("Grid.growth() is unknown before the first sample, after the last, and of strangers", () => {
  const history = steady(9);
  const grid = new Grid(history, -2000, 6000, 8);
  assertEquals(grid.growth("a", 0), [null, null, 40, 40, null, null, null, null]);
  assertEquals(grid.growth("b", 0), new Array(8).fill(null));
});

Deno.test("Grid.growth() of a source that came later begins with it", () => {
  const history = new History(1);
  for (let i = 0; i < 5; i++) {
    history.begin(i * 1000, "sample");
    if (i >= 2) history.set("late", 0, i * 3);
  }
  assertEquals(new Grid(history, 0, 4000, 4).growth("late", 0), [null, null, 3, 3]);
});

Deno.test("Grid.gauge() takes the last value of a stretch", () => {
  const history = new History(2);
  for (let i = 0; i < 5; i++) {
    history.begin(i * 500, "sample");
    history.set("a", 1, i);
  }
  assertEquals(new Grid(history, 0, 2000, 2).gauge("a", 1), [2, 4]);
});

Deno.test("Grid.gauge() holds a value between samples that are far apart, and not beyond the last", () => {
  const history = new History(1);
  for (let i = 0; i < 3; i++) {
    history.begin(i * 1000, "sample");
    history.set("a", 0, i);
  }
  assertEquals(new Grid(history, 0, 2500, 5).gauge("a", 0), [0, 1, 1, 2, null]);
});

Deno.test("History keeps its last samples and forgets the rest", () => {
  const history = steady(HISTORY_SAMPLES * 2 + 3);
  const last = history.count - 1;
  assertEquals(history.value("a", 0, last), last * 10);
  assertEquals(history.value("a", 0, history.first), history.first * 10);
  assert(Number.isNaN(history.value("a", 0, history.first - HISTORY_SAMPLES)));
  assert(last - history.first >= 3600, "15 minutes at four a second are there");
});

Deno.test("History forgets a source whose samples have all gone", () => {
  const history = new History(1);
  history.begin(0, "sample");
  history.set("gone", 0, 1);
  for (let i = 1; i < HISTORY_SAMPLES + 600; i++) {
    history.begin(i * 250, "sample");
    history.set("here", 0, i);
  }
  assertEquals([...history.sources], ["here"]);
});

Deno.test("History.sampleAt() finds the last sample at or before an instant", () => {
  const history = steady(9);
  assertEquals([-1, 0, 249, 250, 9999].map((time) => history.sampleAt(time)), [-1, 0, 0, 1, 8]);
});

Deno.test("busiest() names the greatest, and folds only two or more into the others", () => {
  const history = new History(1);
  for (let sample = 0; sample < 2; sample++) {
    history.begin(sample * 1000, "sample");
    for (let i = 0; i < 6; i++) history.set(`s${i}`, 0, sample * i);
  }
  const { top, others } = busiest(history, history.sources, 0, 0, 1000, 3);
  assertEquals(top, ["s5", "s4", "s3"]);
  assertEquals(others, ["s2", "s1", "s0"]);
  assertEquals(busiest(history, history.sources, 0, 0, 1000, 5).others, []);
});

Deno.test("History lets go of samples older than a quarter of an hour that are few and far between", () => {
  const history = new History(1);
  for (let i = 0; i < 3000; i++) {
    history.begin(i * 1000, "sample");
    history.set("a", 0, i);
  }
  assert(history.timeMs(history.first) <= 2_999_000 - 900_000, "15 minutes are there");
  assert(history.timeMs(history.first) > 2_999_000 - 1_500_000, "not much more is");
});
