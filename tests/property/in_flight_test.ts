/** The promise of unmap: nothing that takes translations away is done while DMA that it takes away is in flight. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Access, type Gpa, type Iova } from "../../core/address.ts";
import type { Completion } from "../../core/iommu/completion.ts";
import { Iommu } from "../../core/iommu/iommu.ts";
import { IommuError } from "../../core/iommu/iommu_error.ts";
import { GuestRam } from "../../core/memory/guest_ram.ts";
import type { Pin } from "../../core/memory/memory.ts";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";

const PAGE = 4096;
const PAGES = 8;
const ENDPOINTS = [8, 16, 24];
const DOMAINS = [1, 2, 3];
/** Domain 3 is in bypass. */
const BYPASS_DOMAIN = 3;

/** What a device does when it is told to stop: nothing, or release this pin, or all of its pins, or everyone's. */
type OnRevoke = "wait" | "self" | "endpoint" | "everyone";

type Step =
  | { kind: "map"; domain: number; page: number; count: number }
  | { kind: "unmap"; domain: number; page: number; count: number }
  | { kind: "pin"; endpoint: number; at: number; length: number; onRevoke: OnRevoke }
  | { kind: "release"; which: number }
  | { kind: "attach"; endpoint: number; domain: number }
  | { kind: "detach"; endpoint: number }
  | { kind: "replace"; domain: number }
  | { kind: "bypass"; state: "on" | "off" };

const endpoint = fc.constantFrom(...ENDPOINTS);
const domain = fc.constantFrom(...DOMAINS);
const page = fc.nat(PAGES - 1);
const count = fc.integer({ min: 1, max: 3 });

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 9, arbitrary: fc.record({ kind: fc.constant("map" as const), domain, page, count }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("unmap" as const), domain, page, count }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("pin" as const),
      endpoint,
      at: fc.oneof(
        fc.nat(PAGES * PAGE - 1),
        page.map((p) => p * PAGE),
        page.map((p) => p * PAGE + PAGE - 1),
      ),
      length: fc.oneof(fc.integer({ min: 1, max: 64 }), fc.nat(2 * PAGE)),
      onRevoke: fc.constantFrom<OnRevoke>("wait", "wait", "wait", "self", "endpoint", "everyone"),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant("release" as const), which: fc.nat(100) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("attach" as const), endpoint, domain }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("detach" as const), endpoint }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("replace" as const), domain }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("bypass" as const),
      state: fc.constantFrom("on" as const, "off" as const),
    }),
  },
);

/** A domain as this test knows it: another one of the same number is not the same. */
interface Space {
  readonly id: number;
}

interface Live {
  readonly pin: Pin;
  readonly endpoint: number;
  /** The domain whose mappings it went through; null when it went untranslated. */
  readonly through: Space | null;
  readonly start: number;
  readonly last: number;
  released: boolean;
  timesTold: number;
}

interface Change {
  readonly name: string;
  readonly completion: Completion;
  readonly waitsFor: readonly Live[];
  timesDone: number;
}

class Bench {
  readonly iommu: Iommu;
  readonly pins: Live[] = [];
  readonly changes: Change[] = [];
  // Kept here and not asked for: what is in the wrong place there must not be right here.
  readonly domains = new Map<number, Space>();
  readonly attached = new Map<number, Space>();
  bypass: "on" | "off" = "off";
  /** Domains that were replaced while DMA through them was in flight. */
  replaced = 0;

  constructor() {
    const ram = new GuestRam([{ name: "ram", start: 0 as Gpa, length: 2 * PAGES * PAGE }]);
    this.iommu = new Iommu(ram, { clock: new VirtualClock() });
    for (const id of ENDPOINTS) this.iommu.addEndpoint(id);
    for (const id of DOMAINS) this.create(id);
    for (const [at, id] of ENDPOINTS.entries()) {
      this.run({ kind: "attach", endpoint: id, domain: DOMAINS[at % 2]! });
    }
  }

  create(id: number): void {
    this.iommu.createDomain(id, id === BYPASS_DOMAIN ? "bypass" : "mapped");
    this.domains.set(id, { id });
    if (id === BYPASS_DOMAIN) return;
    for (let page = 0; page < PAGES; page++) {
      this.iommu.map(id, page * PAGE as Iova, page * PAGE as Gpa, PAGE, Access.READ_WRITE);
    }
  }

  release(live: Live): void {
    live.pin.release();
    live.released = true;
  }

  pin(todo: Step & { kind: "pin" }): void {
    const endpoint = this.iommu.endpoint(todo.endpoint);
    const pin = endpoint.memory.pin(todo.at as Iova, todo.length, Access.READ_WRITE);
    if (typeof pin === "number") return;
    const space = this.attached.get(todo.endpoint);
    const live: Live = {
      pin,
      endpoint: todo.endpoint,
      through: space === undefined || space.id === BYPASS_DOMAIN ? null : space,
      start: todo.at,
      last: todo.at + todo.length - 1,
      released: false,
      timesTold: 0,
    };
    this.pins.push(live);
    pin.onRevoke = () => {
      live.timesTold++;
      assert(pin.revoked && !live.released);
      switch (todo.onRevoke) {
        case "wait":
          return;
        case "self":
          return this.release(live);
        case "endpoint":
          return this.pins.filter((p) => p.endpoint === live.endpoint).forEach((p) =>
            this.release(p)
          );
        case "everyone":
          this.pins.forEach((p) => this.release(p));
      }
    };
  }

  /** Makes a change that must wait for the pins that `takesAway` picks of those alive now. */
  change(name: string, takesAway: (live: Live) => boolean, make: () => Completion): void {
    const waitsFor = this.pins.filter((p) => !p.released && p.pin.length > 0 && takesAway(p));
    let completion: Completion;
    try {
      completion = make();
    } catch (error) {
      assert(error instanceof IommuError);
      return;
    }
    const change: Change = { name, completion, waitsFor, timesDone: 0 };
    completion.whenDone(() => change.timesDone++);
    this.changes.push(change);
    for (const live of waitsFor) {
      assert(live.released || live.pin.revoked, `${name}: a pin was not told`);
    }
  }

  run(todo: Step): void {
    const { iommu } = this;
    switch (todo.kind) {
      case "map":
        try {
          iommu.map(
            todo.domain,
            todo.page * PAGE as Iova,
            todo.page * PAGE as Gpa,
            todo.count * PAGE,
            Access.READ_WRITE,
          );
        } catch (error) {
          assert(error instanceof IommuError);
        }
        return;
      case "unmap": {
        const start = todo.page * PAGE;
        const last = start + todo.count * PAGE - 1;
        const domain = this.domains.get(todo.domain)!;
        return this.change(
          `unmap ${start}..${last} of ${todo.domain}`,
          (p) => p.through === domain && p.start <= last && p.last >= start,
          () => iommu.unmap(todo.domain, start as Iova, todo.count * PAGE),
        );
      }
      case "pin":
        return this.pin(todo);
      case "release": {
        const alive = this.pins.filter((p) => !p.released);
        const live = alive[todo.which % alive.length];
        if (live !== undefined) this.release(live);
        return;
      }
      case "attach":
      case "detach": {
        // All that the endpoint has in flight, also through a domain it left before;
        // of one that was in none, what passes in bypass goes on.
        const before = this.attached.get(todo.endpoint);
        const moves = todo.kind === "detach" || before?.id !== todo.domain;
        const passes = todo.kind === "detach" && before === undefined && this.bypass === "on";
        if (todo.kind === "detach") this.attached.delete(todo.endpoint);
        else this.attached.set(todo.endpoint, this.domains.get(todo.domain)!);
        return this.change(
          `${todo.kind} ${todo.endpoint}`,
          (p) => moves && p.endpoint === todo.endpoint && (p.through !== null || !passes),
          () =>
            todo.kind === "detach"
              ? iommu.detach(todo.endpoint)
              : iommu.attach(todo.endpoint, todo.domain),
        );
      }
      case "replace": {
        // By another of the same name: what is in flight goes through the one that was.
        const domain = this.domains.get(todo.domain)!;
        const members = ENDPOINTS.filter((id) => this.attached.get(id) === domain);
        for (const endpoint of members) this.run({ kind: "detach", endpoint });
        this.change(
          `destroy ${todo.domain}`,
          (p) => p.through === domain,
          () => iommu.destroyDomain(todo.domain),
        );
        if (this.pins.some((p) => !p.released && p.through === domain)) this.replaced++;
        this.create(todo.domain);
        for (const endpoint of members) {
          this.run({ kind: "attach", endpoint, domain: todo.domain });
        }
        return;
      }
      case "bypass":
        this.bypass = todo.state;
        return this.change(
          `bypass ${todo.state}`,
          (p) => todo.state === "off" && p.through === null && !this.attached.has(p.endpoint),
          () => iommu.setBypass(todo.state),
        );
    }
  }

  check(): void {
    for (const { name, completion, waitsFor, timesDone } of this.changes) {
      const ended = waitsFor.every((live) => live.released);
      assertEquals([name, completion.done, timesDone], [name, ended, ended ? 1 : 0]);
    }
    for (const live of this.pins) {
      assert(live.timesTold <= 1);
      if (live.timesTold === 1) assert(live.pin.revoked);
    }
  }
}

Deno.test("Iommu: no unmap, detach, attach, destruction or end of bypass is done while DMA that it takes away is in flight", () => {
  let waited = 0;
  let replaced = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 120, size: "max" }), (steps) => {
      const bench = new Bench();
      for (const todo of steps) {
        bench.run(todo);
        bench.check();
      }
      waited += bench.changes.filter((change) => change.waitsFor.length > 0).length;
      for (const live of bench.pins) bench.release(live);
      bench.check();
      for (const { completion } of bench.changes) assert(completion.done);
      replaced += bench.replaced;
      for (const domain of bench.iommu.domains) assertEquals(domain.space.inFlight.count, 0);
    }),
    { numRuns: 200 },
  );
  assert(waited > 300, `only ${waited} changes met a pin`);
  assert(replaced > 5, `only ${replaced} domains with DMA in flight were replaced`);
});
