/**
 * `deno task ok`: formatting, lint, types, documentation and unit tests, in
 * under a minute.
 * @module
 */

import { runGates, STATIC_GATES, UNIT_GATES } from "./gates.ts";

Deno.exit(await runGates([...STATIC_GATES, ...UNIT_GATES]));
