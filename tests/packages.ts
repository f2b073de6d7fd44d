/**
 * The outside tools that tests hold our output against, from Debian's packages.
 * @module
 */

/** A program, and the Debian package that carries it. */
interface Tool {
  readonly program: string;
  readonly package: string;
}

const TOOLS: readonly Tool[] = [
  { program: "chromium", package: "chromium" },
  { program: "lspci", package: "pciutils" },
  { program: "tshark", package: "tshark" },
];

/** Whether `program` is on the path. */
export async function isInstalled(program: string): Promise<boolean> {
  try {
    const { success } = await new Deno.Command("sh", {
      args: ["-c", `command -v ${program}`],
      stdout: "null",
      stderr: "null",
    }).output();
    return success;
  } catch {
    return false;
  }
}

/**
 * Installs the packages whose programs are missing, where apt is there and we may
 * use it. What stays missing is said loudly; the tests that want it then say so
 * too, and fail in CI.
 */
export async function installMissing(): Promise<void> {
  const missing: Tool[] = [];
  for (const tool of TOOLS) if (!await isInstalled(tool.program)) missing.push(tool);
  if (missing.length === 0) return;
  const packages = missing.map((tool) => tool.package);
  if (Deno.uid() === 0 && await isInstalled("apt-get")) {
    warn(`Installing ${packages.join(", ")} from Debian's packages`);
    await apt(["update", "-qq"]);
    await apt(["install", "-y", "-qq", "--no-install-recommends", ...packages]);
  }
  for (const tool of missing) {
    if (await isInstalled(tool.program)) continue;
    warn(`MISSING: ${tool.program}. Tests that need it cannot run. To mend it:`);
    warn(`  apt-get install ${tool.package}`);
  }
}

async function apt(args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("apt-get", {
    args,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    env: { DEBIAN_FRONTEND: "noninteractive" },
  }).output();
  if (!success) warn(`apt-get ${args[0]} failed: ${new TextDecoder().decode(stderr).trim()}`);
}

function warn(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(line + "\n"));
}
