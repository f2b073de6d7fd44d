/**
 * The filter of the message list: `command:DMA_MAP errno:!0 region:0`.
 * @module
 */

import { errnoName } from "../protocols/linux/errno.ts";
import { VfioPciRegion } from "../protocols/vfio_user/vfio_spec.ts";
import type { MessageRow } from "./api.ts";

/** A filter that cannot be read. */
export class FilterError extends Error {
  override readonly name = "FilterError";
  /** `position` is that of the first character that is wrong, from 0. */
  constructor(message: string, readonly position: number) {
    super(message);
  }
}

/** Longest filter, and most words of one. */
const MAX_LENGTH = 500;
const MAX_WORDS = 32;
/** The longest operators first. */
const OPERATORS = ["<=", ">=", "<", ">"] as const;

type Test = (message: MessageRow) => boolean;

/** Index of each region that has a name: `bar0`, `rom`, `config`. */
const REGIONS: ReadonlyMap<string, string> = new Map(
  Object.entries(VfioPciRegion).map(([name, index]) => [
    name.replace(/^VFIO_PCI_|_REGION_INDEX$/g, "").toLowerCase(),
    String(index),
  ]),
);

/** What a name stands for in a message; undefined when it has no such thing. */
function valuesOf(name: string, message: MessageRow): readonly string[] | undefined {
  switch (name) {
    case "command":
      return [message.command];
    case "connection":
      return [message.connection];
    case "direction":
      return [message.direction];
    case "type":
      return [message.type];
    case "id":
      return [String(message.id)];
    case "number":
    case "no":
      return [String(message.number)];
    case "length":
      return [String(message.length)];
    case "descriptors":
    case "fds":
      return [String(message.descriptors)];
    case "errno":
      return message.errno === null ? undefined : [String(message.errno), errnoName(message.errno)];
    case "ms":
      return message.tookMs === null ? undefined : [String(message.tookMs)];
  }
  const found = message.fields.filter((field) => field.name.toLowerCase() === name);
  if (found.length === 0) return undefined;
  // Messages carry the index of a region; people may know it by either.
  return found.flatMap(({ value }) => [value, ...name === "region" ? indexOf(value) : []]);
}

function indexOf(region: string): readonly string[] {
  const index = REGIONS.get(region);
  return index === undefined ? [] : [index];
}

/** As a number: decimal or hexadecimal, with `_` between digits; NaN for anything else. */
function numberOf(text: string): number {
  return /^(?:0x[0-9a-f][0-9a-f_]*|\d[\d_]*(?:\.\d+)?)$/i.test(text)
    ? Number(text.replaceAll("_", ""))
    : NaN;
}

/** Whether `value` is `parts` with anything between them. One pass: a regular expression of many stars would not end. */
function matches(parts: readonly string[], value: string): boolean {
  const first = parts[0]!, last = parts.at(-1)!;
  if (parts.length === 1) return value === first;
  if (value.length < first.length + last.length) return false;
  if (!value.startsWith(first) || !value.endsWith(last)) return false;
  let at = first.length;
  const end = value.length - last.length;
  for (const part of parts.slice(1, -1)) {
    const found = value.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}

function comparison(operator: typeof OPERATORS[number], wanted: number): (text: string) => boolean {
  return (text) => {
    const value = numberOf(text);
    switch (operator) {
      case "<":
        return value < wanted;
      case "<=":
        return value <= wanted;
      case ">":
        return value > wanted;
      case ">=":
        return value >= wanted;
    }
  };
}

function valueTest(text: string, position: number): (text: string) => boolean {
  // A direction is written with the sign that otherwise compares.
  if (text === "<" || text === ">") return (value) => value === text;
  for (const operator of OPERATORS) {
    if (!text.startsWith(operator)) continue;
    const wanted = numberOf(text.slice(operator.length));
    if (Number.isNaN(wanted)) {
      throw new FilterError(
        `A number must follow ${operator}, like ${operator}64`,
        position + operator.length,
      );
    }
    return comparison(operator, wanted);
  }
  const wanted = numberOf(text);
  if (!Number.isNaN(wanted)) return (value) => numberOf(value) === wanted;
  const parts = text.toLowerCase().split("*");
  return (value) => matches(parts, value.toLowerCase());
}

/** The test of a word that has a colon at `colon`. */
function fieldTest(word: string, colon: number, position: number): Test {
  const name = word.slice(0, colon).toLowerCase();
  if (!/^[a-z][\w.-]*$/.test(name)) {
    throw new FilterError(
      "A name of letters must stand before the colon: command:DMA_MAP",
      position,
    );
  }
  let at = colon + 1;
  const negated = word[at] === "!";
  if (negated) at++;
  if (at >= word.length) {
    throw new FilterError(`A value must follow ${name}:`, position + at);
  }
  const test = valueTest(word.slice(at), position + at);
  return (message) => {
    const values = valuesOf(name, message);
    if (values === undefined) return false;
    return values.some(test) !== negated;
  };
}

function lineOf(message: MessageRow): string {
  const fields = message.fields.map(({ name, value }) => `${name} ${value}`).join(" ");
  return `${message.direction} ${message.type} ${message.command} ${fields}`.toLowerCase();
}

/** The filter as a test; all words must hold, and none holds for all. @throws {FilterError} */
export function parseFilter(text: string): Test {
  if (text.length > MAX_LENGTH) {
    throw new FilterError(`A filter has at most ${MAX_LENGTH} characters`, MAX_LENGTH);
  }
  const words = [...text.matchAll(/\S+/g)];
  if (words.length > MAX_WORDS) {
    throw new FilterError(`A filter has at most ${MAX_WORDS} words`, words[MAX_WORDS]!.index);
  }
  const tests: Test[] = [];
  const sought: string[] = [];
  for (const { 0: word, index } of words) {
    const colon = word.indexOf(":");
    if (colon < 0) sought.push(word.toLowerCase());
    else tests.push(fieldTest(word, colon, index));
  }
  // A line is made once for all of them, and where nothing else refuses the message.
  if (sought.length > 0) {
    tests.push((message) => {
      const line = lineOf(message);
      return sought.every((text) => line.includes(text));
    });
  }
  return (message) => tests.every((test) => test(message));
}
