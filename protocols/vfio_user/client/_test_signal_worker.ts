/** Signals the eventfd whose number it is sent, from a thread of its own. */

import { signalEvent } from "../../linux/eventfd.ts";

interface Scope {
  onmessage: ((event: MessageEvent<number>) => void) | null;
}

(globalThis as unknown as Scope).onmessage = ({ data }) => void signalEvent(data);
