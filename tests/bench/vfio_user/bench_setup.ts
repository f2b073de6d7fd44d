/**
 * What the benchmarks over sockets need: the C program, a directory for sockets, and processes on
 * the CPUs that they are meant for.
 * @module
 */

import { fromFileUrl, join } from "@std/path";
import { LineProcess } from "./line_process.ts";

/** Why a benchmark cannot run here. */
export class CannotMeasure extends Error {
  override readonly name = "CannotMeasure";
}

/** How a server waits, as `server_process.ts` takes it. */
export type ServerSpin = "off" | "auto" | number;

/** Which device a server has. */
export type ServedDevice = "edu" | "bulk";

/** Owns a directory, and every process that was started in it. */
export class BenchSetup implements AsyncDisposable {
  /** CPUs that this process may run on. */
  readonly cpus: readonly number[];
  readonly #directory: string;
  readonly #processes: LineProcess[] = [];
  #sockets = 0;

  private constructor(directory: string, cpus: readonly number[]) {
    this.#directory = directory;
    this.cpus = cpus;
  }

  /** Compiles the C program. @throws {CannotMeasure} without a compiler, or not on Linux */
  static async make(): Promise<BenchSetup> {
    if (Deno.build.os !== "linux") throw new CannotMeasure(`this is ${Deno.build.os}, not Linux`);
    const directory = Deno.makeTempDirSync({ prefix: "viaduct-bench-" });
    try {
      await compile(join(directory, "floor"));
      await using floor = new LineProcess("floor.c", join(directory, "floor"), ["serve"]);
      const cpus = (await floor.ask("cpus")).split(",").map(Number);
      return new BenchSetup(directory, cpus);
    } catch (error) {
      Deno.removeSync(directory, { recursive: true });
      throw error;
    }
  }

  /** The first CPU, and the second. @throws {CannotMeasure} when there is but one */
  twoCpus(): readonly [number, number] {
    const [first, second] = this.cpus;
    if (first === undefined || second === undefined) {
      throw new CannotMeasure(`it takes two CPUs, and this process may use ${this.cpus.length}`);
    }
    return [first, second];
  }

  /** The C program, on one CPU. */
  async floor(cpu: number): Promise<LineProcess> {
    const floor = this.#own(new LineProcess("floor.c", this.#program, ["serve"]));
    await floor.ask(`pin ${cpu}`);
    return floor;
  }

  /** Our own client, on one CPU, and all threads of its process. */
  client(cpu: number): LineProcess {
    return this.#deno("our client", [cpu], "./client_process.ts", []);
  }

  /** A server in a process of its own, on these CPUs. @returns the path of its socket */
  async serve(
    device: ServedDevice,
    cpus: readonly number[],
    spin: ServerSpin = "off",
  ): Promise<string> {
    const path = join(this.#directory, `${this.#sockets++}.sock`);
    const args = [path, device, String(spin)];
    const server = this.#deno("the server", cpus, "./server_process.ts", args);
    await server.line();
    return path;
  }

  /** Ends every process, and removes the directory. */
  async [Symbol.asyncDispose](): Promise<void> {
    // Clients first: the last started.
    for (const process of this.#processes.reverse()) await process[Symbol.asyncDispose]();
    Deno.removeSync(this.#directory, { recursive: true });
  }

  get #program(): string {
    return join(this.#directory, "floor");
  }

  #own(process: LineProcess): LineProcess {
    this.#processes.push(process);
    return process;
  }

  #deno(
    name: string,
    cpus: readonly number[],
    module: string,
    args: readonly string[],
  ): LineProcess {
    return this.#own(
      new LineProcess(name, this.#program, [
        "run",
        cpus.join(","),
        Deno.execPath(),
        "run",
        "--allow-all",
        "--quiet",
        "--no-prompt",
        `--config=${fromFileUrl(new URL("../../../deno.json", import.meta.url))}`,
        import.meta.resolve(module),
        ...args,
      ]),
    );
  }
}

async function compile(program: string): Promise<void> {
  const source = fromFileUrl(new URL("./floor.c", import.meta.url));
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command("cc", {
      args: ["-O2", "-o", program, source],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new CannotMeasure("there is no C compiler: install one that is called `cc`");
  }
  if (!output.success) {
    throw new Error(`Cannot compile floor.c:\n${new TextDecoder().decode(output.stderr)}`);
  }
}
