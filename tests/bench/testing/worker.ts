/**
 * Lanes for the tests of lanes.
 * @module
 */

import { serveLane, type Subject } from "../subject.ts";

/** Returns the number of its operations, and `extra`. */
function counter(name: string, extra = 0): Subject {
  return {
    name,
    pass: 8,
    run(operations) {
      let sum = extra;
      for (let i = 0; i < operations; i++) sum++;
      return sum;
    },
  };
}

serveLane({
  counter: () => [counter("counter")],
  "counter-too": () => [counter("counter-too")],
  wrong: () => [counter("wrong", 1)],
  pair: () => [counter("left"), counter("right")],
  "fails-to-build": () => {
    throw new Error("no memory for this lane");
  },
  "fails-to-run": () => [{
    name: "fails",
    pass: 8,
    run() {
      throw new Error("out of order");
    },
  }],
});
