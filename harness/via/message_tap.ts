/**
 * Who gets the messages of a run's protocol. Types alone: the runner's parent process and
 * its children both know them.
 * @module
 */

/** One message of one connection. */
export interface TappedMessage {
  /** The connection, as people know it: `edu at 00:01.0`. */
  readonly connection: string;
  /** Nanoseconds since the machine was built. */
  readonly timeNs: number;
  /** `>` from client to server. */
  readonly direction: ">" | "<";
  /** Header and body. Not kept by whoever gets it. */
  readonly bytes: Uint8Array;
  /** Descriptors that came with it. */
  readonly descriptors: number;
}

/** Gets each message, in order. */
export type MessageTap = (message: TappedMessage) => void;
