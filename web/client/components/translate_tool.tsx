/**
 * Type an address, and see the way that an access to it takes.
 * @module
 */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { MappingRow, TranslateResult, TranslationCache, WalkStep } from "../../api.ts";
import { formatRequesterId } from "../../../devices/pci/bdf.ts";
import { formatHex, formatRange, parseAddress } from "../format.ts";
import { ofRun, route, setExtra } from "../state/store.ts";
import { machineKind } from "./clients.tsx";
import { Address, Empty } from "./parts.tsx";
import { useResource } from "./resource.ts";

const ACCESSES: readonly { value: string; name: string }[] = [
  { value: "r", name: "read" },
  { value: "w", name: "write" },
  { value: "rw", name: "read and write" },
];

const ANSWERS: Readonly<Record<TranslationCache, string>> = {
  "hot-range": "the range walked to last: answered without a walk",
  "page-cache": "in the page cache: answered without a walk",
  "tree": "in no cache: the next access walks the tree",
};

/** The tool. Address, access and endpoint are in the page's address. */
export function TranslateTool({ endpoint, members, version }: {
  /** Whose access it is unless the address says; null when the domain has no endpoint. */
  readonly endpoint: number | null;
  readonly members: readonly { readonly endpoint: number; readonly pasid: number | null }[];
  readonly version: number;
}): JSX.Element {
  const { extra } = route.value;
  const typed = useSignal(extra["iova"] ?? "");
  const isWrong = useSignal(false);
  useEffect(() => {
    typed.value = extra["iova"] ?? "";
    isWrong.value = false;
  }, [extra["iova"]]);
  const access = ACCESSES.some(({ value }) => value === extra["access"]) ? extra["access"]! : "r";
  const chosen = members.find((member) => formatRequesterId(member.endpoint) === extra["from"])
    ?.endpoint ?? endpoint;
  const iova = parseAddress(extra["iova"] ?? "");
  const { data, error } = useResource<TranslateResult>(
    iova === null || chosen === null
      ? null
      : ofRun(`/api/endpoints/${chosen}/translate?iova=${formatHex(iova)}&access=${access}`),
    version,
  );
  const distinct = [...new Set(members.map((member) => member.endpoint))];

  return (
    <section class="panel third" aria-labelledby="translate-title">
      <div class="panel-head">
        <h2 id="translate-title">Translate an address</h2>
      </div>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          const address = parseAddress(typed.value);
          isWrong.value = address === null;
          if (address !== null) setExtra("iova", formatHex(address));
        }}
      >
        <label class="field grow">
          IOVA
          <input
            class="mono"
            type="text"
            spellcheck={false}
            autocomplete="off"
            placeholder="0x100000"
            value={typed.value}
            aria-invalid={isWrong.value}
            aria-describedby={isWrong.value ? "translate-error" : undefined}
            onInput={(event) => typed.value = event.currentTarget.value}
          />
        </label>
        <label class="field">
          Access
          <select
            value={access}
            onChange={(event) => setExtra("access", event.currentTarget.value, "replace")}
          >
            {ACCESSES.map(({ value, name }) => <option key={value} value={value}>{name}</option>)}
          </select>
        </label>
        {distinct.length > 1 && (
          <label class="field">
            Endpoint
            <select
              value={chosen === null ? "" : formatRequesterId(chosen)}
              onChange={(event) => setExtra("from", event.currentTarget.value, "replace")}
            >
              {distinct.map((id) => (
                <option key={id} value={formatRequesterId(id)}>{formatRequesterId(id)}</option>
              ))}
            </select>
          </label>
        )}
        <button type="submit" class="primary">Translate</button>
      </form>
      {isWrong.value && (
        <p class="error-text" id="translate-error" role="alert">
          An address is up to 13 hexadecimal digits, with or without 0x.
        </p>
      )}
      {chosen === null
        ? <Empty title="No endpoint is in this domain">So no access goes through it.</Empty>
        : error !== null
        ? <p class="error-text" role="alert">{error.message}</p>
        : data !== null
        ? <Walk result={data} />
        : (
          <Empty title="Where would an access go?">
            Type an address, click on the strip, or choose a mapping.
          </Empty>
        )}
    </section>
  );
}

function Walk({ result }: { readonly result: TranslateResult }): JSX.Element {
  return (
    <div class="result" aria-live="polite">
      <p>
        {result.gpa !== null
          ? (
            <>
              <span class="pill ok">reaches</span> <Address value={result.gpa} />
            </>
          )
          : (
            <>
              <span class="pill bad">faults</span> <strong>{result.fault}</strong>
            </>
          )}
      </p>
      <ol class="walk">
        {result.walk.map((step) => (
          <li key={step.step} class={step.ok ? "ok" : "bad"}>
            <div>{describe(step)}</div>
          </li>
        ))}
      </ol>
    </div>
  );
}

function describe(step: WalkStep): JSX.Element {
  switch (step.step) {
    case "endpoint":
      return (
        <>
          Endpoint <code>{step.bdf}</code>
        </>
      );
    case "domain":
      return step.kind === "none"
        ? <>Attached to no domain</>
        : step.kind === "bypass"
        ? <>Bypass: the address passes untranslated</>
        : <>Domain {step.domain}</>;
    case "mapping":
      return step.mapping === null
        ? (
          <>
            No mapping covers it
            <Neighbour name="below" mapping={step.below} />
            <Neighbour name="above" mapping={step.above} />
          </>
        )
        : (
          <>
            Mapping <code>{formatRange(step.mapping.iova, step.mapping.length)}</code>
            <br />→ <code>{formatHex(step.mapping.gpa)}</code>
            {step.cache !== null && <span class="muted">{` · ${ANSWERS[step.cache]}`}</span>}
          </>
        );
    case "permission":
      return (
        <>
          Allows <code>{step.allowed}</code>, the access wants <code>{step.wanted}</code>
        </>
      );
    case "region":
      return step.region === null
        ? (
          <>
            {machineKind() === null ? "No guest memory" : "Nothing of a client"} at{" "}
            <code>{formatHex(step.gpa)}</code>
          </>
        )
        : (
          <>
            {machineKind() === null ? "Guest memory" : "The server's"} <code>{step.region}</code> at
            {" "}
            <code>{formatHex(step.gpa)}</code>
            {step.readOnly && ", read-only"}
          </>
        );
  }
}

function Neighbour({ name, mapping }: {
  readonly name: string;
  readonly mapping: MappingRow | null;
}): JSX.Element {
  return (
    <p class="muted">
      {name}: {mapping === null ? "nothing" : (
        <button
          type="button"
          class="inline mono"
          onClick={() => setExtra("iova", formatHex(mapping.iova))}
        >
          {formatRange(mapping.iova, mapping.length)}
        </button>
      )}
    </p>
  );
}
