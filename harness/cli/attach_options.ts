/**
 * The command line of `deno task attach`: words to values, or a message that says
 * what would be right.
 * @module
 */

import { Command, CommanderError, InvalidArgumentError } from "@commander-js/extra-typings";
import type { PeekSize, Place } from "../attach/access.ts";
import { REGION_NAMES } from "../attach/region_name.ts";
import { didYouMean } from "./suggest.ts";
import { UsageError } from "./usage_error.ts";

/** What is to be done at the server. */
export type AttachAction =
  | { readonly kind: "info" | "regions" | "irqs" }
  | { readonly kind: "lspci"; readonly args: readonly string[] }
  | { readonly kind: "peek"; readonly place: Place; readonly count: number }
  | { readonly kind: "poke"; readonly place: Place; readonly value: bigint };

/** A command line that makes sense. */
export interface AttachCommand {
  readonly socket: string;
  readonly timeoutMs: number;
  /** `on`: every message is a line on stdout, and what the action prints goes to stderr. */
  readonly trace: "on" | "off";
  readonly action: AttachAction;
}

const ACTIONS = ["info", "regions", "irqs", "lspci", "peek", "poke", "trace"];
const MAX_TIMEOUT_MS = 2 ** 31 - 1;
const MAX_COUNT = 0x10_0000;
/** Region indexes have 32 bits. */
const MAX_REGION = 0xffff_ffff;

/** Decimal, or hexadecimal with 0x; `_` may part digits. Null for anything else. */
function parseNumber(text: string): bigint | null {
  const digits = text.replaceAll(/(?<=[0-9a-f])_(?=[0-9a-f])/gi, "");
  return /^(0x[0-9a-f]+|\d+)$/i.test(digits) ? BigInt(digits) : null;
}

/** A name, or an index as `regions` prints it, which a device may have more of than there are names. */
function region(text: string): number {
  const index = REGION_NAMES.indexOf(text.toLowerCase());
  if (index >= 0) return index;
  const number = parseNumber(text);
  if (number !== null && number <= BigInt(MAX_REGION)) return Number(number);
  throw new InvalidArgumentError(
    `A region is one of ${REGION_NAMES.join(", ")}, or its index${didYouMean(text, REGION_NAMES)}`,
  );
}

function offset(text: string): number {
  const value = parseNumber(text);
  if (value === null || value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new InvalidArgumentError("An offset is a number of bytes, like 64 or 0x40.");
  }
  return Number(value);
}

function size(text: string): PeekSize {
  const value = Number(parseNumber(text) ?? 0n);
  if (value === 1 || value === 2 || value === 4 || value === 8) return value;
  throw new InvalidArgumentError("A size is 1, 2, 4 or 8 bytes.");
}

function value(text: string): bigint {
  const found = parseNumber(text);
  if (found !== null && BigInt.asUintN(64, found) === found) return found;
  throw new InvalidArgumentError("A value is a number of at most 64 bits, like 1 or 0xdead_beef.");
}

function integer(what: string, max: number): (text: string) => number {
  return (text) => {
    const found = parseNumber(text);
    if (found === null || found < 1n || found > BigInt(max)) {
      throw new InvalidArgumentError(`${what} is an integer from 1 to ${max}.`);
    }
    return Number(found);
  };
}

/** Of commander. */
const HELP: readonly string[] = ["-h", "--help"];

/** What REGION may be, in the help of the commands that take one. */
const REGION = `${REGION_NAMES.join(", ")}, or an index of \`regions\``;

const DETAILS = `
Numbers are decimal, or hexadecimal with 0x; 0xdead_beef is fine. A region is its name or its index,
as \`regions\` prints them: bar0 is 0, config is 7.

Examples:
  deno task attach run/edu.sock info
  deno task attach run/edu.sock lspci -vvv -nn
  deno task attach run/edu.sock peek bar0 0 --count 4
  deno task attach run/edu.sock peek 7 0x04 2
  deno task attach run/edu.sock poke bar0 0x04 0xffff
  deno task attach run/edu.sock trace poke bar0 8 5
  deno task attach run/edu.sock trace -- lspci -v

Exit codes: 0 done, 1 the server refused or is not there, 2 usage, 3 internal, 130 interrupted`;

/** Tells one parse's result to its caller. */
interface Found {
  action: AttachAction | null;
  trace: readonly string[] | null;
}

function command(found: Found) {
  const program = new Command("deno task attach SOCKET")
    .usage("[--timeout MS] <command>")
    .description("Connects to a vfio-user server of any make, asks one thing, and leaves.")
    .option(
      "--timeout <MS>",
      "how long to wait for each answer; 10000 unless told",
      integer("A timeout", MAX_TIMEOUT_MS),
    )
    .helpCommand(false)
    .enablePositionalOptions()
    .addHelpText("after", DETAILS);
  const simple = (kind: "info" | "regions" | "irqs", description: string): void => {
    program.command(kind).description(description).allowExcessArguments(false)
      .action(() => {
        found.action = { kind };
      });
  };
  simple("info", "the version, the capabilities in force, the device");
  simple("regions", "index, name, size, flags, and the parts that can be mapped");
  simple("irqs", "index, name, count and flags of each interrupt type");
  program.command("lspci")
    .description(
      "the configuration space through the real lspci; its options follow, like -vvv -nn",
    )
    .argument("[OPTIONS...]")
    .helpOption(false)
    .passThroughOptions()
    .allowUnknownOption()
    .action((args) => {
      found.action = { kind: "lspci", args };
    });
  program.command("peek")
    .description("reads a register; with --count several in a row, one a line with its offset")
    .argument("<REGION>", REGION, region)
    .argument("<OFFSET>", "bytes", offset)
    .argument("[SIZE]", "1, 2, 4 or 8 bytes; 4 unless told", size)
    .option("-c, --count <N>", "how many", integer("A count", MAX_COUNT))
    .allowExcessArguments(false)
    .action((region, offset, size, { count }) => {
      const place = { region, offset, size: size ?? 4 };
      found.action = { kind: "peek", place, count: count ?? 1 };
    });
  program.command("poke")
    .description("writes a register")
    .argument("<REGION>", REGION, region)
    .argument("<OFFSET>", "bytes", offset)
    .argument("<VALUE>", "what to write", value)
    .argument("[SIZE]", "1, 2, 4 or 8 bytes; 4 unless told", size)
    .allowExcessArguments(false)
    .action((region, offset, value, size) => {
      found.action = { kind: "poke", place: { region, offset, size: size ?? 4 }, value };
    });
  program.command("trace")
    .description(
      "does one of the above, info unless told, and prints each message as a line on stdout; " +
        "what the command itself prints goes to stderr",
    )
    .argument("[COMMAND...]")
    .passThroughOptions()
    .allowUnknownOption()
    .action((words) => {
      found.trace = words;
    });
  return program;
}

/** The value must fit into the register: what is cut off is hardly ever meant. */
function checkValue({ place, value }: AttachAction & { kind: "poke" }): void {
  if (BigInt.asUintN(8 * place.size, value) === value) return;
  throw new UsageError(
    `Cannot poke 0x${value.toString(16)} into ${place.size} bytes: name a SIZE that holds it`,
  );
}

function parse(
  words: readonly string[],
  print: (text: string) => void,
): { readonly found: Found; readonly timeoutMs: number } | null {
  const found: Found = { action: null, trace: null };
  const program = command(found);
  const output = {
    writeOut: print,
    // What goes wrong is thrown, and printed once, by whoever catches it.
    writeErr: () => {},
  };
  program.exitOverride().configureOutput(output);
  for (const sub of program.commands) sub.exitOverride().configureOutput(output);
  try {
    program.parse(words, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === "commander.help") {
      throw new UsageError(`A command is missing; there are ${ACTIONS.join(", ")}`);
    }
    if (error.exitCode === 0) return null;
    if (error.code === "commander.unknownCommand") {
      const wrong = program.args[0] ?? "";
      throw new UsageError(
        `There is no command ${wrong}${didYouMean(wrong, ACTIONS)}; there are ${
          ACTIONS.join(", ")
        }`,
      );
    }
    throw new UsageError(error.message.replace(/^error: /, ""));
  }
  return { found, timeoutMs: program.opts().timeout ?? 10_000 };
}

/**
 * Reads `args`. Null when help was asked for and has been given to `print`.
 * @throws {UsageError} that says what would be right
 */
export function parseAttachCommand(
  args: readonly string[],
  print: (text: string) => void,
): AttachCommand | null {
  const [socket, ...words] = args;
  if (socket === undefined || socket === "") {
    throw new UsageError("A socket is missing: name the path that a vfio-user server listens on");
  }
  if (socket.startsWith("-")) {
    if (HELP.includes(socket) && parse([socket], print) === null) return null;
    throw new UsageError(`The socket comes first, and then ${socket}`);
  }
  if (ACTIONS.includes(socket)) {
    throw new UsageError(
      `The socket comes first: deno task attach SOCKET ${socket}` +
        (words.length === 0 ? "" : ` ${words.join(" ")}`),
    );
  }
  const outer = parse(words, print);
  if (outer === null) return null;
  const { found, timeoutMs } = outer;
  let { action } = found;
  if (found.trace !== null) {
    const inner = parse(found.trace.length === 0 ? ["info"] : found.trace, print);
    if (inner === null) return null;
    if (inner.found.trace !== null) throw new UsageError("Cannot trace a trace: name what it does");
    action = inner.found.action;
  }
  if (action === null) {
    throw new UsageError(`A command is missing; there are ${ACTIONS.join(", ")}`);
  }
  if (action.kind === "poke") checkValue(action);
  return { socket, timeoutMs, trace: found.trace === null ? "off" : "on", action };
}
