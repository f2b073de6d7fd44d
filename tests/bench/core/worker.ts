/**
 * The Worker of the core's lanes.
 * @module
 */

import { serveLane } from "../subject.ts";
import { copyLanes } from "./copy.ts";
import { mappingLanes } from "./mapping.ts";
import { translateLanes } from "./translate.ts";

serveLane({ ...translateLanes, ...copyLanes, ...mappingLanes });
