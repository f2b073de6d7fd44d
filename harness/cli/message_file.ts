/**
 * The file of `--messages`: a line a message, or a capture for Wireshark.
 * @module
 */

import type { FrameObserver } from "../../protocols/vfio_user/connection.ts";
import { MessageLog } from "../../protocols/vfio_user/message_log.ts";
import { PcapngWriter } from "../../protocols/vfio_user/pcapng.ts";

/** Writes the messages of all devices. By its name it is a capture when it ends with `.pcapng`. */
export class MessageFile implements Disposable {
  readonly #file: Deno.FsFile;
  readonly #pcapng: PcapngWriter | null;
  readonly #nowNs: () => number;
  readonly #encoder = new TextEncoder();

  /** Replaces the file. @param nowNs of the clock that dates messages @throws what opening it throws */
  constructor(path: string, nowNs: () => number) {
    this.#file = Deno.openSync(path, { write: true, create: true, truncate: true });
    this.#nowNs = nowNs;
    this.#pcapng = path.endsWith(".pcapng")
      ? new PcapngWriter({ write: (bytes) => this.#write(bytes) }, {
        application: "viaduct",
        startSeconds: Math.floor((Date.now() * 1e6 - nowNs()) / 1e9),
      })
      : null;
  }

  /** Takes the messages of one device. @param prefix in front of each line; empty where there is one device */
  observer(name: string, prefix: string): FrameObserver {
    const pcapng = this.#pcapng;
    if (pcapng !== null) {
      const number = pcapng.addInterface(name);
      return {
        frame: (direction, bytes, descriptors) =>
          pcapng.writeFrame(number, { timeNs: this.#nowNs(), direction, bytes, descriptors }),
      };
    }
    const log = new MessageLog();
    return {
      frame: (direction, bytes, descriptors) => {
        const line = log.format({ timeNs: this.#nowNs(), direction, bytes, descriptors });
        this.#write(this.#encoder.encode(`${prefix}${line}\n`));
      },
    };
  }

  #write(bytes: Uint8Array): void {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(this.#file.writeSync(rest));
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
