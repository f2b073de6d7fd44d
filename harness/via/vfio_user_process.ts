/**
 * The harness's end of a server process (`vfio_user_server.ts`): starts it, asks it, and
 * knows how it ended.
 * @module
 */

import { join } from "@std/path";
import { ChildLines } from "../child/child_lines.ts";
import { denoArguments, exitName } from "../child/deno_process.ts";
import { POLLIN, POLLOUT, UnixListener, type UnixStream } from "../../protocols/linux/mod.ts";
import {
  type Pollable,
  PollGroup,
  type ReadyFd,
  Ticket,
} from "../../protocols/vfio_user/client/mod.ts";
import { JsonLines, MAX_LINE } from "./json_lines.ts";
import { removeDirectory } from "./remove_directory.ts";
import {
  type ControlReply,
  type ControlRequest,
  type Happened,
  parseReply,
  parseResult,
  type Results,
} from "./vfio_user_control.ts";

/** Last lines of what a process printed on stderr that are kept. */
const LINES_KEPT = 20;
/** Milliseconds that the end of a process whose sockets are closed may take. */
const END_MS = 5_000;

/** Serves the connections of this thread to all server processes, control sockets included. */
export const group: PollGroup = new PollGroup({ spin: "auto" });

const ignore = (): void => {};
// Taken now, since a scenario may replace it.
const { setTimeout } = globalThis;

/**
 * The ticket's answer, with the event loop at work in between. It is looked for by the
 * millisecond: an answer that is not there soon waits for something slower than that.
 */
export async function served<T>(ticket: Ticket<T>): Promise<T> {
  for (;;) {
    if (!ticket.done) group.turn(0);
    if (ticket.done) return ticket.value;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Takes one connection. */
class Arrival implements Pollable {
  readonly ticket = new Ticket<UnixStream>();
  readonly #listener: UnixListener;
  readonly #fds: readonly ReadyFd[];

  constructor(listener: UnixListener) {
    this.#listener = listener;
    this.#fds = [{ fd: listener.fd, events: POLLIN }];
  }

  readyFds(): readonly ReadyFd[] {
    return this.ticket.done ? [] : this.#fds;
  }

  poll(): boolean {
    if (this.ticket.done) return false;
    const stream = this.#listener.accept({ receiveLimit: MAX_LINE, sendLimit: MAX_LINE });
    if (typeof stream === "number") return false;
    this.ticket.settle(stream);
    return true;
  }
}

/** One server process. It outlives machines, and dies with this process. */
export class ServerProcess implements Pollable {
  /** Where its sockets are: a directory that nobody else enters. */
  readonly directory: string;
  /** Gets what each answer brings with it. */
  onHappened: (happened: Happened) => void = ignore;
  readonly #process: Deno.ChildProcess;
  readonly #status: Promise<Deno.CommandStatus>;
  readonly #lines: JsonLines;
  readonly #fds: { fd: number; events: number }[];
  readonly #pending = new Map<number, Ticket<unknown>>();
  readonly #tail: string[];
  readonly #marks: { count: number; wake: () => void };
  #nextId = 0;
  #nextSocket = 0;
  #failure: Error | null = null;

  private constructor(
    directory: string,
    process: Deno.ChildProcess,
    status: Promise<Deno.CommandStatus>,
    stream: UnixStream,
    output: { readonly tail: string[]; readonly marks: { count: number; wake: () => void } },
  ) {
    this.directory = directory;
    this.#process = process;
    this.#status = status;
    this.#lines = new JsonLines(stream);
    this.#fds = [{ fd: stream.fd, events: POLLIN }];
    this.#tail = output.tail;
    this.#marks = output.marks;
    group.add(this);
  }

  /** Starts one, and waits until it listens. @throws {Error} when it ends instead */
  static async start(): Promise<ServerProcess> {
    const directory = Deno.makeTempDirSync({ prefix: "viaduct-" });
    try {
      return await ServerProcess.#startIn(directory);
    } catch (error) {
      removeDirectory(directory);
      throw error;
    }
  }

  static async #startIn(directory: string): Promise<ServerProcess> {
    const nonce = crypto.randomUUID();
    const path = join(directory, "control.sock");
    const tail: string[] = [];
    const marks = { count: 0, wake: ignore };
    using listener = UnixListener.listen(path);
    const process = new Deno.Command(Deno.execPath(), {
      args: denoArguments(import.meta.resolve("./vfio_user_server.ts"), [path, nonce]),
      stdin: "piped",
      stdout: "null",
      stderr: "piped",
      env: { NO_COLOR: "1" },
    }).spawn();
    const printed = forward(process.stderr, nonce, tail, marks);
    const status = process.status.then(async (status) => {
      await printed;
      return status;
    });
    const arrival = new Arrival(listener);
    group.add(arrival);
    status.then((status) => arrival.ticket.fail(new Error(ended(status, tail))));
    try {
      const stream = await served(arrival.ticket);
      return new ServerProcess(directory, process, status, stream, { tail, marks });
    } finally {
      group.remove(arrival);
    }
  }

  /** Whether it can be asked. */
  get alive(): boolean {
    return this.#failure === null;
  }

  /** Its process ID. */
  get pid(): number {
    return this.#process.pid;
  }

  /** A path for a device's socket, which no other has had. */
  nextSocket(): string {
    return join(this.directory, `${this.#nextSocket++}.sock`);
  }

  /** Asks, and waits for the answer; all connections are served meanwhile. @throws {Error} what the server refused it for; when it is gone */
  do(request: ControlRequest): void {
    this.#wait(this.#send(request));
  }

  /** As {@linkcode do}, without keeping the event loop from its work. */
  async doLater(request: ControlRequest): Promise<void> {
    await served(this.#send(request));
  }

  /** As {@linkcode do}, for requests that have a result. */
  ask<Kind extends keyof Results>(
    request: ControlRequest & { readonly kind: Kind },
  ): Results[Kind] {
    return parseResult(request.kind, this.#wait(this.#send(request)));
  }

  /** As {@linkcode ask}, without keeping the event loop from its work. */
  async askLater<Kind extends keyof Results>(
    request: ControlRequest & { readonly kind: Kind },
  ): Promise<Results[Kind]> {
    return parseResult(request.kind, await served(this.#send(request)));
  }

  /**
   * Takes the machine down. Resolves once all that was printed until then has been passed on, with
   * what is left that was not there before. @throws {Error} when the process ends instead
   */
  async endMachine(): Promise<readonly string[]> {
    const { count } = this.#marks;
    const { left } = await this.askLater({ kind: "end" });
    let over = false;
    this.#status.then(() => {
      over = true;
      this.#marks.wake();
    });
    while (this.#marks.count === count && !over) {
      await new Promise<void>((resolve) => this.#marks.wake = resolve);
    }
    return left;
  }

  /** Ends it at once. */
  kill(): void {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    this.#end("it was ended");
  }

  /** As {@linkcode kill}, and resolves when it has ended. */
  async end(): Promise<void> {
    this.kill();
    await this.#process.stdin.close().catch(() => {});
    await this.#status;
  }

  /** How it ended, with the last it said; null while it has not. */
  async lost(): Promise<string | null> {
    if (this.#failure === null) return null;
    const why = this.#failure.message;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<null>((resolve) => timer = setTimeout(() => resolve(null), END_MS));
    const status = await Promise.race([this.#status, late]);
    clearTimeout(timer);
    return status === null ? why : ended(status, this.#tail);
  }

  readyFds(): readonly ReadyFd[] {
    if (this.#failure !== null) return [];
    this.#fds[0]!.events = this.#lines.stream.pendingBytes > 0 ? POLLIN | POLLOUT : POLLIN;
    return this.#fds;
  }

  poll(): boolean {
    if (this.#failure !== null) return false;
    if (this.#lines.stream.pendingBytes > 0) this.#lines.stream.flush();
    const lines = this.#lines.receive();
    if (lines === null) {
      this.#end("it has closed its control socket");
      return true;
    }
    for (const line of lines) this.#take(line);
    return lines.length > 0;
  }

  #take(line: string): void {
    let reply: ControlReply;
    try {
      reply = parseReply(line);
    } catch (error) {
      this.#end(String(error));
      return;
    }
    const ticket = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    this.onHappened(reply);
    if (reply.error === undefined) return ticket?.settle(reply.result);
    const error = new Error(reply.error.message);
    error.name = reply.error.name;
    ticket?.fail(error);
  }

  #send(request: ControlRequest): Ticket<unknown> {
    if (this.#failure !== null) throw this.#failure;
    const id = this.#nextId++;
    const ticket = new Ticket<unknown>();
    this.#pending.set(id, ticket);
    try {
      this.#lines.send({ id, request });
    } catch (error) {
      this.#end(error instanceof Error ? error.message : String(error));
    }
    return ticket;
  }

  #wait(ticket: Ticket<unknown>): unknown {
    // How long a run may take is its timeout's to say.
    group.wait(ticket, -1);
    return ticket.value;
  }

  #end(why: string): void {
    if (this.#failure !== null) return;
    this.#failure = new Error(`The server process of the devices is gone: ${why}`);
    group.remove(this);
    this.#lines.close();
    // It may be at work still, or hang.
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    removeDirectory(this.directory);
    for (const ticket of this.#pending.values()) ticket.fail(this.#failure);
    this.#pending.clear();
  }
}

/** How a process ended, and below that the last it printed. */
function ended(status: Deno.CommandStatus, tail: readonly string[]): string {
  const how = exitName(status);
  return [`The server process of the devices has ended (${how})`, ...tail].join("\n");
}

/** Passes on what the process prints, keeps the last lines of it, and counts the marks. */
async function forward(
  stderr: ReadableStream<Uint8Array>,
  nonce: string,
  tail: string[],
  marks: { count: number; wake: () => void },
): Promise<void> {
  const encoder = new TextEncoder();
  const lines = new ChildLines(nonce, () => {
    marks.count++;
    tail.length = 0;
    marks.wake();
  }, (text) => {
    Deno.stderr.writeSync(encoder.encode(text));
    tail.push(...text.split("\n").filter((line) => line !== ""));
    tail.splice(0, Math.max(0, tail.length - LINES_KEPT));
  });
  for await (const chunk of stderr) lines.push(chunk);
  lines.end();
}

/** The processes of this process: each is used for one run after the other. */
const processes: (ServerProcess | undefined)[] = [];

/** Ends all of them: for who goes on without machines. */
export async function endServerProcesses(): Promise<void> {
  for (const process of processes.splice(0)) await process?.end();
}

/** Process `index`, from 0 on; a new one when there is none, or it is gone. @throws {Error} when it cannot be started */
export async function serverProcess(index: number): Promise<ServerProcess> {
  const there = processes[index];
  // It may have ended while nobody looked.
  if (there !== undefined) group.turn(0);
  if (there?.alive === true) return there;
  return processes[index] = await ServerProcess.start();
}
