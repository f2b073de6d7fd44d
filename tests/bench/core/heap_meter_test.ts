import { assert, assertEquals } from "@std/assert";
import { bytesPerAccess } from "./heap_meter.ts";

Deno.test("bytesPerAccess() sees one small object an access", () => {
  const kept: { value: number }[] = new Array(16);
  const bytes = bytesPerAccess((count) => {
    for (let i = 0; i < count; i++) kept[i % 16] = { value: i };
  }, 1_000_000);
  // Three words: map, properties, elements; and one for the value.
  assert(bytes >= 24 && bytes <= 64, `${bytes} bytes`);
});

Deno.test("bytesPerAccess() sees what one access in 4096 allocates, as translations that are timed are", () => {
  const kept: Float64Array[] = new Array(16);
  const values = new Float64Array(64);
  let calls = 0;
  const access = (count: number): void => {
    for (let i = 0; i < count; i++) {
      values[i & 63] = values[(i + 1) & 63]! + 0.5;
      if (++calls % 4096 === 0) kept[calls / 4096 % 16] = new Float64Array(8);
    }
  };
  for (let call = 0; call < 500; call++) access(10_000);
  const bytes = bytesPerAccess(access, 1_000_000);
  // The numbers alone are 64 bytes.
  assert(bytes >= 64 / 4096 && bytes <= 512 / 4096, `${bytes} bytes`);
});

Deno.test("bytesPerAccess() sees memory outside of the heap", () => {
  const kept: Uint8Array[] = new Array(16);
  const bytes = bytesPerAccess((count) => {
    for (let i = 0; i < count; i += 100) kept[i / 100 % 16] = new Uint8Array(10_000);
  }, 100_000);
  assert(bytes >= 50, `${bytes} bytes`);
});

Deno.test("bytesPerAccess() is 0 for code that allocates nothing", () => {
  const values = new Float64Array(64);
  const access = (count: number): void => {
    for (let i = 0; i < count; i++) values[i & 63] = values[(i + 1) & 63]! + 0.5;
  };
  // An interpreter does allocate: a box for each number.
  for (let call = 0; call < 500; call++) access(10_000);
  const bytes = bytesPerAccess(access, 1_000_000);
  assertEquals(Math.round(bytes * 100), 0);
});
