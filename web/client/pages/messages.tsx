/**
 * The messages of vfio-user connections in three panes: list, fields, bytes.
 * @module
 */

import type { JSX } from "preact";
import type { MessageRow, MessagesPage as Page, Snapshot } from "../../api.ts";
import { machineKind } from "../components/clients.tsx";
import { type ListSource, useList } from "../components/list_loader.ts";
import { CopyButton, Empty, Failure, Skeleton } from "../components/parts.tsx";
import { Title, WithSnapshot } from "../components/page_state.tsx";
import { millisecondsWidth, numberWidth } from "../components/time_column.ts";
import { ScrollBox } from "../components/scroll_box.tsx";
import { type GridColumn, VirtualGrid } from "../components/virtual_grid.tsx";
import { formatHex, formatInteger, plural } from "../format.ts";
import { go, lastingLink, linkTo, machineOf, ofRun, route } from "../state/store.ts";
import { hexDump } from "./hex_dump.ts";

/** The messages of the run. */
export function MessagesPage(): JSX.Element {
  return (
    <WithSnapshot title="Messages">
      {(state) => (
        <>
          <Title>Messages</Title>
          <Messages state={state} />
        </>
      )}
    </WithSnapshot>
  );
}

const SOURCE: Omit<ListSource<MessageRow, Page>, "path" | "of"> = {
  grows: "last",
  read: ({ messages, next }) => ({ rows: messages, next }),
  numberOf: ({ number }) => number,
  // Numbers begin at 0, and what is kept has no hole.
  oldestKept: ({ dropped }) => dropped,
};

/** The columns of a list that ends with that message. */
const columnsUpTo = (last: MessageRow): readonly GridColumn<MessageRow>[] => [
  {
    title: "No.",
    width: numberWidth(last.number),
    kind: "num",
    cell: ({ number }) => formatInteger(number),
  },
  {
    title: "Time, ms",
    width: millisecondsWidth(last.timeMs),
    kind: "num",
    cell: ({ timeMs }) => timeMs.toFixed(3),
  },
  {
    title: "To",
    width: "66px",
    cell: ({ direction, type }) => (
      <span class={type === "reply" ? "muted" : ""}>
        {direction === ">" ? "→ server" : "← client"}
      </span>
    ),
  },
  {
    title: "Command",
    width: "minmax(170px, 1fr)",
    kind: "mono",
    cell: ({ command, type }) => (
      <>
        {command}
        {type === "reply" && <span class="muted after">reply</span>}
      </>
    ),
  },
  { title: "Length", width: "60px", kind: "num", cell: ({ length }) => formatInteger(length) },
  {
    title: "Took, ms",
    width: "72px",
    kind: "num",
    cell: ({ tookMs }) => tookMs === null ? "" : tookMs.toFixed(3),
  },
  {
    title: "errno",
    width: "48px",
    kind: "num",
    cell: ({ errno }) =>
      errno === null ? "" : errno === 0 ? "0" : <strong class="bad-text">{errno}</strong>,
  },
  { title: "ID", width: "52px", kind: "mono", cell: ({ id }) => formatHex(id, 4) },
  {
    title: "Fields",
    width: "minmax(260px, 2.4fr)",
    kind: "mono",
    cell: ({ fields }) => (
      <span class="muted">{fields.map(({ name, value }) => `${name} ${value}`).join("  ")}</span>
    ),
  },
];

function Messages({ state }: { readonly state: Snapshot }): JSX.Element {
  const { filter, selected } = route.value;
  const query = filter === "" ? "" : `&filter=${encodeURIComponent(filter)}`;
  const { loaded, error } = useList<MessageRow, Page>(
    { ...SOURCE, path: ofRun(`/api/messages?limit=1000${query}`), of: machineOf(state) },
    `${state.sequence}/${state.state}`,
  );
  if (error !== null && error.status === 400) {
    return (
      <section class="panel">
        <Empty title="The filter cannot be read">
          <span class="error-text">{error.message}</span>
          {error.problem?.position !== undefined &&
            ` At character ${error.problem.position + 1}: "${
              filter.slice(error.problem.position, error.problem.position + 12)
            }".`}
        </Empty>
      </section>
    );
  }
  if (loaded === null) {
    return (
      <section class="panel">
        {error !== null ? <Failure error={error} /> : <Skeleton rows={8} />}
      </section>
    );
  }
  const { rows, page } = loaded;
  if (rows.length === 0) {
    return (
      <section class="panel">
        {filter !== ""
          ? (
            <Empty title="No message passes the filter">
              Try command:DMA_MAP, errno:!0, region:0, direction:&gt;, type:reply or length:&gt;=64.
            </Empty>
          )
          : page.dropped > 0
          ? (
            <Empty title="No message is kept">
              {`${plural(page.dropped, "message")} came, and were too many to keep.`}
            </Empty>
          )
          : machineKind() !== null
          ? (
            <Empty title="No message yet">
              Messages appear here as soon as a client talks to a device, and of the last ones those
              that came while somebody looked on, or up to a minute after.
            </Empty>
          )
          : (
            <Empty
              title="No message in this run"
              command="npx -y deno@2.9.6 task scenario --via vfio-user --dashboard"
            >
              Messages travel when the device lives in another process. Start a scenario via
              vfio-user on the <a href={linkTo("runs")}>Runs</a> page, or from a terminal:
            </Empty>
          )}
      </section>
    );
  }
  const chosen = rows[placeOf(selected, rows)] ?? null;
  return (
    <div class="panels">
      <section class="panel flush" aria-labelledby="messages-title">
        <div class="panel-head">
          <h2 id="messages-title">Messages</h2>
          <p class="summary">
            {loaded.isWhole
              ? plural(page.total, "message")
              : `${formatInteger(rows.length)} of ${plural(page.total, "message")}`}
            {page.dropped > 0 && (
              <strong class="bad-text">
                {`, ${formatInteger(page.dropped)} before them were too many to keep`}
              </strong>
            )}
          </p>
        </div>
        <VirtualGrid
          label="Messages"
          columns={columnsUpTo(rows.at(-1)!)}
          count={rows.length}
          rowAt={(index) => rows[index] ?? null}
          keyOf={keyOf}
          selected={selected}
          indexOf={(key) => placeOf(key, rows)}
          onSelect={(key) => go({ selected: key }, "replace")}
          height={420}
        />
      </section>
      <section class="panel half" aria-labelledby="fields-title">
        <div class="panel-head">
          <h2 id="fields-title">Fields</h2>
          {chosen !== null && (
            <p class="summary">
              message {formatInteger(chosen.number)}, {chosen.command} {chosen.type}
            </p>
          )}
          {chosen !== null && page.run !== null && (
            <div class="push">
              <CopyButton
                text={lastingLink(page.run.id)}
                what="a link to this message"
                icon="link"
              />
            </div>
          )}
        </div>
        {chosen === null
          ? numberOf(selected) < page.dropped
            ? <Empty title="The message that this link names is not kept any more" />
            : <Empty title="Choose a message">Its fields and bytes show here.</Empty>
          : (
            <dl class="fields">
              <dt>Connection</dt>
              <dd>{chosen.connection}</dd>
              <dt>Message ID</dt>
              <dd class="mono">{formatHex(chosen.id, 4)}</dd>
              {chosen.errno !== null && (
                <>
                  <dt>errno</dt>
                  <dd class={chosen.errno === 0 ? "mono" : "mono bad-text"}>{chosen.errno}</dd>
                </>
              )}
              {chosen.descriptors > 0 && (
                <>
                  <dt>Descriptors</dt>
                  <dd class="mono">{chosen.descriptors}</dd>
                </>
              )}
              {chosen.fields.map(({ name, value }, i) => (
                <Field key={`${i} ${name}`} name={name} value={value} />
              ))}
            </dl>
          )}
      </section>
      <section class="panel half" aria-labelledby="bytes-title">
        <div class="panel-head">
          <h2 id="bytes-title">Bytes</h2>
          {chosen !== null && (
            <>
              <p class="summary">{plural(chosen.length, "byte")}</p>
              <div class="push">
                <CopyButton text={chosen.bytes} what="the bytes in hex" />
              </div>
            </>
          )}
        </div>
        {chosen === null
          ? <Empty title="No message chosen" />
          : (
            <ScrollBox label="Bytes of the message">
              <pre class="bytes">{hexDump(chosen.bytes)}</pre>
            </ScrollBox>
          )}
      </section>
    </div>
  );
}

function Field({ name, value }: { readonly name: string; readonly value: string }): JSX.Element {
  return (
    <>
      <dt>{name}</dt>
      <dd class="mono">{value}</dd>
    </>
  );
}

/** The message that a key names; NaN when it names none. */
function numberOf(key: string): number {
  return Number(/^message-(\d+)$/.exec(key)?.[1] ?? NaN);
}

/** Where a message stands in the list, which is in rising order; -1 when it is not there. */
function placeOf(key: string, rows: readonly MessageRow[]): number {
  const wanted = numberOf(key);
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle]!.number < wanted) low = middle + 1;
    else high = middle;
  }
  return rows[low]?.number === wanted ? low : -1;
}

function keyOf({ number }: MessageRow): string {
  return `message-${number}`;
}
