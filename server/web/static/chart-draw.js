// Draws a chart as SVG. Colours come from chart.css, so that they follow the theme.

import { across, fittingMarks, largest, roundNumbers, upward } from "./chart-scale.js";

const SVG = "http://www.w3.org/2000/svg";
const TOP = 14;
const BOTTOM = 26;
const RIGHT = 10;
const LETTER = 7.5; // Width of a digit, in pixels, with some room.
const NARROW = 6.5; // Width of a letter without.
const HEADROOM = 1.04; // The highest bar stays below the edge.
const WIDE = 5; // Pixels of a bar that a line with a rim leaves to be seen.
const DOTTED = 40; // With no more buckets than this each point of the line is marked.

/** An SVG element. */
function make(name, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    element.setAttribute(key, typeof value === "number" ? String(Math.round(value * 100) / 100) : value);
  }
  element.textContent = text;
  return element;
}

/** Draw `data` in so many pixels; gives the picture and where its buckets are. */
export function draw(data, width, height) {
  const names = data.series.map((one) => one.name);
  const [low, high] = bounds(data, names);
  const numbers = roundNumbers(low, high * HEADROOM, Math.max(2, Math.floor(height / 48)));
  const widest = Math.max(...numbers.map((one) => Math.abs(one).toLocaleString("en").length));
  const left = widest * LETTER + 10;
  const space = { left, right: width - RIGHT, top: TOP, bottom: height - BOTTOM };
  const x = across(Date.parse(data.start), Date.parse(data.stop), left, space.right);
  const y = upward(numbers[0], numbers.at(-1), space.top, space.bottom);
  const columns = data.buckets.map((bucket) => ({
    from: x(Date.parse(bucket.start)),
    to: x(Date.parse(bucket.stop)),
    bucket,
  }));
  const svg = make("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  svg.append(hatch(), ...unobserved(data, x, space), ...grid(numbers, y, data, x, space));
  if (names.includes("peak")) {
    svg.append(...(data.steps ? stairs(data, x, y) : bars(columns, y, "peak", 0, 1)));
    svg.append(...averages(columns, y, x(Date.parse(data.now))));
  } else {
    svg.append(...passed(columns, y, names));
  }
  svg.append(make("line", { class: "zero", x1: left, x2: space.right, y1: y(0), y2: y(0) }));
  svg.append(...present(data, x, space));
  return { svg, columns, space };
}

/** What the numbers lie between. */
function bounds(data, names) {
  if (names.includes("peak")) {
    const counts = (data.steps ?? []).map((step) => step.count ?? 0);
    return [0, largest(data.buckets, ["peak"], counts.reduce((a, b) => Math.max(a, b), 1))];
  }
  const directed = names.includes("in");
  return [directed ? -largest(data.buckets, ["out"], 1) : 0, largest(data.buckets, ["passed", "in"], 1)];
}

/** Stripes for what nobody observed. */
function hatch() {
  const pattern = make("pattern", {
    id: "chart-hatch",
    width: 7,
    height: 7,
    patternUnits: "userSpaceOnUse",
    patternTransform: "rotate(45)",
  });
  pattern.append(make("rect", { class: "hatch-line", width: 2.5, height: 7 }));
  const defs = make("defs");
  defs.append(pattern);
  return defs;
}

function unobserved(data, x, space) {
  return data.unobserved.map((gap) => {
    const from = x(Date.parse(gap.start));
    return make("rect", {
      class: "unobserved",
      fill: "url(#chart-hatch)",
      x: from,
      y: space.top,
      width: Math.max(1, x(Date.parse(gap.stop)) - from),
      height: space.bottom - space.top,
    });
  });
}

function grid(numbers, y, data, x, space) {
  const across_ = numbers.flatMap((one) => [
    make("line", { class: "grid", x1: space.left, x2: space.right, y1: y(one), y2: y(one) }),
    make("text", { class: "number", x: space.left - 6, y: y(one) + 4 }, Math.abs(one).toLocaleString("en")),
  ]);
  const along = fittingMarks(data.ticks, x).flatMap((mark) => [
    make("line", {
      class: mark.strong ? "grid strong" : "grid",
      x1: mark.x,
      x2: mark.x,
      y1: space.top,
      y2: space.bottom + 4,
    }),
    make("text", { class: anchor(mark, space), x: mark.x, y: space.bottom + 18 }, mark.label),
  ]);
  return [...across_, ...along];
}

/** Labels at the ends lean inwards, so that they are not cut off. */
function anchor(mark, space) {
  const half = (mark.label.length * NARROW) / 2;
  if (mark.x + half > space.right + 8) {
    return "time last";
  }
  return mark.x - half < 0 ? "time first" : "time";
}

/** What passed: bars up for in, down for out, beside them the passes through zones, and a line for the net. */
function passed(columns, y, names) {
  if (!names.includes("in")) {
    return bars(columns, y, "passed", 0, 1);
  }
  const both = names.includes("passed");
  return [
    ...(both ? bars(columns, y, "passed", 0, 0.45) : []),
    ...bars(columns, y, "in", both ? 0.45 : 0, 1),
    ...bars(columns, y, "out", both ? 0.45 : 0, 1, -1),
    ...netLine(columns, y),
  ];
}

/** Bars of one series, between two shares of each bucket's width. */
function bars(columns, y, name, from, to, sign = 1) {
  return columns
    .filter(({ bucket }) => bucket[name])
    .map((column) => {
      const wide = column.to - column.from;
      const gap = wide > 8 ? 1.5 : wide > 3 ? 0.5 : 0;
      const value = y(sign * column.bucket[name]);
      return make("rect", {
        class: `bar ${name}`,
        x: column.from + wide * from + gap / 2,
        width: Math.max(0.8, wide * (to - from) - gap),
        y: Math.min(value, y(0)),
        height: Math.abs(value - y(0)),
      });
    });
}

function netLine(columns, y) {
  const parts = [];
  const dots = new Map();
  let pen = "M";
  for (const { from, to, bucket } of columns) {
    if (bucket.net === null) {
      pen = "M";
      continue;
    }
    const point = [(from + to) / 2, y(bucket.net)];
    parts.push(`${pen}${point.map((one) => one.toFixed(1)).join(" ")}`);
    dots.set(bucket, make("circle", { class: "net-dot", cx: point[0], cy: point[1], r: 2.5 }));
    pen = "L";
  }
  const line = make("path", { class: "net", d: parts.join("") });
  return [...rim(columns, line), line, ...(columns.length <= DOTTED ? dots.values() : alone(columns, dots))];
}

/** Space around a line, so that it can be told from bars it crosses; none where it would hide them. */
function rim(columns, line) {
  const wide = columns[0].to - columns[0].from >= WIDE;
  return wide ? [make("path", { class: "rim", d: line.getAttribute("d") })] : [];
}

/** A point between two gaps is no line: it has to be marked to be seen. */
function alone(columns, dots) {
  const known = (column) => column !== undefined && column.bucket.net !== null;
  return columns
    .filter((column, i) => known(column) && !known(columns[i - 1]) && !known(columns[i + 1]))
    .map((column) => dots.get(column.bucket));
}

/** How many were there, change by change. */
function stairs(data, x, y) {
  const lines = [];
  const areas = [];
  let begun = null;
  data.steps.forEach((step, i) => {
    const here = x(Date.parse(step.at));
    if (step.count === null) {
      if (begun !== null) {
        areas.push(`V${y(0).toFixed(1)}H${begun.toFixed(1)}Z`);
      }
      begun = null;
      return;
    }
    const level = y(step.count).toFixed(1);
    const end = x(Date.parse(data.steps[i + 1]?.at ?? data.stop)).toFixed(1);
    const start = begun === null ? `M${here.toFixed(1)} ${level}` : `V${level}`;
    begun ??= here;
    lines.push(`${start}H${end}`);
    areas.push(`${start}H${end}`);
  });
  return [
    make("path", { class: "people-area", d: areas.join("") }),
    make("path", { class: "people", d: lines.join("") }),
  ];
}

/** The averages as a staircase; that of a bucket that is not over goes up to the present. */
function averages(columns, y, now) {
  let pen = "M";
  const d = columns.map(({ from, to, bucket }) => {
    if (bucket.average === null) {
      pen = "M";
      return "";
    }
    const level = y(bucket.average).toFixed(1);
    const part = `${pen === "M" ? `M${from.toFixed(1)} ${level}` : `V${level}`}H${Math.min(to, now).toFixed(1)}`;
    pen = "V";
    return part;
  });
  const line = make("path", { class: "average", d: d.join("") });
  return [...rim(columns, line), line];
}

/** A line where the present is. */
function present(data, x, space) {
  if (!data.running) {
    return [];
  }
  const here = x(Date.parse(data.now));
  const late = here > space.right - 40;
  return [
    make("line", { class: "now", x1: here, x2: here, y1: space.top - 4, y2: space.bottom }),
    make(
      "text",
      { class: late ? "now-text last" : "now-text", x: here + (late ? -4 : 4), y: space.top - 3 },
      "now",
    ),
  ];
}

/** The band behind the bucket that is looked at. */
export function band(column, space) {
  return make("rect", {
    class: "band",
    x: column.from,
    y: space.top,
    width: Math.max(2, column.to - column.from),
    height: space.bottom - space.top,
  });
}
