// @ts-check
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
(() => {
  "use strict";

  /** Lines of the table of runs at a time: browsers take seconds to lay out ten thousand. */
  const MOST_LINES = 1000;

  /** @template {HTMLElement} T @param {string} id @param {new () => T} type @returns {T} */
  const byId = (id, type) => {
    const element = document.getElementById(id);
    if (!(element instanceof type)) throw new Error(`There is no ${id}`);
    return element;
  };
  const bar = byId("filter", HTMLElement);
  const words = byId("filter-text", HTMLInputElement);
  const status = byId("filter-status", HTMLSelectElement);
  const mode = byId("filter-mode", HTMLSelectElement);
  const via = byId("filter-via", HTMLSelectElement);
  const clear = byId("filter-clear", HTMLButtonElement);
  const count = byId("filter-count", HTMLOutputElement);
  const runs = byId("runs", HTMLDetailsElement);
  const told = byId("told", HTMLElement);

  /** @param {string} selector @param {ParentNode} [root] */
  const all = (
    selector,
    root = document,
  ) => /** @type {HTMLElement[]} */ ([...root.querySelectorAll(selector)]);
  const articles = all("#failures .item");
  const lines = all("#runs .item");
  const rows = all("#matrix .line").map((row) => ({
    row,
    cells: all("td", row),
  }));
  const columns = all("#matrix thead [data-mode]");
  /** Text to search in, read when it is first asked for. @type {Map<HTMLElement, string>} */
  const texts = new Map();
  /** @param {HTMLElement} element */
  const textOf = (element) => {
    let text = texts.get(element);
    if (text === undefined) {
      // What cells hold stands without spaces between them in textContent.
      text = element instanceof HTMLTableRowElement
        ? [...element.cells].map((cell) => cell.textContent).join(" ").toLowerCase()
        : (element.textContent ?? "").toLowerCase();
      texts.set(element, text);
    }
    return text;
  };

  const apply = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
    const filtered = wanted.length > 0 || [status, mode, via].some(({ value }) => value !== "");
    /** @param {HTMLElement} element */
    const says = (element) =>
      wanted.length === 0 ||
      wanted.every((word) => textOf(element).includes(word));
    /** @param {HTMLElement} element */
    const isOf = ({ dataset }) =>
      (mode.value === "" || dataset["mode"] === mode.value) &&
      (via.value === "" || dataset["via"] === via.value);
    /** @param {HTMLElement} element */
    const ended = ({ dataset }) =>
      status.value === "" || (dataset["status"] ?? "").split(" ").includes(status.value);
    /** @param {HTMLElement} element */
    const passes = (element) => isOf(element) && ended(element) && says(element);
    /** Shows those that pass, up to `most`, and counts all. @param {HTMLElement[]} elements @param {number} most */
    const sift = (elements, most) => {
      let passed = 0;
      for (const element of elements) {
        const shown = passes(element) && ++passed <= most;
        if (element.hidden === shown) element.hidden = !shown;
      }
      return passed;
    };
    const failed = sift(articles, Infinity);
    const passed = sift(lines, MOST_LINES);
    for (const column of columns) column.hidden = !isOf(column);
    for (const { row, cells } of rows) {
      for (const cell of cells) cell.hidden = !isOf(cell);
      row.hidden = filtered &&
        !(says(row) && cells.some((cell) => cell.dataset["status"] && isOf(cell) && ended(cell)));
    }
    for (const note of all("#failures > .filtered")) {
      note.hidden = failed > 0 || articles.length === 0;
    }
    for (const note of all("#runs > .filtered")) note.hidden = passed > 0 || lines.length === 0;
    count.textContent = (filtered ? `${passed} of ${lines.length} runs` : `${lines.length} runs`) +
      (passed > MOST_LINES ? `, the first ${MOST_LINES} listed` : "");
    if (filtered) runs.open = true;
  };

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  words.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(apply, lines.length > 1000 ? 150 : 0);
  });
  for (const choice of [status, mode, via]) choice.addEventListener("change", apply);
  clear.addEventListener("click", () => {
    for (const control of [words, status, mode, via]) control.value = "";
    apply();
    words.focus();
  });
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    const typing = target instanceof HTMLInputElement;
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      words.focus();
      words.select();
    } else if (event.key === "Escape" && target === words) {
      event.preventDefault();
      words.value = "";
      apply();
    }
  });

  /** Marks what is to be copied, for the old way, and for people whose browser allows neither. */
  const mark = (/** @type {Node} */ node) => {
    const selection = getSelection();
    selection?.removeAllRanges();
    const range = document.createRange();
    range.selectNodeContents(node);
    selection?.addRange(range);
  };
  for (const button of all("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const code = button.parentElement?.querySelector("code");
      if (!code) return;
      let copied = false;
      try {
        await navigator.clipboard.writeText(code.textContent ?? "");
        copied = true;
      } catch {
        mark(code);
        copied = document.execCommand("copy");
      }
      const text = copied ? "Copied" : "Marked: press Ctrl-C";
      told.textContent = text;
      button.textContent = copied ? "Copied" : "Marked";
      setTimeout(() => {
        button.textContent = "Copy";
        told.textContent = "";
      }, 2000);
    });
  }

  bar.hidden = false;
  apply();
})();
