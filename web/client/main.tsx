/// <reference lib="dom" />
/**
 * The page starts here.
 * @module
 */

import { render } from "preact";
import { App } from "./app.tsx";
import { applyTheme, theme } from "./charts/palette.ts";
import { forgetColors } from "./components/timeline.tsx";
import { takeToken } from "./state/request.ts";
import { start } from "./state/store.ts";

takeToken();
applyTheme();
theme.subscribe(forgetColors);
start();
render(<App />, document.getElementById("app")!);
