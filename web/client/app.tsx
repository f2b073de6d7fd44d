/**
 * The frame around the pages: where one is, how things stand, what is shown.
 * @module
 */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { Snapshot } from "../api.ts";
import { theme, toggleTheme } from "./charts/palette.ts";
import { Help } from "./components/help.tsx";
import { useEdges } from "./components/scroll_box.tsx";
import { listenToKeys } from "./components/shortcuts.ts";
import { formatClock, formatInteger, plural } from "./format.ts";
import { DomainsPage } from "./pages/domains.tsx";
import { EndpointPage } from "./pages/endpoint.tsx";
import { FaultsPage } from "./pages/faults.tsx";
import { MessagesPage } from "./pages/messages.tsx";
import { OverviewPage } from "./pages/overview.tsx";
import { RunsPage } from "./pages/runs.tsx";
import { type Page, PAGES, RANGES } from "./state/route.ts";
import {
  announcement,
  backToLive,
  connection,
  go,
  linkTo,
  liveSnapshot,
  missed,
  pausedMs,
  pinnedRun,
  reconnect,
  route,
  setRange,
  snapshot,
  togglePause,
} from "./state/store.ts";

const NAMES: Readonly<Record<Page, string>> = {
  overview: "Overview",
  endpoint: "Endpoint",
  domains: "Domains",
  faults: "Faults",
  messages: "Messages",
  runs: "Runs",
};

const VIEWS: Readonly<Record<Page, () => JSX.Element>> = {
  overview: OverviewPage,
  endpoint: EndpointPage,
  domains: DomainsPage,
  faults: FaultsPage,
  messages: MessagesPage,
  runs: RunsPage,
};

/** The whole page. */
export function App(): JSX.Element {
  const help = useSignal(false);
  const main = useRef<HTMLElement>(null);
  const tabs = useRef<HTMLElement>(null);
  const { page } = route.value;
  const View = VIEWS[page];
  const isStale = connection.value.kind === "lost" && pinnedRun.value === null;
  useEffect(() => listenToKeys(() => help.value = true), []);
  useEffect(() => {
    document.title = `${NAMES[page]} · Viaduct`;
  }, [page]);
  const isFirst = useRef(true);
  // With the page itself: a key pressed at its sight must not find the focus still to come.
  useLayoutEffect(() => {
    // A new page begins at its top, for eyes and for screen readers.
    if (!isFirst.current) {
      scrollTo(0, 0);
      main.current!.focus({ preventScroll: true });
    }
    isFirst.current = false;
  }, [page]);
  useEdges(tabs);
  useEffect(() => {
    // On a narrow screen the pages' names scroll.
    document.querySelector(".tabs [aria-current]")?.scrollIntoView({
      block: "nearest",
      inline: "center",
    });
  }, [page]);

  return (
    <div class={`frame ${isStale ? "stale" : ""}`}>
      <a class="unseen" href="#main" onClick={skipTo(main)}>Skip to the page</a>
      <header class="top">
        <div class="top-row">
          <a class="brand" href={linkTo("overview")}>
            <Mark />Viaduct
          </a>
          <State />
          <RunName state={snapshot.value} />
          <div class="controls push">
            <Ranges />
            <button type="button" aria-pressed={pausedMs.value !== null} onClick={togglePause}>
              {pausedMs.value === null ? "Pause" : "Paused"}
            </button>
            <button
              type="button"
              class="square"
              aria-label={theme.value === "dark" ? "Light theme" : "Dark theme"}
              title={theme.value === "dark" ? "Light theme" : "Dark theme"}
              onClick={toggleTheme}
            >
              {theme.value === "dark" ? "☀" : "☾"}
            </button>
            <button
              type="button"
              class="square"
              aria-label="Keys and filters"
              title="Keys and filters"
              onClick={() => help.value = true}
            >
              ?
            </button>
          </div>
        </div>
        <div class="top-row">
          <div class="scroller tabs-box">
            <nav class="tabs" aria-label="Pages" ref={tabs}>
              {PAGES.map((name) => (
                <a
                  key={name}
                  href={linkTo(name)}
                  aria-current={name === page ? "page" : undefined}
                >
                  {NAMES[name]}
                  <Badge page={name} state={snapshot.value} />
                </a>
              ))}
            </nav>
          </div>
          <FilterBox />
        </div>
      </header>
      <Banners />
      <main class="page" id="main" ref={main} tabIndex={-1}>
        <View key={page} />
      </main>
      <footer class="foot">
        <div class="top-row">
          <Footer />
        </div>
      </footer>
      <p class="unseen" aria-live="polite">{announcement.value}</p>
      <Help isOpen={help.value} onClose={() => help.value = false} />
    </div>
  );
}

function skipTo(main: { readonly current: HTMLElement | null }) {
  return (event: Event) => {
    event.preventDefault();
    main.current?.focus();
  };
}

function Mark(): JSX.Element {
  return (
    <svg
      width="22"
      height="16"
      viewBox="0 0 22 16"
      fill="none"
      stroke="currentColor"
      stroke-width="1.8"
      aria-hidden="true"
    >
      <path d="M1 2.5h20M2.5 15V9a3.5 3.5 0 0 1 7 0v6M12.5 15V9a3.5 3.5 0 0 1 7 0v6" />
    </svg>
  );
}

function State(): JSX.Element {
  const { kind } = connection.value;
  const state = snapshot.value?.state ?? "idle";
  if (kind === "lost") return <span class="pill bad">disconnected</span>;
  if (snapshot.value === null) return <span class="pill">connecting</span>;
  if (pausedMs.value !== null) return <span class="pill warn">paused</span>;
  if (pinnedRun.value !== null) return <span class="pill">ended</span>;
  if (state === "live") return <span class="pill ok">live</span>;
  return (
    <span class={`pill ${state === "paused" ? "warn" : ""}`}>
      {state === "paused" ? "silent" : state}
    </span>
  );
}

function RunName({ state }: { readonly state: Snapshot | null }): JSX.Element | null {
  const run = state?.run ?? null;
  if (run === null) return null;
  return (
    <a class="run-name" href={linkTo("runs", String(run.id))}>
      {run.scenario} · {run.mode} via {run.via}
    </a>
  );
}

function Ranges(): JSX.Element {
  const { range } = route.value;
  return (
    <div class="segments" role="group" aria-label="Time range">
      {RANGES.map((seconds) => (
        <button
          key={seconds}
          type="button"
          aria-pressed={range.kind === "last" && range.seconds === seconds}
          onClick={() => setRange({ kind: "last", seconds })}
        >
          {seconds / 60} min
        </button>
      ))}
      {range.kind === "between" && (
        <button
          type="button"
          aria-pressed
          title="Back to the last five minutes"
          onClick={() => setRange({ kind: "last", seconds: 300 })}
        >
          {formatClock(range.fromMs)} to {formatClock(range.toMs)} ×
        </button>
      )}
    </div>
  );
}

function Badge({ page, state }: {
  readonly page: Page;
  readonly state: Snapshot | null;
}): JSX.Element | null {
  if (state === null) return null;
  if (page === "endpoint" && state.endpoints.length > 0) {
    return <span class="count">{state.endpoints.length + state.endpointsLeftOut}</span>;
  }
  if (page === "domains" && state.domains.length > 0) {
    return <span class="count">{state.domains.length + state.domainsLeftOut}</span>;
  }
  if (page === "faults" && state.totals.faults > 0) {
    return <span class="count bad">{formatInteger(state.totals.faults)}</span>;
  }
  return null;
}

function FilterBox(): JSX.Element {
  const { filter, page } = route.value;
  const hints: Readonly<Record<Page, string>> = {
    overview: "faults:>0  device:edu",
    endpoint: "kind:fault",
    domains: "access:rw  length:>4096",
    faults: "reason:unmapped",
    messages: "command:DMA_MAP errno:!0",
    runs: "state:failed  mode:remap",
  };
  return (
    <div class="filter" role="search">
      <input
        id="filter"
        type="text"
        aria-label={`Filter ${NAMES[page]}`}
        placeholder={`Filter: ${hints[page]}`}
        spellcheck={false}
        autocomplete="off"
        value={filter}
        onInput={(event) => go({ filter: event.currentTarget.value }, "replace")}
        onKeyDown={(event) => {
          if (event.key !== "Escape") return;
          if (filter !== "") go({ filter: "" }, "replace");
          else event.currentTarget.blur();
        }}
      />
      <kbd aria-hidden="true">/</kbd>
    </div>
  );
}

function Banners(): JSX.Element {
  const { value: state } = connection;
  const now = useSignal(Date.now());
  const isLost = state.kind === "lost";
  useEffect(() => {
    if (!isLost) return;
    now.value = Date.now();
    const timer = setInterval(() => now.value = Date.now(), 250);
    return () => clearInterval(timer);
  }, [isLost]);
  return (
    <>
      {state.kind === "lost" && (
        <section class="banner bad" aria-label="Connection">
          <strong>Disconnected: {state.reason}.</strong>
          <span>
            Trying again {state.retryMs === null
              ? "now"
              : `in ${Math.max(0, Math.ceil((state.retryMs - now.value) / 1000))} s`}. What is shown
            is what came last.
          </span>
          <button type="button" onClick={reconnect}>Try now</button>
        </section>
      )}
      {pinnedRun.value !== null && (
        <section class="banner" aria-label="Past run">
          <span>This is what run {pinnedRun.value} left.</span>
          <button type="button" onClick={backToLive}>Back to live</button>
        </section>
      )}
    </>
  );
}

function Footer(): JSX.Element {
  const state = liveSnapshot.value;
  return (
    <>
      <span>
        {state === null
          ? "No snapshot yet"
          : `Snapshot ${formatInteger(state.sequence)}, ${formatClock(state.timeMs)}`}
      </span>
      {missed.value > 0 && (
        <strong class="bad-text">
          {plural(missed.value, "snapshot")} {missed.value === 1 ? "was" : "were"} dropped
        </strong>
      )}
      <span class="push">
        <a href="/metrics">metrics</a> · <a href="/grafana.json" download>Grafana dashboard</a>
      </span>
    </>
  );
}
