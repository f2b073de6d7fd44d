/**
 * Boxes that scroll, and show at which side there is more: a table on a telephone does not fit, and
 * nothing else says so where scroll bars hide.
 * @module
 */

import type { ComponentChildren, JSX, RefObject } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

/** Pixels that a browser may be off by when a box is scrolled to its end. */
const SLACK = 1;

/**
 * Marks the parent of `box`, which has the class `scroller`, with `data-more-left` and
 * `data-more-right` while there is more to see there: the style sheet fades these sides.
 */
export function useEdges(box: RefObject<HTMLElement | null>): void {
  useLayoutEffect(() => {
    const element = box.current!;
    const frame = element.parentElement!;
    const look = () => {
      const { scrollLeft, clientWidth, scrollWidth } = element;
      frame.toggleAttribute("data-more-left", scrollLeft > SLACK);
      frame.toggleAttribute("data-more-right", scrollLeft + clientWidth < scrollWidth - SLACK);
    };
    element.addEventListener("scroll", look, { passive: true });
    const resized = new ResizeObserver(look);
    resized.observe(element);
    for (const child of element.children) resized.observe(child);
    look();
    return () => {
      element.removeEventListener("scroll", look);
      resized.disconnect();
    };
  }, []);
}

/** A part of a page that scrolls, by the keyboard as well: the focus stops at it. */
export function ScrollBox({ label, kind, id, children }: {
  readonly label: string;
  /** `tall` may be higher than others. */
  readonly kind?: "tall";
  readonly id?: string;
  readonly children: ComponentChildren;
}): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  useEdges(box);
  return (
    <div class="scroller">
      <div
        ref={box}
        class={kind === undefined ? "scroll" : `scroll ${kind}`}
        tabIndex={0}
        role="region"
        aria-label={label}
        id={id}
      >
        {children}
      </div>
    </div>
  );
}
