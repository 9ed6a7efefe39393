// The main chart: uPlot for axes and lines, `ahead.ts` for what is right of now.  Knows the DOM, not the socket.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { aheadOf, drawBand, drawFan, drawGaps, drawNow, type Ahead } from "./ahead";
import { roundExtent, widen, type Extent } from "./extent";
import { clock, date, day, decimalsFor, number, year, type Zone } from "./format";
import type { Line } from "./lines";
import { linePath } from "./paths";
import type { Plot, Scene } from "./scene";
import type { Look } from "./theme";

const AXIS_PX = 56;
const RIGHT_PX = 16;
const RIGHT_SHARE = 0.25; // of the width, for axes on the right

export interface Chart {
  draw(scene: Scene, lines: Line[], look: Look): void;
  resize(): void;
  forget(): void; // the scales of the stream before
  readonly plot: Plot;
  readonly canvas: HTMLCanvasElement | null;
}

export function createChart(host: HTMLElement): Chart {
  let u: uPlot | null = null;
  let built: { lines: Line[]; look: Look; zone: Zone } | null = null;
  let scene: Scene;
  let ahead: Ahead | null = null;
  let extents = new Map<string, Extent>();

  function build(lines: Line[], look: Look, zone: Zone): uPlot {
    const main = lines.at(-1)!.choice;
    const scaleOf = ({ choice }: Line) =>
      choice.unit === main.unit ? "y" : choice.unit === "" ? choice.id : `unit ${choice.unit}`;
    // Each further scale has an axis on the right, as far as there is room: it is named by its unit, and if one line
    // alone uses it, in that line's colour.
    const others = [...new Set(lines.map(scaleOf))].filter((key) => key !== "y").reverse();
    const right = others.slice(0, Math.max(1, Math.floor((host.clientWidth * RIGHT_SHARE) / AXIS_PX)));
    const colourOf = (key: string) => {
      const users = lines.filter((line) => scaleOf(line) === key);
      return new Set(users.map(({ choice }) => choice)).size === 1 ? users[0].colour : look.soft;
    };
    const unitOf = (key: string) => {
      const { unit, name } = lines.find((line) => scaleOf(line) === key)!.choice;
      return unit === "" ? name : unit;
    };
    const font = `11px ${look.font}`;
    const axis = { stroke: look.soft, font, ticks: { show: false }, grid: { stroke: look.rule, width: 1 } };
    const value = (key: string, unit: string, side: 1 | 3, stroke = look.soft): uPlot.Axis => ({
      ...axis,
      stroke,
      scale: key,
      side,
      size: AXIS_PX,
      gap: 6,
      values: (_, splits) => axisTexts(splits, unit),
      grid: { ...axis.grid, show: side === 3 },
      space: 36,
    });
    const options: uPlot.Options = {
      width: host.clientWidth,
      height: host.clientHeight,
      pxAlign: 0,
      cursor: { show: false },
      legend: { show: false },
      select: { show: false, left: 0, top: 0, width: 0, height: 0 },
      padding: [8, right.length > 0 ? 0 : RIGHT_PX, 0, 0],
      tzDate: (seconds) =>
        zone === "utc" ? uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC") : new Date(seconds * 1000),
      scales: Object.fromEntries([
        ["x", { time: true, auto: false }],
        ...["y", ...others].map((key) => [key, { auto: false }]),
      ]),
      axes: [
        { ...axis, size: 36, gap: 6, space: 72, values: (_, splits, __, ___, step) => timeTexts(splits, step, zone) },
        value("y", main.unit, 3),
        ...right.map((key) => value(key, unitOf(key), 1, colourOf(key))),
      ],
      series: [
        {},
        ...lines.map((line) => ({
          scale: scaleOf(line),
          stroke: line.colour,
          dash: line.dash,
          width: 1,
          auto: false,
          paths: linePath(() => scene),
          points: { show: false },
        })),
      ],
      hooks: {
        drawAxes: [
          (self) => {
            drawGaps(self, scene, look);
            if (ahead !== null) drawBand(self, ahead, scene.now, newestValue(lines), look);
          },
        ],
        draw: [
          (self) => {
            if (ahead !== null) drawFan(self, ahead, scene.now, newestValue(lines), look);
            drawNow(self, scene.now, look);
          },
        ],
      },
    };
    return new uPlot(
      options,
      [new Float64Array(0), ...lines.map(() => new Float32Array(0))] as uPlot.AlignedData,
      host,
    );
  }

  function newestValue(lines: Line[]): number {
    return scene.series.at(lines.at(-1)!.choice.column(scene.series), scene.newest);
  }

  function scalesFor(chart: uPlot, lines: Line[], columns: Float32Array[]): void {
    const found = new Map<string, Extent>();
    lines.forEach((_, index) => {
      const key = chart.series[index + 1].scale!;
      const extent = found.get(key) ?? { min: Infinity, max: -Infinity };
      widen(extent, columns[index]);
      found.set(key, extent);
    });
    const main = found.get("y")!;
    if (ahead !== null && scene.max > scene.now && scene.min < scene.now) {
      for (const column of [ahead.mean, ahead.lower, ahead.upper]) widen(main, column);
    }
    for (const [key, extent] of found) {
      const rounded = roundExtent(extent, extents.get(key));
      extents.set(key, rounded);
      chart.setScale(key, rounded);
    }
  }

  return {
    draw(shown, lines, look) {
      scene = shown;
      if (built === null || built.lines !== lines || built.look !== look || built.zone !== shown.zone) {
        u?.destroy();
        built = { lines, look, zone: shown.zone };
        extents = new Map();
        u = build(lines, look, shown.zone);
      }
      const chart = u!;
      const { series, from, to } = shown;
      const main = lines.at(-1)!.choice;
      ahead = aheadOf(series, shown.kind.roles.fans.get(main.channel), shown.newest);
      const columns = lines.map((line) => series.view(line.column(series), from, to));
      chart.batch(() => {
        chart.setData([series.view(series.axis, from, to), ...columns] as uPlot.AlignedData, false);
        chart.setScale("x", { min: shown.min, max: shown.max });
        scalesFor(chart, lines, columns);
      });
    },
    resize() {
      u?.setSize({ width: host.clientWidth, height: host.clientHeight });
    },
    forget() {
      extents = new Map();
    },
    get plot() {
      const ratio = uPlot.pxRatio;
      return u === null ? { left: 0, width: 1 } : { left: u.bbox.left / ratio, width: u.bbox.width / ratio };
    },
    get canvas() {
      return u?.ctx.canvas ?? null;
    },
  };
}

/** Round numbers, the topmost with the unit under it. */
function axisTexts(splits: number[], unit: string): string[] {
  const step = splits.length > 1 ? Math.abs(splits[1] - splits[0]) : 1;
  const exact = (decimals: number) => Math.abs(step * 10 ** decimals - Math.round(step * 10 ** decimals)) < 1e-6;
  const decimals = [0, 1, 2, 3, 4, 5].find(exact) ?? 6;
  const size = Math.max(...splits.map(Math.abs));
  const texts = splits.map((value) => number(value, size >= 1e7 ? decimalsFor(size) : decimals));
  if (unit !== "" && texts.length > 0) texts.push(`${texts.pop()}\n${unit}`);
  return texts;
}

/** Time of day, and under it the day where it changes; or the day, and under it the year. */
function timeTexts(splits: number[], step: number, zone: Zone): string[] {
  const days = step >= 86_400;
  let before = "";
  return splits.map((seconds) => {
    const [upper, lower] = days
      ? [day(seconds, zone), year(seconds, zone)]
      : [clock(seconds, zone, step), date(seconds, zone)];
    const changed = lower !== before;
    before = lower;
    return changed ? `${upper}\n${lower}` : upper;
  });
}
