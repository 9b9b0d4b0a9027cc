// A line chart in SVG, with its values as text and as a table.

import { SPAN } from "./history.js";
import { clock, el, say, svg } from "./text.js";

const HEIGHT = 124;
const TOP = 16;
const BOTTOM = 18;

/** How much time is drawn: as much as is known. In milliseconds, with names for the
 * start and the middle. */
const SPANS = [
  [60_000, "1 min ago", "30 s"],
  [120_000, "2 min ago", "1 min"],
  [SPAN, "5 min ago", "2½ min"],
];

/** How far apart the rows of the table are, in milliseconds. */
const ROW = 15 * 1000;

export class Chart {
  #options;
  #points = [];
  #marks = [];
  #hover = null;

  /**
   * `title`; `format`: a value as text; `least`: the smallest top of the scale;
   * `base`: 2 if round numbers are powers of two; `series`: `{key, label, area}`,
   * drawn in this order. One alone needs no label.
   */
  constructor(options) {
    this.#options = options;
    this.values = options.series.map(({ label }, at) => el("dd", { class: `s${at}` }, "–"));
    const legend = options.series.map(({ label }, at) => el("div", {}, el("dt", { class: label ? `s${at}` : "alone" }, label || options.title), this.values[at]));
    this.time = el("span", { class: "time" });
    this.svg = svg("svg", { role: "img", height: HEIGHT });
    this.body = el("tbody");
    const head = el("tr", {}, el("th", { scope: "col" }, "Time"), ...options.series.map(({ label }) => el("th", { scope: "col" }, label || options.title)));
    this.details = el(
      "details",
      { ontoggle: () => this.#table() },
      el("summary", {}, "Values"),
      el("table", {}, el("caption", {}, options.title), el("thead", {}, head), this.body),
    );
    this.figure = el(
      "figure",
      { class: "card chart", id: `chart-${options.id}` },
      el("figcaption", {}, el("h2", {}, options.title), this.time, el("dl", {}, ...legend)),
      this.svg,
      this.details,
    );
    this.svg.addEventListener("pointermove", (event) => this.#point(event));
    this.svg.addEventListener("pointerleave", () => this.#point(null));
    new ResizeObserver(() => this.#draw()).observe(this.figure);
  }

  /** Shows these points, of which the last is now. */
  show(points, marks) {
    [this.#points, this.#marks] = [points, marks];
    this.#draw();
    this.#table();
  }

  #point(event) {
    const width = this.svg.clientWidth;
    this.#hover = event && width ? event.offsetX / width : null;
    this.#draw();
  }

  #draw() {
    const width = this.svg.clientWidth;
    const last = this.#points.at(-1);
    if (!width || !last) return;
    const { series, format, least, base } = this.#options;
    const known = last.t - this.#points[0].t;
    const [span, start, middle] = SPANS.find(([most]) => known < most) ?? SPANS.at(-1);
    const seen = this.#points.filter((point) => point.t > last.t - span);
    const values = seen.flatMap((point) => series.map(({ key }) => point[key] ?? 0));
    const top = nice(Math.max(least, ...values), base);
    const x = (t) => width - ((last.t - t) / span) * width;
    const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
    const parts = [];
    for (const share of [0, 0.5, 1]) {
      const at = Math.round(y(top * share)) + 0.5;
      parts.push(svg("line", { class: "grid", x1: 0, x2: width, y1: at, y2: at }));
      if (share) parts.push(svg("text", { x: 0, y: at - 3 }, format(top * share)));
    }
    for (const [t, text, anchor] of [[span, start, "start"], [span / 2, middle, "middle"], [0, "now", "end"]]) {
      parts.push(svg("text", { x: x(last.t - t), y: HEIGHT - 4, "text-anchor": anchor }, text));
    }
    for (const { t, what } of this.#marks.filter((mark) => mark.t > last.t - span)) {
      const at = Math.round(x(t)) + 0.5;
      parts.push(svg("line", { class: "mark", x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM }));
      parts.push(svg("text", { class: "mark", x: at - 4, y: TOP + 8, "text-anchor": "end" }, what));
    }
    series.forEach(({ key, area }, at) => {
      for (const run of runs(seen, key)) {
        const path = run.map((point, index) => `${index ? "L" : "M"}${x(point.t).toFixed(1)} ${y(point[key]).toFixed(1)}`).join("");
        const [from, to] = [x(run[0].t), x(run.at(-1).t)];
        if (area) parts.push(svg("path", { class: `area s${at}`, d: `${path}L${to} ${y(0)}L${from} ${y(0)}Z` }));
        parts.push(svg("path", { class: `line s${at}`, d: run.length > 1 ? path : `${path}h1` }));
      }
    });
    const shown = this.#hover === null ? last : nearest(seen, last.t - (1 - this.#hover) * span);
    if (shown !== last) parts.push(svg("line", { class: "hover", x1: x(shown.t), x2: x(shown.t), y1: TOP, y2: HEIGHT - BOTTOM }));
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.replaceChildren(...parts);
    say(this.time, shown === last ? "" : clock(shown.t));
    this.#say(shown, seen, start);
  }

  #say(shown, seen, start) {
    const { series, format, title } = this.#options;
    const texts = series.map(({ key }) => (shown[key] === undefined ? "–" : format(shown[key])));
    texts.forEach((text, at) => say(this.values[at], text));
    const now = series.map(({ label }, at) => `${label} ${texts[at]}`.trim()).join(", ");
    const first = seen.map((point) => point[series[0].key]).filter((value) => value !== undefined);
    const range = first.length ? `; ${series[0].label || "it was"} between ${format(Math.min(...first))} and ${format(Math.max(...first))}` : "";
    this.svg.setAttribute("aria-label", `${title}: ${now}${range} since ${start}`);
  }

  #table() {
    if (!this.details.open) return;
    const { series, format } = this.#options;
    const rows = [];
    let next = Infinity;
    for (const point of this.#points.toReversed()) {
      if (point.t > next) continue;
      next = point.t - ROW;
      const cells = series.map(({ key }) => el("td", {}, point[key] === undefined ? "–" : format(point[key])));
      rows.push(el("tr", {}, el("th", { scope: "row" }, clock(point.t)), ...cells));
    }
    this.body.replaceChildren(...rows);
  }
}

/** The points between which a line is drawn. */
function runs(points, key) {
  const runs = [];
  for (const point of points) {
    if (point[key] === undefined) runs.push([]);
    else if (point.gap || !runs.length) runs.push([point]);
    else runs.at(-1).push(point);
  }
  return runs.filter((run) => run.length);
}

function nearest(points, t) {
  return points.reduce((best, point) => (Math.abs(point.t - t) < Math.abs(best.t - t) ? point : best));
}

/** A round number that is no smaller. */
function nice(value, base) {
  if (base === 2) return 2 ** Math.ceil(Math.log2(value));
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].find((step) => step * power >= value) * power;
}
