/**
 * Our own client where `floor.c` stands otherwise: the same commands on stdin, the same answers.
 * @module
 */

import { Access } from "../../../core/address.ts";
import { createSharedMemory } from "../../../protocols/linux/mapping.ts";
import { VfioUserClient } from "../../../protocols/vfio_user/client/client.ts";
import { PollGroup } from "../../../protocols/vfio_user/client/poll_group.ts";
import { VfioPciRegion } from "../../../protocols/vfio_user/vfio_spec.ts";
import { EDU_IDENTIFICATION } from "../../../devices/edu/spec.ts";
import { BULK_BAR, BULK_BYTES } from "./bulk_device.ts";
import { median } from "../statistics.ts";

const IOVA = 2 ** 32;
const PAGE = 4096;
const PAGES = 2048;
/** Pairs timed together, as in `floor.c`. */
const BATCH = 16;
/** Microseconds that a client that spins looks for before it sleeps: longer than any answer takes. */
const SPIN_US = 10_000;

const register = new Uint8Array(4);
const registerView = new DataView(register.buffer);
const bulk = new Uint8Array(BULK_BYTES).map((_, at) => at * 31 + (at >> 12));
const memory = createSharedMemory("bench", PAGES * PAGE);
const sleeping = new PollGroup();
const spinning = new PollGroup({ spin: SPIN_US });
let client: VfioUserClient | null = null;
let next = 0;

function connected(): VfioUserClient {
  if (client === null) throw new Error("Not connected");
  return client;
}

function connect(path: string, group: PollGroup): void {
  client?.close();
  client = VfioUserClient.connect(path, { group });
  const memoryAndMaster = new Uint8Array([6, 0]);
  client.wait(client.regions.write(VfioPciRegion.VFIO_PCI_CONFIG_REGION_INDEX, 4, memoryAndMaster));
}

function registerRead(): void {
  const client = connected();
  client.wait(client.regions.read(0, 0, register));
  const value = registerView.getUint32(0, true);
  if (value !== EDU_IDENTIFICATION) throw new Error(`A register was read as ${value}`);
}

/** Nanoseconds of one run of `body`: the median of batches. */
function timed(count: number, batch: number, body: () => void): number {
  const samples: number[] = [];
  for (let done = 0; done < count; done += batch) {
    const start = performance.now();
    for (let i = 0; i < batch; i++) body();
    samples.push((performance.now() - start) * 1e6 / batch);
  }
  return median(samples);
}

function mapAndUnmap(): void {
  const client = connected();
  next = (next + 1) % PAGES;
  const address = IOVA + next * PAGE;
  client.wait(client.dma.map({
    address,
    size: PAGE,
    access: Access.READ_WRITE,
    fd: memory.fd,
    offset: next * PAGE,
  }));
  client.wait(client.dma.unmap(address, PAGE));
}

/** As a batch of {@linkcode mapAndUnmap}, of which only the last answer is waited for. */
function pipelinedPairs(): void {
  const client = connected();
  let last = null;
  for (let i = 0; i < BATCH; i++) {
    next = (next + 1) % PAGES;
    const address = IOVA + next * PAGE;
    const offset = next * PAGE;
    client.dma.map({ address, size: PAGE, access: Access.READ_WRITE, fd: memory.fd, offset });
    last = client.dma.unmap(address, PAGE);
  }
  if (last !== null) client.wait(last);
}

function carryOut(line: string): number {
  const [word, first, second] = line.split(" ") as [string, string, string];
  const count = Number(first);
  switch (word) {
    case "connect":
      connect(first, sleeping);
      return 0;
    case "connect-spinning":
      connect(first, spinning);
      return 0;
    case "read":
      return timed(Number(second), 1, registerRead);
    case "map":
      return timed(count, BATCH, mapAndUnmap);
    case "map-pipelined":
      return timed(count / BATCH, 1, pipelinedPairs) / BATCH;
    case "region-read":
      return timed(count, 1, () => connected().wait(connected().regions.read(BULK_BAR, 0, bulk)));
    case "region-write":
      return timed(count, 1, () => connected().wait(connected().regions.write(BULK_BAR, 0, bulk)));
    default:
      throw new Error(`There is no command ${word}`);
  }
}

const encoder = new TextEncoder();
const buffer = new Uint8Array(4096);
let text = "";
for (;;) {
  const end = text.indexOf("\n");
  if (end < 0) {
    const length = Deno.stdin.readSync(buffer);
    if (length === null) break;
    text += new TextDecoder().decode(buffer.subarray(0, length));
    continue;
  }
  const line = text.slice(0, end);
  text = text.slice(end + 1);
  let answer: string;
  try {
    answer = String(carryOut(line));
  } catch (error) {
    answer = `error: ${error instanceof Error ? error.message : error}`;
  }
  Deno.stdout.writeSync(encoder.encode(answer + "\n"));
}
