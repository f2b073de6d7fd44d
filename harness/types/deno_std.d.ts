/**
 * Types of what we use from npm's `deno-std`, which carries Deno's standard
 * library as JavaScript. The aliases in `deno.json` are those of JSR, so that a
 * switch to it is a change of aliases alone.
 */

declare module "@std/assert" {
  export class AssertionError extends Error {}
  export function assert(value: unknown, message?: string): asserts value;
  export function assertAlmostEquals(
    actual: number,
    expected: number,
    tolerance?: number,
    message?: string,
  ): void;
  export function assertEquals<T>(actual: T, expected: NoInfer<T>, message?: string): void;
  export function assertNotEquals<T>(actual: T, expected: NoInfer<T>, message?: string): void;
  export function assertStrictEquals<T>(
    actual: unknown,
    expected: T,
    message?: string,
  ): asserts actual is T;
  export function assertExists<T>(actual: T, message?: string): asserts actual is NonNullable<T>;
  export function assertGreater<T>(actual: T, limit: T, message?: string): void;
  export function assertGreaterOrEqual<T>(actual: T, limit: T, message?: string): void;
  export function assertLess<T>(actual: T, limit: T, message?: string): void;
  export function assertLessOrEqual<T>(actual: T, limit: T, message?: string): void;
  export function assertMatch(actual: string, pattern: RegExp, message?: string): void;
  export function assertStringIncludes(actual: string, part: string, message?: string): void;
  export function assertObjectMatch(
    actual: object,
    expected: Record<PropertyKey, unknown>,
    message?: string,
  ): void;
  // deno-lint-ignore no-explicit-any
  type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;
  export function assertInstanceOf<E extends object>(
    actual: unknown,
    // deno-lint-ignore no-explicit-any
    type: abstract new (...args: any[]) => E,
    message?: string,
  ): asserts actual is E;
  export function assertThrows(body: () => unknown, message?: string): unknown;
  export function assertThrows<E extends Error>(
    body: () => unknown,
    errorClass: ErrorClass<E>,
    includes?: string,
    message?: string,
  ): E;
  export function assertRejects(body: () => PromiseLike<unknown>): Promise<unknown>;
  export function assertRejects<E extends Error>(
    body: () => PromiseLike<unknown>,
    errorClass: ErrorClass<E>,
    includes?: string,
    message?: string,
  ): Promise<E>;
  export function fail(message?: string): never;
}

declare module "@std/fmt/colors" {
  export function setColorEnabled(enabled: boolean): void;
  export function getColorEnabled(): boolean;
  export function bold(text: string): string;
  export function dim(text: string): string;
  export function red(text: string): string;
  export function green(text: string): string;
  export function yellow(text: string): string;
  export function blue(text: string): string;
  export function cyan(text: string): string;
  export function gray(text: string): string;
  export function stripAnsiCode(text: string): string;
}

declare module "@std/path" {
  export function basename(path: string, suffix?: string): string;
  export function dirname(path: string): string;
  export function extname(path: string): string;
  export function fromFileUrl(url: string | URL): string;
  export function isAbsolute(path: string): boolean;
  export function join(...parts: string[]): string;
  export function relative(from: string, to: string): string;
  export function resolve(...parts: string[]): string;
  export function toFileUrl(path: string): URL;
}
