/**
 * What a page about a machine shows while there is none to look at.
 * @module
 */

import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { Snapshot } from "../../api.ts";
import { linkTo, snapshot } from "../state/store.ts";
import { Empty, Skeleton } from "./parts.tsx";

/** A page's name where the page itself does not show it. */
export function Title({ children }: { readonly children: string }): JSX.Element {
  return <h1 class="unseen">{children}</h1>;
}

/** Shows `children` with the snapshot; a skeleton before there is one, the way to a run when there was none. */
export function WithSnapshot({ title, children }: {
  /** Names the page while there is nothing on it. */
  readonly title: string;
  readonly children: (state: Snapshot) => ComponentChildren;
}): JSX.Element {
  const state = snapshot.value;
  if (state === null) {
    return (
      <>
        <Title>{title}</Title>
        <Waiting />
      </>
    );
  }
  if (state.state === "idle" || state.run === null) {
    return (
      <>
        <Title>{title}</Title>
        <NoRun />
      </>
    );
  }
  return <>{children(state)}</>;
}

/** A skeleton, once it takes longer than people notice. */
export function Waiting(): JSX.Element | null {
  const late = useSignal(false);
  useEffect(() => {
    const timer = setTimeout(() => late.value = true, 300);
    return () => clearTimeout(timer);
  }, []);
  return late.value
    ? (
      <section class="panel">
        <Skeleton rows={7} />
      </section>
    )
    : null;
}

function NoRun(): JSX.Element {
  return (
    <section class="panel">
      <Empty title="No run yet" command="npx -y deno@2.9.6 task scenario --dashboard">
        Start a scenario on the <a href={linkTo("runs")}>Runs</a>{" "}
        page, and its devices appear here. Or watch a command's runs from their start:
      </Empty>
    </section>
  );
}
