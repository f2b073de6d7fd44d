/**
 * The Worker of the reactor's tests: runs a reactor that answers its mailbox.
 * @module
 */

import { Mailbox, type MailboxHandle } from "./mailbox.ts";
import { Reactor, type SpinMode } from "./reactor.ts";

/** What the test sends once, before the loop starts. */
export interface Start {
  readonly mailbox: MailboxHandle;
  readonly spin: SpinMode;
}

declare const self: {
  onmessage: ((event: MessageEvent<Start>) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
};

self.onmessage = ({ data }) => {
  const reactor = new Reactor({ spin: data.spin });
  const mailbox = new Mailbox(data.mailbox);
  reactor.onWake(() => {
    for (let message = mailbox.receive(); message !== undefined; message = mailbox.receive()) {
      self.postMessage({ echo: message });
    }
  });
  self.postMessage({ handle: reactor.handle });
  reactor.run();
  const { spins, sleeps } = reactor.counts;
  reactor[Symbol.dispose]();
  self.postMessage({ done: true, spins, sleeps });
  self.close();
};
