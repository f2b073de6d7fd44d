/**
 * The addresses of a domain as one strip: where mappings lie, and what they allow.
 * @module
 */

import type { JSX } from "preact";
import { formatHex, plural } from "../format.ts";
import type { MappingTable } from "../state/mapping_table.ts";
import { Canvas } from "./canvas.tsx";
import { colorOf } from "./palette.ts";

const HEIGHT = 46;
/** By access bits: none, r, w, rw. */
const COLORS: readonly string[] = ["series-7", "series-0", "series-1", "series-2"];
const NAMES: readonly string[] = ["none", "read", "write", "read and write"];

/** The strip; `marked` is an address to point at, `onPick` is told of the one that is clicked. */
export function AddressStrip({ table, marked, onPick }: {
  readonly table: MappingTable;
  readonly marked: number | null;
  readonly onPick: (iova: number) => void;
}): JSX.Element | null {
  if (table.length === 0) return null;
  const first = table.iova(0);
  const end = table.last(table.length - 1) + 1;
  const margin = (end - first) / 100;
  const from = Math.max(0, first - margin);
  const span = end + margin - from;
  const present = new Set<number>();
  for (let i = 0; i < table.length; i++) present.add(table.access(i));
  return (
    <div class="strip-box">
      <Canvas
        height={HEIGHT}
        label={`Address space from ${formatHex(first)} to ${formatHex(end - 1)} with ${
          plural(table.length, "mapping")
        }`}
        onPick={(x) => onPick(Math.max(0, Math.floor((from + x * span) / 4096) * 4096))}
        draw={(context, width, height) => {
          context.fillStyle = colorOf("raised");
          context.fillRect(0, 8, width, height - 16);
          // At most one rectangle a pixel, whatever the number of mappings.
          const colors = COLORS.map(colorOf);
          let drawn = -1;
          for (let i = 0; i < table.length; i++) {
            const left = Math.floor((table.iova(i) - from) / span * width);
            const right = Math.max(left + 1, Math.floor((table.last(i) + 1 - from) / span * width));
            if (right <= drawn) continue;
            const access = table.access(i);
            context.fillStyle = colors[access]!;
            const inset = access === 1 ? 0 : access === 2 ? 5 : 2.5;
            const x = Math.max(left, drawn);
            context.fillRect(x, 8 + inset, right - x, height - 16 - inset * 2);
            drawn = right;
          }
          if (marked === null || marked < from || marked > from + span) return;
          const x = (marked - from) / span * width;
          context.fillStyle = colorOf("text");
          context.fillRect(x - 1, 2, 2, height - 4);
          context.beginPath();
          context.moveTo(x - 5, 0);
          context.lineTo(x + 5, 0);
          context.lineTo(x, 7);
          context.fill();
        }}
      />
      <div class="scale-row">
        <span>{formatHex(first)}</span>
        <ul class="legend" aria-label="Access">
          {[...present].sort().map((access) => (
            <li key={access}>
              <svg width="10" height="10" aria-hidden="true">
                <rect
                  width="10"
                  height={access === 1 ? 10 : access === 2 ? 5 : 8}
                  y={access === 1 ? 0 : access === 2 ? 2.5 : 1}
                  fill={`var(--${COLORS[access]})`}
                />
              </svg>
              {NAMES[access]}
            </li>
          ))}
        </ul>
        <span>{formatHex(end - 1)}</span>
      </div>
    </div>
  );
}
