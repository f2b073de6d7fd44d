/**
 * The real dashboard, in this process, with scenarios that are something to look at.
 * @module
 */

import { fromFileUrl } from "@std/path";
import { loadCatalog } from "../../harness/run/catalog.ts";
import type { RunDetail, RunInfo, StartRun } from "../../web/api.ts";
import { type Dashboard, startDashboard } from "../../web/dashboard.ts";

const SCENARIOS = fromFileUrl(new URL("./scenarios", import.meta.url));

/** A dashboard that serves. */
export class Served implements AsyncDisposable {
  readonly #dashboard: Dashboard;

  private constructor(dashboard: Dashboard) {
    this.#dashboard = dashboard;
  }

  /** Serves on `port`; on a free one unless told. */
  static async start(port = 0): Promise<Served> {
    const { entries, child } = await loadCatalog([SCENARIOS, "edu-unmapped", "edu-dma-scatter"]);
    child.kill();
    await child.ended;
    return new Served(startDashboard({
      port,
      catalog: entries,
      startedBy: "page",
      log: (line) => Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`)),
    }));
  }

  /** The link with the token. */
  get link(): string {
    return this.#dashboard.link;
  }

  /** Where it is, without the token. */
  get origin(): string {
    return new URL(this.link).origin;
  }

  /** Event streams that are open. */
  get streams(): number {
    return this.#dashboard.snapshots.streams;
  }

  /** JSON of an address. */
  async get<T>(path: string): Promise<T> {
    const response = await fetch(this.origin + path);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return await response.json() as T;
  }

  /** Starts a run. */
  async run(run: StartRun): Promise<RunInfo> {
    const token = new URL(this.link).searchParams.get("token")!;
    const response = await fetch(`${this.origin}/api/runs`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      body: JSON.stringify(run),
    });
    if (response.status !== 201) throw new Error(await response.text());
    return await response.json() as RunInfo;
  }

  /** Resolves with the run once it has ended. */
  async ended(id: number): Promise<RunDetail> {
    for (;;) {
      const detail = await this.get<RunDetail>(`/api/runs/${id}`);
      if (detail.run.state !== "queued" && detail.run.state !== "running") return detail;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dashboard.close();
  }
}
