/**
 * The Worker of the lanes that need no socket.
 * @module
 */

import { serveLane } from "../subject.ts";
import { dmaLanes } from "./dma.ts";

serveLane(dmaLanes);
