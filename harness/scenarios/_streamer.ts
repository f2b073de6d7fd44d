/**
 * A look at a streamer whose registers cannot be read, since an unmap of its memory is
 * not answered yet (see `harness/scenario.ts`).
 * @module
 */

import type { StreamerDriver } from "../../devices/streamer/mod.ts";
import type { Plugged } from "../scenario.ts";

/** What its model shows. */
export interface StreamerState {
  /** Whether it holds its pages: a transfer runs. */
  readonly running: boolean;
  /** Bytes of the transfer that have moved. */
  readonly bytesDone: number;
}

/** The transfer as the model has it, by no register. */
export async function streamerState({ target }: Plugged<StreamerDriver>): Promise<StreamerState> {
  const { pinned, registers } = await target.inspect() as {
    readonly pinned: unknown;
    readonly registers: { readonly bytesDone: number };
  };
  return { running: pinned !== null, bytesDone: registers.bytesDone };
}
