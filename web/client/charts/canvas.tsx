/**
 * A canvas as wide as its place, sharp on every screen, drawn again when it has to be.
 * @module
 */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { theme } from "./palette.ts";

/** Draws onto `context`, in CSS pixels. */
export type Draw = (context: CanvasRenderingContext2D, width: number, height: number) => void;

/** A picture that `draw` makes. `onPick` is told where it is clicked, as shares of its sides. */
export function Canvas({ height, draw, onPick, label }: {
  readonly height: number;
  readonly draw: Draw;
  readonly onPick?: (x: number, y: number) => void;
  /** What it shows, in words. */
  readonly label: string;
}): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useSignal(0);

  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => width.value = entry!.contentRect.width);
    observer.observe(canvas.current!);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    const element = canvas.current!;
    if (width.value < 1) return;
    const ratio = devicePixelRatio;
    const pixels = Math.round(width.value * ratio);
    if (element.width !== pixels) element.width = pixels;
    if (element.height !== height * ratio) element.height = height * ratio;
    const context = element.getContext("2d")!;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width.value, height);
    draw(context, width.value, height);
  }, [draw, width.value, height, theme.value]);

  return (
    <canvas
      ref={canvas}
      class="strip"
      style={{ height: `${height}px` }}
      role="img"
      aria-label={label}
      onClick={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        onPick?.((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
      }}
    />
  );
}
