/** Process IDs of this process's children: via vfio-user, the server processes. */
export function serverPids(): number[] {
  const children = Deno.readTextFileSync(`/proc/${Deno.pid}/task/${Deno.pid}/children`);
  return children.trim().split(" ").filter((pid) => pid !== "").map(Number);
}
