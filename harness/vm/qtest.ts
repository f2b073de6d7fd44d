/**
 * QEMU without a guest: registers, ports and RAM are accessed by command, and time moves when it is
 * told to (QEMU, `docs/devel/testing/qtest.rst`).
 * @module
 */

import { OwnFolder } from "../folder/own_folder.ts";
import { within } from "./deadline.ts";
import { LineSocket } from "./line_socket.ts";
import { qemuCommand, type VmFiles } from "./qemu.ts";
import { Supervised } from "./supervised.ts";
import { VmError } from "./vm_error.ts";

/** Bytes of an access. */
export type QtestWidth = 1 | 2 | 4 | 8;

const LETTER = { 1: "b", 2: "w", 4: "l", 8: "q" } as const;
/** Characters of the longest answer. */
const LINE_LIMIT = 2 ** 21;
const START_MS = 20_000;
const QUIT_MS = 2000;
/** The legacy way to configuration space (PCI 3.0, 3.2.2.3.2). */
const CONFIG_ADDRESS = 0xcf8, CONFIG_DATA = 0xcfc, CONFIG_ENABLE = 2 ** 31;

/** A machine whose CPU is the caller. Commands may overlap; they are carried out in order. */
export class Qtest implements AsyncDisposable {
  readonly #process: Supervised;
  readonly #folder: OwnFolder;
  readonly #socket: LineSocket;
  readonly #waiting: ((answer: string | Error) => void)[] = [];
  #over: Error | null = null;

  private constructor(process: Supervised, folder: OwnFolder, conn: Deno.Conn) {
    this.#process = process;
    this.#folder = folder;
    this.#socket = new LineSocket(conn, LINE_LIMIT, {
      line: (text) => {
        // Interrupts of the machine are told in between.
        if (!text.startsWith("IRQ ")) this.#waiting.shift()?.(text);
      },
      end: (reason) => this.#end(new Error(`QEMU has ended: ${reason}`)),
    });
  }

  /** Starts a q35 with 256 MiB and these devices. Leaves nothing of one that does not start. @throws {VmError} */
  static async start(devices: readonly string[], files: VmFiles): Promise<Qtest> {
    const qemu = await qemuCommand(files);
    const folder = new OwnFolder("viaduct-qtest-");
    let process: Supervised | null = null;
    try {
      const { path } = folder;
      using listener = Deno.listen({ transport: "unix", path: `${path}/qtest` });
      process = new Supervised(qemu.program, [
        ...qemu.args,
        ...["-nodefaults", "-no-user-config", "-display", "none"],
        ...["-machine", "q35,memory-backend=ram,sata=off,smbus=off,usb=off,vmport=off,i8042=off"],
        ...["-accel", "qtest"],
        ...["-m", "256M", "-object", "memory-backend-memfd,id=ram,size=256M,share=on"],
        ...["-qtest", `unix:${path}/qtest`, "-qtest-log", "none"],
        ...devices,
      ], { folder: path, env: qemu.env });
      const ended = process.ended.then(() => null);
      const conn = await within(Promise.race([listener.accept(), ended]), START_MS, null);
      if (conn !== null) return new Qtest(process, folder, conn);
      process.kill("SIGKILL");
      await process.ended;
      throw new VmError(
        `Cannot start QEMU for qtest: ${(await process.output).trim()}`,
        "see what QEMU says of its arguments",
      );
    } catch (error) {
      process?.kill("SIGKILL");
      await process?.ended;
      await folder.close();
      throw error;
    }
  }

  /** The unsigned value at an address of memory space. */
  async read(width: QtestWidth, address: number): Promise<bigint> {
    return BigInt(await this.#do(`read${LETTER[width]} ${address}`));
  }

  /** Stores `value` at an address of memory space. */
  async write(width: QtestWidth, address: number, value: bigint): Promise<void> {
    await this.#do(`write${LETTER[width]} ${address} ${value}`);
  }

  /** Bytes of RAM. */
  async readBytes(address: number, length: number): Promise<Uint8Array> {
    const answer = await this.#do(`read ${address} ${length}`);
    return Uint8Array.fromHex(answer.replace(/^0x/, ""));
  }

  /** Stores bytes in RAM. */
  async writeBytes(address: number, bytes: Uint8Array): Promise<void> {
    await this.#do(`write ${address} ${bytes.length} 0x${bytes.toHex()}`);
  }

  /** Configuration space of the function with this requester ID. */
  async configRead(endpoint: number, offset: number, size: 1 | 2 | 4): Promise<number> {
    const select = this.#select(endpoint, offset);
    const value = await this.#do(`in${LETTER[size]} ${CONFIG_DATA + offset % 4}`);
    await select;
    return Number(value);
  }

  /** See {@linkcode configRead}. */
  async configWrite(
    endpoint: number,
    offset: number,
    size: 1 | 2 | 4,
    value: number,
  ): Promise<void> {
    const select = this.#select(endpoint, offset);
    await this.#do(`out${LETTER[size]} ${CONFIG_DATA + offset % 4} ${value}`);
    await select;
  }

  /** Moves QEMU's virtual time on. */
  async advance(ms: number): Promise<void> {
    await this.#do(`clock_step ${Math.round(ms * 1e6)}`);
  }

  /** Ends QEMU. Idempotent. */
  async stop(): Promise<void> {
    this.#socket.close();
    this.#process.kill("SIGTERM");
    if (await within(this.#process.ended, QUIT_MS, null) === null) this.#process.kill("SIGKILL");
    await this.#process.ended;
    await this.#socket.ended;
    await this.#folder.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #select(endpoint: number, offset: number): Promise<string> {
    return this.#do(`outl ${CONFIG_ADDRESS} ${CONFIG_ENABLE + endpoint * 256 + (offset & 0xfc)}`);
  }

  async #do(command: string): Promise<string> {
    if (this.#over !== null) throw this.#over;
    const answer = await new Promise<string | Error>((resolve) => {
      this.#waiting.push(resolve);
      this.#socket.send(command);
    });
    if (answer instanceof Error) throw answer;
    if (answer === "OK") return "";
    if (answer.startsWith("OK ")) return answer.slice(3);
    throw new Error(`Cannot do ${command.slice(0, 80)} in QEMU: it answered ${answer}`);
  }

  #end(error: Error): void {
    this.#over ??= error;
    for (const settle of this.#waiting.splice(0)) settle(this.#over);
  }
}
