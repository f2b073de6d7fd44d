/**
 * Outside programs: their output as text, line by line if wanted.
 * @module
 */

/** What a program left behind. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a program is run. */
export interface CommandOptions {
  readonly cwd?: string;
  /** Added to our own environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Gets each line of stdout as it comes, without its end. */
  readonly line?: (line: string) => void;
  /** Ends the program when it is aborted. */
  readonly signal?: AbortSignal | undefined;
}

/** How long a program that was told to end may take. */
const TERMINATE_MS = 2000;

/**
 * Runs a program to its end. Null when there is no such program. Its messages are
 * in English, whatever the user's language, since we read them.
 * @throws the signal's reason when it is aborted; the program has ended then
 */
export async function runCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult | null> {
  const { signal } = options;
  signal?.throwIfAborted();
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program, {
      args: [...args],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      env: { ...options.env, LC_ALL: "C" },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    if (error instanceof Deno.errors.PermissionDenied) return null;
    throw error;
  }
  let killing: ReturnType<typeof setTimeout> | undefined;
  const end = (): void => {
    kill(child, "SIGTERM");
    killing = setTimeout(() => kill(child, "SIGKILL"), TERMINATE_MS);
  };
  signal?.addEventListener("abort", end, { once: true });
  try {
    const outputs = Promise.all([
      readLines(untilAborted(child.stdout, signal), options.line ?? (() => {})),
      new Response(untilAborted(child.stderr, signal)).text(),
    ]);
    // Told below, when the program has ended.
    outputs.catch(() => {});
    const status = await child.status;
    signal?.throwIfAborted();
    const [stdout, stderr] = await outputs;
    return { code: status.code, stdout, stderr };
  } finally {
    clearTimeout(killing);
    signal?.removeEventListener("abort", end);
  }
}

/** A process that the program has started may hold its pipes for longer than it lives. */
function untilAborted(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  signal: AbortSignal | undefined,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return signal === undefined ? stream : stream.pipeThrough(new TransformStream(), { signal });
}

function kill(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch {
    // It has ended by itself.
  }
}

async function readLines(
  stream: ReadableStream<Uint8Array>,
  line: (line: string) => void,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let rest = "";
  for await (const bytes of stream) {
    const part = decoder.decode(bytes, { stream: true });
    text += part;
    const lines = (rest + part).split("\n");
    rest = lines.pop()!;
    lines.forEach(line);
  }
  if (rest !== "") line(rest);
  return text;
}
