/**
 * The HTML round the page's code. The client renders into `<div id="app">`.
 * @module
 */

import type { Bundle } from "./bundle.ts";

/** A dot, so that browsers do not ask for /favicon.ico. */
const ICON = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E" +
  "%3Cpath d='M1 14V6a7 7 0 0 1 14 0v8h-3V7a4 4 0 0 0-8 0v7z' fill='%230072b2'/%3E%3C/svg%3E";

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

function html(head: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light">
<title>Viaduct</title>
<link rel="icon" href="${ICON}">
${head}</head>
<body>
${body}
</body>
</html>
`;
}

/** The page. */
export function pageHtml({ script, style }: Bundle): string {
  const sheet = style === null ? "" : `<link rel="stylesheet" href="${style.path}">\n`;
  return html(
    `${sheet}<script type="module" src="${script.path}"></script>\n`,
    `<div id="app"></div>
<noscript><p>This page needs JavaScript. Its numbers are at <a href="/api/state">/api/state</a> and
<a href="/metrics">/metrics</a>.</p></noscript>`,
  );
}

/** What is shown when the page could not be made. */
export function failureHtml(reason: string): string {
  return html(
    "",
    `<h1>The dashboard's page could not be made</h1>
<pre>${escape(reason)}</pre>
<p>The numbers are at <a href="/api/state">/api/state</a> and <a href="/metrics">/metrics</a>.</p>`,
  );
}
