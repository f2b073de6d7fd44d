import { assertEquals } from "@std/assert";
import { Access, Fault, type Iova } from "../address.ts";
import { FaultLog, FaultSequence } from "./fault_log.ts";

function log(capacity = 4): FaultLog {
  return new FaultLog(0x0008, new FaultSequence(), capacity);
}

function recordNumbered(subject: FaultLog, count: number, from = 0): void {
  for (let i = from; i < from + count; i++) {
    subject.record(i, -1, i * 0x1000, Access.READ, Fault.UNMAPPED);
  }
}

const times = (records: readonly { timeNs: number }[]): number[] =>
  records.map((record) => record.timeNs);

Deno.test("FaultLog.record() keeps every field whole", () => {
  const subject = log();
  subject.record(2 ** 53 - 1, 0xf_ffff, 2 ** 52 - 1, Access.WRITE, Fault.PERMISSION);
  subject.record(0, -1, 2 ** 52, Access.READ_WRITE, Fault.BUS_MASTER_OFF);
  assertEquals(subject.drain(), [
    {
      sequence: 0,
      timeNs: 2 ** 53 - 1,
      endpoint: 8,
      pasid: 0xf_ffff,
      iova: 2 ** 52 - 1 as Iova,
      access: Access.WRITE,
      reason: Fault.PERMISSION,
    },
    {
      sequence: 1,
      timeNs: 0,
      endpoint: 8,
      pasid: -1,
      iova: 2 ** 52 as Iova,
      access: Access.READ_WRITE,
      reason: Fault.BUS_MASTER_OFF,
    },
  ]);
});

Deno.test("FaultLog.drain() gives each fault once, oldest first", () => {
  const subject = log();
  assertEquals(subject.drain(), []);
  recordNumbered(subject, 3);
  assertEquals(times(subject.drain()), [0, 1, 2]);
  assertEquals(subject.drain(), []);
  recordNumbered(subject, 3, 3);
  assertEquals(times(subject.drain()), [3, 4, 5]);
  assertEquals([subject.recorded, subject.dropped], [6, 0]);
});

Deno.test("FaultLog that is full overwrites the oldest fault, and counts it as dropped", () => {
  const subject = log();
  recordNumbered(subject, 4);
  assertEquals(subject.dropped, 0);
  recordNumbered(subject, 3, 4);
  assertEquals([subject.recorded, subject.dropped], [7, 3]);
  assertEquals(times(subject.drain()), [3, 4, 5, 6]);
  recordNumbered(subject, 4, 7);
  assertEquals([subject.recorded, subject.dropped], [11, 3]);
  recordNumbered(subject, 1, 11);
  assertEquals(subject.dropped, 4);
  assertEquals(times(subject.drain()), [8, 9, 10, 11]);
});

Deno.test("FaultLog.recent() leaves the faults where they are, and shows drained ones too", () => {
  const subject = log();
  recordNumbered(subject, 3);
  assertEquals(times(subject.recent()), [0, 1, 2]);
  assertEquals(times(subject.recent(2)), [1, 2]);
  assertEquals(subject.recent(0), []);
  assertEquals(times(subject.drain()), [0, 1, 2]);
  assertEquals(times(subject.recent(100)), [0, 1, 2]);
  recordNumbered(subject, 4, 3);
  assertEquals(times(subject.recent(100)), [3, 4, 5, 6]);
  assertEquals(times(subject.drain()), [3, 4, 5, 6]);
});

Deno.test("FaultLog numbers faults across the endpoints of one IOMMU", () => {
  const numbering = new FaultSequence();
  const logs = [new FaultLog(1, numbering), new FaultLog(2, numbering)];
  for (const at of [0, 1, 1, 0, 1]) recordNumbered(logs[at]!, 1);
  assertEquals(logs.map((each) => each.drain().map((record) => record.sequence)), [
    [0, 3],
    [1, 2, 4],
  ]);
});

Deno.test("FaultLog of a device that faults for ever keeps its size", () => {
  const subject = log(1024);
  recordNumbered(subject, 100_000);
  assertEquals([subject.recorded, subject.dropped], [100_000, 100_000 - 1024]);
  assertEquals(subject.drain().length, 1024);
});
