/**
 * Ends a server process with the process that started it: stdin ends then. In a thread of its
 * own, since a device may keep the other one busy for ever. The worker's name is the directory
 * of the process's sockets.
 * @module
 */

import { readUntilParentEnds } from "../child/parent_input.ts";
import { removeDirectory } from "../folder/remove_directory.ts";

readUntilParentEnds(() => {}, () => removeDirectory(self.name));
