/**
 * `deno task attach`: our client on any vfio-user server, for one question.
 * @module
 */

import { hex } from "../../core/address.ts";
import { VfioUserClient } from "../../protocols/vfio_user/client/client.ts";
import { VfioUserError } from "../../protocols/vfio_user/client/client_error.ts";
import { LinuxError } from "../../protocols/linux/errno.ts";
import { MessageLog } from "../../protocols/vfio_user/message_log.ts";
import { formatValue, peek, PlaceError, poke } from "../attach/access.ts";
import { describeIrqs, describeRegions, describeServer } from "../attach/describe.ts";
import { readConfigSpace, showConfigSpace } from "../attach/lspci.ts";
import { type AttachAction, parseAttachCommand } from "./attach_options.ts";
import { tellFailure, tellUnwritten } from "./command_failure.ts";
import { USAGE } from "./exit_code.ts";
import { Terminal } from "./terminal.ts";

/** Exit codes (DESIGN.md, 5), beside those of `exit_code.ts`. A signal ends the process by itself: nothing here outlasts it. */
const DONE = 0, FAILED = 1;

const stdout = new Terminal(Deno.stdout);
const stderr = new Terminal(Deno.stderr);

const note = (text: string): void => stderr.write(`${text}\n`);

async function act(
  client: VfioUserClient,
  action: AttachAction,
  output: Terminal,
): Promise<number> {
  switch (action.kind) {
    case "info":
      output.write(describeServer(client));
      return DONE;
    case "regions":
      output.write(describeRegions(client));
      return DONE;
    case "irqs":
      output.write(describeIrqs(client));
      return DONE;
    case "lspci": {
      const config = readConfigSpace(client);
      client.close();
      const { text, complaints, code } = await showConfigSpace(config, action.args);
      output.write(text);
      stderr.write(complaints);
      return code === 0 ? DONE : FAILED;
    }
    case "peek": {
      const { place, count } = action;
      const { size, offset } = place;
      const values = peek(client, place, count, note);
      const digits = hex(offset + (count - 1) * size).length - 2;
      values.forEach((value, at) => {
        const where = count === 1 ? "" : `${hex(offset + at * size, digits)}: `;
        output.write(`${where}${formatValue(value, size)}\n`);
      });
      return DONE;
    }
    case "poke":
      poke(client, action.place, action.value, note);
      return DONE;
  }
}

async function main(args: readonly string[]): Promise<number> {
  const command = parseAttachCommand(args, (text) => stdout.write(text));
  if (command === null) return DONE;
  const { socket, timeoutMs, trace, action } = command;
  const log = new MessageLog();
  using client = VfioUserClient.connect(socket, {
    timeoutMs,
    ...(trace === "off" ? {} : { tap: (frame) => stdout.write(`${log.format(frame)}\n`) }),
  });
  return await act(client, action, trace === "off" ? stdout : stderr);
}

async function exitCode(args: readonly string[]): Promise<number> {
  try {
    return await main(args);
  } catch (error) {
    if (error instanceof PlaceError) {
      stderr.write(`${error.message}\n`);
      return USAGE;
    }
    if (error instanceof VfioUserError || error instanceof LinuxError) {
      stderr.write(`${error.message}\n`);
      return FAILED;
    }
    return tellFailure({ task: "attach", culprit: "attach", stderr }, error);
  }
}

if (import.meta.main) Deno.exit(tellUnwritten(stdout, stderr, await exitCode(Deno.args)));
