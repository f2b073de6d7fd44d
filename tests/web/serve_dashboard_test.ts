/**
 * `deno task serve --dashboard` as people start it: what its page's API says is what a client of our
 * own has done.
 * @module
 */

import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import { Access, type Gpa, type Iova } from "../../core/address.ts";
import type {
  EndpointDetail,
  FaultsPage,
  MappingsPage,
  MessagesPage,
  RunDetail,
  RunList,
  Snapshot,
  TimelinePage,
  TranslateResult,
} from "../../web/api.ts";
import { ask, Process } from "./_command.ts";
import { settled, withClient, withServer } from "./_served.ts";

Deno.test("deno task serve --dashboard shows what a client does: DMA, mappings, a fault, messages", async () => {
  await withServer(["edu", "streamer"], async ({ api, socket }) => {
    const first = await api.json<Snapshot>("/api/state");
    assertEquals(first.state, "live");
    assertEquals(first.run?.machine, "server");
    assertEquals(
      first.endpoints.map(({ bdf, device, client }) => [bdf, device, client]),
      [
        ["00:04.0", "edu", { state: "none", accepted: 0 }],
        ["00:05.0", "streamer", { state: "none", accepted: 0 }],
      ],
    );
    await withClient(socket("edu"), async (driven) => {
      const { edu, forwarder, client } = driven;
      client.wait(forwarder.map(1, 0x8000 as Iova, 0x5000 as Gpa, 0x1000, Access.READ_WRITE));
      client.wait(forwarder.map(1, 0x9000 as Iova, 0x2000 as Gpa, 0x1000, Access.READ_WRITE));
      client.wait(forwarder.map(1, 0xc000 as Iova, 0x2000 as Gpa, 0x1000, Access.READ));
      await edu.dmaToDevice(0x8f00, 0, 512);
      await settled(driven);
      await edu.dmaToDevice(0x6_0000, 0, 64);
      await settled(driven);

      const { totals, endpoints, domains, timeline } = await ask<Snapshot>(
        api,
        "/api/state",
        ({ totals, endpoints }) =>
          totals.faults === 1 && endpoints[0]?.faultsByReason["unmapped"] === 1,
      );
      assertEquals([totals.dmaReadBytes, totals.dmaWriteBytes], [512, 0]);
      // 512 bytes over two pages that are apart, and one that is not there.
      assertEquals(totals.translations, 3);
      assertEquals(endpoints[0]!.counters, totals);
      assertEquals(endpoints[1]!.counters.translations, 0);
      assertEquals(endpoints[0]!.client, { state: "connected", accepted: 1 });
      assertEquals(domains.map(({ id, mappings, mappedBytes }) => [id, mappings, mappedBytes]), [
        [0x20, 3, 0x3000],
        [0x28, 0, 0],
      ]);
      assertEquals(
        timeline.events.map(({ kind, domain, iova, length, access }) => [
          kind,
          domain,
          iova,
          length,
          access,
        ]),
        [
          // A client that puts its endpoint into a domain has it forget what it had.
          ["invalidate", 0x20, 0, 2 ** 52, ""],
          ["map", 0x20, 0x8000, 0x1000, "rw"],
          ["map", 0x20, 0x9000, 0x1000, "rw"],
          ["map", 0x20, 0xc000, 0x1000, "r"],
          ["fault", 0x20, 0x6_0000, 0, "r"],
        ],
      );

      const faults = await api.json<FaultsPage>("/api/faults");
      assertEquals([faults.total, faults.dropped], [1, 0]);
      const [fault] = faults.faults;
      assertEquals([fault!.bdf, fault!.iova, fault!.reason], ["00:04.0", 0x6_0000, "unmapped"]);
      assertEquals(fault!.nearest?.mapping.last, 0xcfff);

      const page = await api.json<MappingsPage>("/api/endpoints/00:04.0/mappings");
      assertEquals(page.mappings.map(({ iova, length, access }) => [iova, length, access]), [
        [0x8000, 0x1000, "rw"],
        [0x9000, 0x1000, "rw"],
        [0xc000, 0x1000, "r"],
      ]);
      const [low, high] = page.mappings;
      // Both lie in one file, 0x3000 apart the other way round.
      assertEquals(low!.gpa - high!.gpa, 0x3000);
      const way = async (query: string) => {
        const { gpa, fault, walk } = await api.json<TranslateResult>(
          `/api/endpoints/00:04.0/translate?iova=${query}`,
        );
        const last = walk.at(-1)!;
        return [gpa, fault, last.step === "region" ? last.region : last.step];
      };
      assertEquals(await way("0x8123"), [
        low!.gpa + 0x123,
        null,
        // A client names no guest address.
        "window on a client's file",
      ]);
      assertEquals(await way("0xc000&access=w"), [null, "permission", "permission"]);
      assertEquals(await way("0x60000"), [null, "unmapped", "mapping"]);

      const messages = await api.json<MessagesPage>("/api/messages?filter=command:DMA_MAP");
      assertEquals(
        messages.messages.map(({ connection, direction, errno, descriptors }) => [
          connection,
          direction,
          errno,
          descriptors,
        ]),
        [
          ["edu", ">", null, 1],
          ["edu", "<", 0, 0],
          ["edu", ">", null, 1],
          ["edu", "<", 0, 0],
          ["edu", ">", null, 1],
          ["edu", "<", 0, 0],
        ],
      );
      for (const { direction, tookMs } of messages.messages) {
        assertEquals(tookMs !== null && tookMs >= 0, direction === "<");
      }
      const detail = await api.json<EndpointDetail>("/api/endpoints/00:04.0");
      assertEquals([detail.config?.vendorId, detail.config?.commandFlags], [
        0x1234,
        ["memory", "bus-master"],
      ]);
      assertEquals(detail.bars?.map(({ index, size }) => [index, size]), [[0, 0x10_0000]]);
      assertEquals(Object.keys(detail.inspect ?? {}), ["device", "function", "server"]);
      assertGreater(detail.lspci?.length ?? 0, 100);

      client.wait(forwarder.unmap(1, 0x8000 as Iova, 0x1000));
      const unmapped = await api.json<Snapshot>("/api/state");
      assertEquals([unmapped.domains[0]!.mappings, unmapped.timeline.events.at(-1)!.kind], [
        2,
        "unmap",
      ]);
      const { events } = await api.json<TimelinePage>("/api/timeline");
      const invalidated = events.filter(({ kind }) => kind === "invalidate");
      assertEquals(
        invalidated.map(({ endpoint, iova, length }) => [endpoint, iova, length]),
        [[0x20, 0, 2 ** 52], [0x20, 0x8000, 0x1000]],
      );
      assertEquals(unmapped.totals.invalidations, invalidated.length);
    });
  });
});

Deno.test("a client that is killed with a mapping in place is said to have left, and its mapping with it", async () => {
  await withServer(["edu"], async ({ api, socket }) => {
    const client = new Process(["--no-check", "tests/web/_mapping_client.ts", socket("edu")]);
    await client.until("stdout", /^mapped 0$/m);
    const there = await ask<Snapshot>(
      api,
      "/api/state",
      ({ endpoints }) => endpoints[0]?.client?.state === "connected",
    );
    assertEquals(there.domains.map(({ mappings, mappedBytes }) => [mappings, mappedBytes]), [
      [1, 0x2000],
    ]);
    client.signal("SIGKILL");
    await client.code();
    const gone = await ask<Snapshot>(
      api,
      "/api/state",
      ({ endpoints }) => endpoints[0]?.client?.state === "none",
    );
    assertEquals(gone.endpoints[0]!.client, { state: "none", accepted: 1 });
    assertEquals(gone.domains.map(({ mappings }) => mappings), [0]);
    const { kind, iova, result } = gone.timeline.events.at(-1)!;
    assertEquals([kind, iova, result], ["unmap", 0, String(0x2000)]);
    const { log, rerun } = await api.json<RunDetail>("/api/runs/1");
    assertEquals(log.length, 2);
    assertMatch(log[0]!, /^edu: A client has connected$/);
    assertMatch(log[1]!, /^edu: The client is gone: /);
    assertMatch(rerun, /^npx -y deno@\S+ task serve edu --dashboard=0 --socket-dir /);
    // Another finds the device as it was left; its messages are told from those of the first.
    await withClient(socket("edu"), () => Promise.resolve());
    const messages = await api.json<MessagesPage>("/api/messages");
    const connections = new Set(messages.messages.map(({ connection }) => connection));
    assertEquals([...connections], ["edu", "edu client 2"]);
    assertEquals(messages.dropped, 0);
  });
});

Deno.test("the page of served devices starts and ends nothing, and Ctrl-C ends it while pages look on", async () => {
  await withServer(["edu"], async ({ process, api, link }) => {
    const list = await api.json<RunList>("/api/runs");
    assertEquals(list.canStart, false);
    assertEquals(list.runs.map(({ scenario, machine, state }) => [scenario, machine, state]), [
      ["serve edu", "server", "running"],
    ]);
    for (const path of ["/api/runs", "/api/runs/1/stop"]) {
      const body = { scenario: "edu-identify", mode: "remap", via: "direct" };
      const error = await api.post(path, path === "/api/runs" ? body : undefined).catch(String);
      assertMatch(String(error), /409 .*command line/);
      const refused = await fetch(new URL(path, link), { method: "POST" });
      assertEquals(refused.status, 401);
      await refused.body?.cancel();
    }
    const foreign = await fetch(`${api.base}/api/state`, {
      headers: { Origin: "http://evil.example" },
    });
    assertEquals(foreign.status, 403);
    await foreign.body?.cancel();
    const stream = (await fetch(`${api.base}/api/stream`)).body!.getReader();
    assert(!(await stream.read()).done);
    const begun = performance.now();
    process.signal("SIGINT");
    for (;;) if ((await stream.read()).done) break;
    await process.code();
    assert(performance.now() - begun < 3000);
  });
});

Deno.test("deno task serve --dashboard exits with 2 for a port that is taken, before it serves", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  const folder = await Deno.makeTempDir({ prefix: "viaduct-serve-" });
  try {
    const args = ["edu", `--dashboard=${port}`, "--socket-dir", folder];
    const process = new Process(["--no-check", "web/serve.ts", ...args]);
    assertEquals([await process.code(), process.stdout], [2, ""]);
    assertMatch(process.stderr, /another process does; name another port, or 0 for any/);
    assertEquals([...Deno.readDirSync(folder)], []);
    const wrong = new Process(["--no-check", "web/serve.ts", ...args.with(1, "--dashboard=http")]);
    assertEquals(await wrong.code(), 2);
    assertMatch(wrong.stderr, /from 0 to 65535/);
    // Nothing shows it from there, and it says from where.
    const bare = new Process(["--no-check", "harness/cli/serve.ts", ...args]);
    assertEquals(await bare.code(), 2);
    assertMatch(bare.stderr, /start it as deno task serve/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("deno task serve --dashboard ends with 2 for a device that cannot be served, and leaves no page", async () => {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-serve-" });
  try {
    const args = ["edu", "edu", "--dashboard", "--socket-dir", folder];
    const process = new Process(["--no-check", "web/serve.ts", ...args]);
    assertEquals([await process.code(), process.stdout], [2, ""]);
    assertMatch(process.stderr, /edu is named twice/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
