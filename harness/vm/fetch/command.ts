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
}

/**
 * Runs a program to its end. Null when there is no such program. Its messages are
 * in English, whatever the user's language, since we read them.
 */
export async function runCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult | null> {
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
  const [stdout, stderr, status] = await Promise.all([
    readLines(child.stdout, options.line ?? (() => {})),
    new Response(child.stderr).text(),
    child.status,
  ]);
  return { code: status.code, stdout, stderr };
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
