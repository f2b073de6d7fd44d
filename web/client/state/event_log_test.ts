import { assertEquals } from "@std/assert";
import type { TimelineEvent } from "../../api.ts";
import { EventLog, LOG_CAPACITY } from "./event_log.ts";

function event(sequence: number): TimelineEvent {
  return {
    sequence,
    timeNs: 0,
    kind: "map",
    endpoint: null,
    domain: 1,
    pasid: null,
    iova: 0,
    length: 4096,
    result: "",
    access: "rw",
  };
}

Deno.test("EventLog.add() keeps the newest events in order, and counts what the server left out", () => {
  const log = new EventLog();
  for (let i = 0; i < LOG_CAPACITY + 5; i++) log.add({ events: [event(i)], dropped: i % 2 });
  assertEquals(log.length, LOG_CAPACITY);
  assertEquals(log.at(0)?.sequence, 5);
  assertEquals(log.at(LOG_CAPACITY - 1)?.sequence, LOG_CAPACITY + 4);
  assertEquals(log.at(LOG_CAPACITY), undefined);
  assertEquals(log.at(-1), undefined);
  assertEquals(log.dropped, (LOG_CAPACITY + 4) / 2);
  assertEquals(log.filter(({ sequence }) => sequence < 8).map(({ sequence }) => sequence), [
    5,
    6,
    7,
  ]);
  log.clear();
  assertEquals([log.length, log.dropped], [0, 0]);
});

Deno.test("EventLog.prepend() puts events before those that came meanwhile, each once", () => {
  const log = new EventLog();
  log.add({ events: [event(4), event(5)], dropped: 1 });
  log.prepend({ events: [event(2), event(3), event(4)], dropped: 2 });
  assertEquals(log.filter(() => true).map(({ sequence }) => sequence), [2, 3, 4, 5]);
  assertEquals(log.dropped, 3);
  const empty = new EventLog();
  empty.prepend({ events: [event(0), event(1)], dropped: 0 });
  empty.add({ events: [event(1), event(2)], dropped: 0 });
  assertEquals(empty.filter(() => true).map(({ sequence }) => sequence), [0, 1, 2]);
});
