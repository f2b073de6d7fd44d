/**
 * Who looks on while devices are served: the dashboard, which this layer does not know.
 * @module
 */

import type { ServerObservation } from "../observe/server_observation.ts";
import type { Mode, Via } from "../scenario.ts";

/** What is to be seen, for people. */
export interface WatchedMachine {
  /** `serve edu`. */
  readonly name: string;
  readonly title: string;
  /** The command line that starts it again. */
  readonly command: string;
  readonly kind: "server" | "guest";
  readonly mode: Mode;
  readonly via: Via;
}

/** See the module. */
export interface MachineOnlooker {
  /** The link for people. */
  readonly link: string;
  /** Ends everything of it. */
  close(): Promise<void>;
}

/**
 * Brings a {@linkcode MachineOnlooker} to the port, 0 for any that is free, before anything is
 * served. @throws {UsageError} when it cannot be had
 */
export type OpenMachineOnlooker = (
  machine: WatchedMachine,
  observation: ServerObservation,
  port: number,
) => Promise<MachineOnlooker>;
