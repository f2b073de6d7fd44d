/**
 * The harness's end of a server process (`vfio_user_server.ts`): starts it, asks it, and
 * knows how it ended.
 * @module
 */

import { tmpdir } from "node:os";
import { join, resolve } from "@std/path";
import { thrownMessage } from "../../core/thrown.ts";
import { denoArguments, exitName } from "../child/deno_process.ts";
import {
  connectUnix,
  LinuxError,
  POLLIN,
  POLLOUT,
  type UnixStream,
} from "../../protocols/linux/mod.ts";
import {
  type Pollable,
  PollGroup,
  type ReadyFd,
  Ticket,
} from "../../protocols/vfio_user/client/mod.ts";
import { JsonLines, MAX_LINE } from "./json_lines.ts";
import { removeDirectory } from "../folder/remove_directory.ts";
import {
  type ControlReply,
  type ControlRequest,
  controlSocket,
  type Happened,
  parseReply,
  parseResult,
  type Results,
} from "./vfio_user_control.ts";

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
    await moment();
  }
}

/** The event loop at work for a millisecond. */
function moment(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

/** One server process. It outlives machines, and dies with this process. */
export class ServerProcess implements Pollable {
  /** Where its sockets are: a directory that nobody else enters. */
  readonly directory: string;
  /** Gets what each answer brings with it. */
  onHappened: (happened: Happened) => void = ignore;
  readonly #process: Deno.ChildProcess;
  readonly #lines: JsonLines;
  readonly #fds: { fd: number; events: number }[];
  readonly #pending = new Map<number, Ticket<unknown>>();
  #nextId = 0;
  #nextSocket = 0;
  #failure: Error | null = null;

  private constructor(
    directory: string,
    process: Deno.ChildProcess,
    stream: UnixStream,
  ) {
    this.directory = directory;
    this.#process = process;
    this.#lines = new JsonLines(stream);
    this.#fds = [{ fd: stream.fd, events: POLLIN }];
    group.add(this);
  }

  /** Starts one, and waits until it listens. @throws {Error} when it ends instead */
  static async start(): Promise<ServerProcess> {
    // Its own to make: what ends us while it starts would leave one of ours behind.
    const directory = resolve(tmpdir(), `viaduct-${crypto.randomUUID().slice(-12)}`);
    const process = new Deno.Command(Deno.execPath(), {
      args: denoArguments(import.meta.resolve("./vfio_user_server.ts"), [directory]),
      stdin: "piped",
      stdout: "null",
      // What a device prints takes no turn of this thread, which may wait for that very device.
      stderr: "inherit",
      env: { NO_COLOR: "1" },
      // What a terminal sends to all of a command, as with Ctrl-C, is none of its business: it ends
      // with us, and then it tidies up.
      detached: true,
    }).spawn();
    const over: Deno.CommandStatus[] = [];
    process.status.then((status) => over.push(status));
    try {
      for (;;) {
        const stream = connectTo(controlSocket(directory));
        if (stream !== null) return new ServerProcess(directory, process, stream);
        if (over[0] !== undefined) throw new Error(ended(over[0]));
        group.turn(0);
        await moment();
      }
    } catch (error) {
      await process.stdin.close().catch(ignore);
      await process.status;
      removeDirectory(directory);
      throw error;
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

  /** Takes the machine down. What is left that was not there before. @throws {Error} when the process ends instead */
  async endMachine(): Promise<readonly string[]> {
    return (await this.askLater({ kind: "end" })).left;
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
    await this.#process.status;
  }

  /** Resolves when the process has ended, with how. */
  get ended(): Promise<string> {
    return this.#process.status.then(ended);
  }

  /** How it ended; null while it has not. */
  async lost(): Promise<string | null> {
    if (this.#failure === null) return null;
    const why = this.#failure.message;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<null>((resolve) => timer = setTimeout(() => resolve(null), END_MS));
    const status = await Promise.race([this.#process.status, late]);
    clearTimeout(timer);
    return status === null ? why : ended(status);
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
    const line = toJson(id, request);
    const ticket = new Ticket<unknown>();
    this.#pending.set(id, ticket);
    try {
      this.#lines.sendLine(line);
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
    this.#process.stdin.close().catch(ignore);
    removeDirectory(this.directory);
    for (const ticket of this.#pending.values()) ticket.fail(this.#failure);
    this.#pending.clear();
  }
}

/** A connection to who listens at `path`; null while nobody does. @throws {LinuxError} */
function connectTo(path: string): UnixStream | null {
  try {
    return connectUnix(path, { receiveLimit: MAX_LINE, sendLimit: MAX_LINE });
  } catch (error) {
    const isEarly = error instanceof LinuxError &&
      (error.code === "ENOENT" || error.code === "ECONNREFUSED");
    if (isEarly) return null;
    throw error;
  }
}

/** @throws {TypeError} for options of a device that are no JSON */
function toJson(id: number, request: ControlRequest): string {
  try {
    return JSON.stringify({ id, request });
  } catch (error) {
    throw new TypeError(
      `Cannot ${request.kind} a device in another process: its options are to be plain JSON ` +
        `(${thrownMessage(error)})`,
      { cause: error },
    );
  }
}

function ended(status: Deno.CommandStatus): string {
  return `The server process of the devices has ended (${exitName(status)})`;
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
