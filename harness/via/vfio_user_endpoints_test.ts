import { assertEquals } from "@std/assert";
import type { Iova } from "../../core/address.ts";
import { NO_METRICS } from "../run/run_report.ts";
import type { FaultReport } from "../scenario.ts";
import type { ControlRequest, CountersResult, LookResult, Results } from "./vfio_user_control.ts";
import { ServerEndpoints } from "./vfio_user_endpoints.ts";

/** A process that knows a few devices by number, and what it was asked. */
class FakeProcess {
  readonly asked: string[] = [];
  alive = true;
  readonly #name: string;
  readonly #translations: ReadonlyMap<number, number>;
  #sockets = 0;

  constructor(name: string, translations: Readonly<Record<number, number>>) {
    this.#name = name;
    this.#translations = new Map(
      Object.entries(translations).map(([number, count]) => [Number(number), count]),
    );
  }

  nextSocket(): string {
    return `/${this.#name}/${this.#sockets++}`;
  }

  do(request: ControlRequest): void {
    this.asked.push(request.kind === "tell" ? `tell ${request.path}` : request.kind);
  }

  ask<Kind extends keyof Results>(
    request: ControlRequest & { readonly kind: Kind },
  ): Results[Kind] {
    this.asked.push(request.kind);
    const counters: CountersResult = {
      endpoints: [...this.#translations].map(([endpoint, translations]) => ({
        endpoint,
        metrics: { ...NO_METRICS, translations },
        latencies: [],
        latencySumNs: 0,
        faultsLost: 0,
      })),
    };
    const look: LookResult = { ...counters, events: [[5, 0, 1, -1, 0x1000, 8, 0]] };
    return (request.kind === "look" ? look : counters) as unknown as Results[Kind];
  }
}

const listener = () => {
  const told: unknown[] = [];
  return {
    told,
    fault: (fault: FaultReport) => told.push(fault.iova),
    invalidated: ({ length }: { readonly length: number }) => told.push(length),
    place: (endpoint: number, path: string, number: number) => told.push([endpoint, path, number]),
  };
};

const translations = (endpoints: ServerEndpoints) =>
  endpoints.figures().map(({ endpoint, metrics }) => [endpoint, metrics.translations]);

Deno.test("ServerEndpoints.figures() gives those of the machine's endpoints, of one that moved from both its homes", () => {
  const endpoints = new ServerEndpoints(() => {});
  const first = new FakeProcess("a", { 1: 10, 2: 20 });
  const second = new FakeProcess("b", { 1: 5 });
  endpoints.join(first);
  endpoints.add(first, 1, 8);
  endpoints.add(first, 2, 16);
  assertEquals(translations(endpoints), [[8, 10], [16, 20]]);
  endpoints.join(second);
  endpoints.add(second, 1, 16);
  assertEquals(translations(endpoints), [[8, 10], [16, 25]]);
  assertEquals([endpoints.of(first, 1), endpoints.of(second, 1)], [8, 16]);
});

Deno.test("ServerEndpoints.watch() has each process tell, and says where each endpoint is told, also later", () => {
  const endpoints = new ServerEndpoints(() => {});
  const first = new FakeProcess("a", {}), second = new FakeProcess("b", {});
  endpoints.join(first);
  endpoints.add(first, 1, 8);
  assertEquals(first.asked, []);
  const watcher = listener();
  endpoints.watch(watcher);
  endpoints.add(first, 2, 16);
  endpoints.join(second);
  endpoints.add(second, 1, 8);
  assertEquals([first.asked, second.asked], [["tell /a/0"], ["tell /b/0"]]);
  assertEquals(watcher.told, [[8, "/a/0", 1], [16, "/a/0", 2], [8, "/b/0", 1]]);
});

Deno.test("ServerEndpoints.look() collects all processes, and names endpoints as the machine does", () => {
  let collected = 0;
  const endpoints = new ServerEndpoints(() => collected++);
  const process = new FakeProcess("a", { 1: 3 });
  endpoints.join(process);
  endpoints.add(process, 1, 8);
  const { figures, events } = endpoints.look();
  assertEquals(figures.map(({ endpoint }) => endpoint), [8]);
  assertEquals(events.map(({ endpoint, iova }) => [endpoint, iova]), [[8, 0x1000]]);
  assertEquals(process.asked, ["look"]);
  endpoints.collect();
  assertEquals(collected, 1);
});

Deno.test("ServerEndpoints.fault() tells whoever watches, and nobody else", () => {
  const endpoints = new ServerEndpoints(() => {});
  const fault: FaultReport = {
    endpoint: 8,
    pasid: null,
    iova: 0x1000 as Iova,
    access: 1,
    reason: "unmapped",
    timeNs: 0,
  };
  endpoints.fault(fault);
  const watcher = listener();
  endpoints.watch(watcher);
  endpoints.fault(fault);
  assertEquals(watcher.told, [0x1000]);
});

Deno.test("ServerEndpoints.invalidated() tells whoever watches, and nobody else", () => {
  const endpoints = new ServerEndpoints(() => {});
  const event = { timeNs: 5, kind: 6, endpoint: 8, pasid: -1, iova: 0, length: 4096, result: 0 };
  endpoints.invalidated(event);
  const watcher = listener();
  endpoints.watch(watcher);
  endpoints.invalidated(event);
  assertEquals(watcher.told, [4096]);
});

Deno.test("ServerEndpoints.watch() asks nothing of a process that is gone", () => {
  const endpoints = new ServerEndpoints(() => {});
  const process = new FakeProcess("a", {});
  endpoints.join(process);
  endpoints.add(process, 1, 8);
  process.alive = false;
  const watcher = listener();
  endpoints.watch(watcher);
  assertEquals([process.asked, watcher.told], [[], []]);
});
