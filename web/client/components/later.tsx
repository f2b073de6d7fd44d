/**
 * Parts of a page that may come a moment after the rest, so that no page comes as
 * one long task.
 * @module
 */

import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect } from "preact/hooks";

/** Shows `children` once what is before them has been painted. */
export function Later({ children }: { readonly children: ComponentChildren }): JSX.Element | null {
  const isShown = useSignal(false);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const frame = requestAnimationFrame(() => timer = setTimeout(() => isShown.value = true));
    return () => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    };
  }, []);
  return isShown.value ? <div class="panels-inner">{children}</div> : null;
}
