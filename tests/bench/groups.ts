/**
 * The groups there are. A new one is a file like `core.ts`, and a line here.
 * @module
 */

import type { BenchmarkGroup } from "./benchmark.ts";
import { core } from "./core.ts";
import { dashboard } from "./dashboard.ts";
import { vfioUser } from "./vfio_user.ts";
import { vm } from "./vm.ts";

export const groups: readonly BenchmarkGroup[] = [core, vfioUser, dashboard, vm];
