import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { data } from "../numbers.ts";
import { barChart } from "./bar_chart.ts";
import { dotPlot, type DotRow } from "./dot_plot.ts";
import { linearScale } from "./scale.ts";
import { marker } from "./svg.ts";

const HOSTILE = `</title></svg><img src=x onerror=alert(1)>"'`;

function plot(rows: readonly DotRow[], series: readonly string[] = ["one", "two"]): string {
  return dotPlot({
    id: "chart",
    heading: "Heading",
    summary: "Summary.",
    series,
    rows,
    scale: linearScale(100),
    format: (value) => `${value} %`,
    cell: (value) => data(value, `${value} %`),
    nameHead: "Name",
  }).text;
}

Deno.test("dotPlot() has a heading, its summary as the picture's name, and its numbers as a table", () => {
  const text = plot([{ name: "a", dots: [{ value: 25 }, null] }]);
  assertStringIncludes(text, '<h3 id="chart">Heading</h3>');
  assertStringIncludes(text, 'role="img" aria-label="Heading. Summary."');
  assertStringIncludes(
    text,
    `<th scope="row">a</th><td><data value="25">25 %</data></td><td>–</td>`,
  );
  // 2 % of the width stay free at either end.
  assertStringIncludes(text, 'x="26%"');
  assertEquals(
    text.match(/class="mark color-0"/g)!.length,
    2,
    "one in the plot, one in the legend",
  );
});

Deno.test("dotPlot() draws the range of repeats, and none where all were alike", () => {
  const ranged = plot([{ name: "a", dots: [{ value: 50, range: { min: 0, max: 100 } }, null] }]);
  assert(/class="range color-0" x1="2%" x2="98%"/.test(ranged), ranged);
  const alike = plot([{ name: "a", dots: [{ value: 50, range: { min: 50, max: 50 } }, null] }]);
  assert(!alike.includes('class="range'));
});

Deno.test("dotPlot() draws 20 lines, lists 200, and says what it leaves out", () => {
  const rows = Array.from({ length: 250 }, (_, at) => ({
    name: `name-${at}`,
    dots: [{ value: 1 }, null],
  }));
  const text = plot(rows);
  assertEquals(text.match(/class="track"/g)!.length, 20);
  assertEquals(text.match(/scope="row"/g)!.length, 200);
  assertStringIncludes(text, "The picture shows the first 20 of 250.");
  assertStringIncludes(text, "50 rows more left out");
});

Deno.test("dotPlot() and barChart() hold names as text", () => {
  const dots = plot([{ name: HOSTILE, dots: [{ value: 1 }, null] }], [HOSTILE, "two"]);
  const bars = barChart({
    id: "chart",
    heading: HOSTILE,
    summary: HOSTILE,
    series: [HOSTILE],
    rows: [{ name: HOSTILE, parts: [1] }],
    nameHead: HOSTILE,
  }).text;
  for (const text of [dots, bars]) {
    assert(!text.includes("<img"), text);
    assertStringIncludes(text, "&lt;img");
  }
});

Deno.test("barChart() puts the parts of a bar behind one another, and leaves out empty ones", () => {
  const text = barChart({
    id: "chart",
    heading: "Heading",
    summary: "Summary.",
    series: ["passed", "failed", "other"],
    rows: [{ name: "a", parts: [20, 0, 20] }, { name: "b", parts: [0, 10, 0] }],
    nameHead: "Name",
  }).text;
  const bars = [...text.matchAll(/class="bar (fill-\d)" x="([\d.]+%)" y="\d+" width="([\d.]+%)"/g)]
    .map(([, fill, x, width]) => [fill, x, width]);
  assertEquals(bars, [["fill-0", "2%", "48%"], ["fill-2", "50%", "48%"], ["fill-1", "2%", "24%"]]);
  assertStringIncludes(text, '<text class="tick last" x="98%" y="91">40</text>');
});

Deno.test("marker() makes no two of 40 series look alike", () => {
  const looks = Array.from({ length: 40 }, (_, series) => marker(series, "0", 0).text);
  assertEquals(new Set(looks).size, 40);
});
