/**
 * Commands that serve a dashboard, as people start them, and its API: for tests.
 * @module
 */

import { fromFileUrl } from "@std/path";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
/** Milliseconds in which what is waited for must have come. */
export const PATIENCE_MS = 20_000;

/** A command that runs, with what it has printed so far. */
export class Process {
  readonly #process: Deno.ChildProcess;
  stdout = "";
  stderr = "";
  readonly status: Promise<Deno.CommandStatus>;
  readonly #reading: Promise<unknown>;
  #printed: () => void = () => {};

  constructor(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    stdin: "null" | "piped" = "null",
  ) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", ...args],
      cwd: ROOT,
      env,
      stdin,
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#reading = Promise.all([
      this.#read(this.#process.stdout, (text) => this.stdout += text),
      this.#read(this.#process.stderr, (text) => this.stderr += text),
    ]);
    this.status = this.#process.status;
  }

  get pid(): number {
    return this.#process.pid;
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>, take: (text: string) => void) {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      take(text);
      this.#printed();
    }
    this.#printed();
  }

  /** The match of `pattern` in what is printed, once it is. */
  async until(where: "stdout" | "stderr", pattern: RegExp): Promise<RegExpMatchArray> {
    let ended = false;
    this.status.then(() => ended = true);
    for (;;) {
      const match = this[where].match(pattern);
      if (match !== null) return match;
      if (ended) throw new Error(`It ended without ${pattern}: ${this.stdout}${this.stderr}`);
      await new Promise<void>((resolve) => {
        this.#printed = resolve;
        this.status.then(() => resolve());
      });
    }
  }

  /** Its input, when that is a pipe. */
  get stdin(): WritableStream<Uint8Array<ArrayBuffer>> {
    return this.#process.stdin;
  }

  signal(name: Deno.Signal): void {
    this.#process.kill(name);
  }

  async code(): Promise<number> {
    const { code } = await this.status;
    await this.#reading;
    return code;
  }
}

/** The API of one dashboard. */
export interface Client {
  readonly base: string;
  json<T>(path: string): Promise<T>;
  post<T>(path: string, body?: unknown): Promise<T>;
}

/** The API behind a printed link. */
export function clientOf(link: string): Client {
  const url = new URL(link);
  const token = url.searchParams.get("token")!;
  const base = url.origin;
  const json = async <T>(response: Response): Promise<T> => {
    const text = await response.text();
    if (!response.ok) throw new Error(`${response.status} ${text}`);
    return JSON.parse(text) as T;
  };
  return {
    base,
    json: async (path) => json(await fetch(base + path)),
    post: async (path, body) =>
      json(
        await fetch(base + path, {
          method: "POST",
          headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        }),
      ),
  };
}

/** Asks until `holds`; every answer waits for the server, so this is no busy loop. */
export async function ask<T>(
  client: Client,
  path: string,
  holds: (value: T) => boolean,
): Promise<T> {
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    const value = await client.json<T>(path);
    if (holds(value)) return value;
    if (performance.now() > until) throw new Error(`${path} stayed ${JSON.stringify(value)}`);
  }
}
