/**
 * The harness's end of `guest/pci_agent.c`: a program in the guest that drives PCI functions,
 * as a driver in user space does.
 * @module
 */

import { hex } from "../../core/address.ts";
import { errnoName } from "../../protocols/linux/errno.ts";
import type { Guest } from "./guest.ts";
import type { GuestProcess } from "./guest_process.ts";

/** Linux refused what the program was asked for. */
export class PciAgentError extends Error {
  override readonly name = "PciAgentError";

  /** `errno` is the guest's. */
  constructor(readonly command: string, readonly errno: number) {
    super(`Cannot do ${JSON.stringify(command)} in the guest: ${errnoName(errno)}`);
  }
}

/** The program while it runs. Commands may overlap; they are carried out in order. */
export class PciAgent {
  readonly #process: GuestProcess;
  #last: Promise<unknown> = Promise.resolve();

  constructor(guest: Guest) {
    this.#process = guest.start("exec pci_agent");
  }

  /** Carries out a command: the value that it answers with, or 0. @throws {PciAgentError | GuestError} */
  do(...words: readonly (string | number | bigint)[]): Promise<bigint> {
    const command = words.map((word) => typeof word === "string" ? word : hex(word)).join(" ");
    const sent = this.#process.write(command + "\n");
    const answer = this.#last.then(async () => {
      await sent;
      return this.#answer(command, await this.#process.readLine());
    });
    this.#last = answer.catch(() => {});
    return answer;
  }

  /** What is under way fails with `error`, and so does all that follows: the guest may never answer. */
  giveUp(error: Error): void {
    this.#process.fail(error);
  }

  /** Ends it, and with it what it has open. */
  async close(): Promise<void> {
    await this.#process.closeStdin();
    await this.#process.exited.catch(() => {});
  }

  #answer(command: string, line: string | null): bigint {
    const [word, value = "0"] = (line ?? "").split(" ");
    if (word === "ok") return BigInt(value);
    if (word === "error") throw new PciAgentError(command, Number(value));
    const said = new TextDecoder().decode(this.#process.takeStderr()).trim();
    throw new Error(
      `Cannot do ${JSON.stringify(command)} in the guest: the program answered ${
        JSON.stringify(line)
      }${said === "" ? "" : ` and said ${said}`}`,
    );
  }
}
