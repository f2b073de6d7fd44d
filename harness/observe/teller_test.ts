import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { Board } from "./board.ts";
import { linesOf } from "./connection_lines.ts";
import { FAULT_FIELDS, MAPPING_FIELDS, type Observed } from "./observation.ts";
import { Teller } from "./teller_thread.ts";

Deno.test("Teller tells a run's last numbers, and counts what it left out, however far behind its watcher is", async () => {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  const path = join(folder, "x.sock");
  using listener = Deno.listen({ transport: "unix", path });
  const teller = new Teller();
  try {
    teller.send({ kind: "open", request: { path, key: "k" }, board: new Board().buffer });
    const values = new Float64Array(new SharedArrayBuffer(8 * Float64Array.BYTES_PER_ELEMENT));
    values[0] = 7;
    teller.send({ kind: "counters", endpoint: 8, values });
    // One line of more than may wait, which nobody reads while the rest is said.
    const rows = new Float64Array(MAPPING_FIELDS * 100_000).fill(2 ** 51);
    teller.send({ kind: "left-mappings", domain: 1, rows });
    const none = { endpoints: [], domains: [], regions: [], faultsLost: 1 };
    for (const [timeNs, faults] of [[1, 3], [2, 2]] as const) {
      teller.send({
        ...none,
        kind: "report",
        timeNs,
        faults: new Float64Array(FAULT_FIELDS * faults),
        totals: [timeNs, 0, 0, 0, 0, 0, 0, 0],
      });
    }
    teller.send({ kind: "close" });
    using connection = await listener.accept();
    const heard: Observed[] = [];
    for await (const lines of linesOf(connection, { chunk: 65_536, limit: 2 ** 26 })) {
      for (const line of lines) heard.push(JSON.parse(line) as Observed);
      if (heard.at(-1)?.kind === "left") break;
    }
    const told = heard.filter((message) => message.kind === "report");
    const totals = [2, 0, 0, 0, 0, 0, 0, 0];
    assertEquals(told, [{ ...none, kind: "report", timeNs: 2, faults: [], faultsLost: 6, totals }]);
    const sampled = heard.findLast((message) => message.kind === "sample");
    assertEquals(sampled?.endpoints, [[8, 7, 0, 0, 0, 0, 0, 0, 0]]);
  } finally {
    teller.close();
    await Deno.remove(folder, { recursive: true });
  }
});
