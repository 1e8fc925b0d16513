// What zones and lines must be, in the server's rules and the server's words (server/domain/geometry.py and
// shapes.py). tests/domain/shapes.json holds both sides to the same verdicts.
// Points are [x, y] in fractions of the picture, 0..1, origin top left, y down.

export const MAX_SHAPES = 50;
export const MAX_POINTS = 100;
export const NAME_LENGTH = 40;
export const SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/u;

class Problem extends Error {
  /** edges: indices of two edges that cross; point: index of the point that is wrong. */
  constructor(text, { edges = null, point = null } = {}) {
    super(text);
    this.edges = edges;
    this.point = point;
  }
}

// --- Geometry -------------------------------------------------------------------------------------------

/** Twice the signed area of a, b, p: above 0 if p is to the right of a→b as seen on screen. */
export function side(a, b, p) {
  return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]);
}

export function segmentsCross(a, b, c, d) {
  const d1 = side(c, d, a), d2 = side(c, d, b), d3 = side(a, b, c), d4 = side(a, b, d);
  if (d1 === 0 && d2 === 0) {
    return false;
  }
  return d1 * d2 <= 0 && d3 * d4 <= 0;
}

export function crossingEdges(points) {
  const n = points.length;
  for (let i = 0; i < n; i++) {
    for (let j = i + 2; j < n; j++) {
      const neighbours = i === 0 && j === n - 1;
      if (!neighbours && segmentsCross(points[i], points[(i + 1) % n], points[j], points[(j + 1) % n])) {
        return [i, j];
      }
    }
  }
  return null;
}

export function area(points) {
  const n = points.length;
  const twice = points.reduce((sum, [x, y], i) => sum + x * points[(i + 1) % n][1] - points[(i + 1) % n][0] * y, 0);
  return Math.abs(twice) / 2;
}

export function contains(points, [x, y]) {
  let inside = false;
  points.forEach(([bx, by], i) => {
    const [ax, ay] = points.at(i - 1);
    if ((by > y) !== (ay > y) && x < ax + ((y - ay) / (by - ay)) * (bx - ax)) {
      inside = !inside;
    }
  });
  return inside;
}

/** Distance of p from the segment a-b, in whatever unit they are given in. */
export function distanceToSegment(p, a, b) {
  const length = (b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2;
  const along = length === 0 ? 0 : ((p[0] - a[0]) * (b[0] - a[0]) + (p[1] - a[1]) * (b[1] - a[1])) / length;
  const t = Math.max(0, Math.min(1, along));
  return Math.hypot(p[0] - a[0] - t * (b[0] - a[0]), p[1] - a[1] - t * (b[1] - a[1]));
}

/** The direction, one unit long, that is "in" for a line: its left-hand side, walking from a to b. */
export function inward(a, b) {
  const length = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
  return [(b[1] - a[1]) / length, -(b[0] - a[0]) / length];
}

export const round = (value) => Math.round(value * 10_000) / 10_000;

/** A point kept in the picture; one closer to its border than `near` ([x, y], fractions) is put onto it. */
export function snapped(point, near) {
  return point.map((value, axis) => {
    const kept = Math.max(0, Math.min(1, value));
    return kept < near[axis] ? 0 : kept > 1 - near[axis] ? 1 : round(kept);
  });
}

// --- Rules ----------------------------------------------------------------------------------------------

/** One zone or line as JSON has it. Gives {name, points}; throws Problem with the server's sentence. */
export function parse(noun, value) {
  const { name, points } = parseShape(noun, value);
  return noun === "line" ? parseLine(name, points) : parseZone(name, points);
}

function parseZone(name, given) {
  const last = given.length - 1;
  const closed = last > 0 && given[0][0] === given[last][0] && given[0][1] === given[last][1];
  const points = closed ? given.slice(0, -1) : given;
  if (points.length < 3) {
    throw new Problem("a zone needs at least three points");
  }
  if (points.length > MAX_POINTS) {
    throw new Problem(`a zone has at most ${MAX_POINTS} points, not ${points.length}`);
  }
  const crossing = crossingEdges(points);
  if (crossing) {
    const [i, j] = crossing;
    throw new Problem(`edges ${i + 1} and ${j + 1} of the zone cross; give its points in order around it`, {
      edges: crossing,
    });
  }
  if (area(points) < 1e-6) {
    throw new Problem("the zone has no area; its points lie on one line");
  }
  return { name, points };
}

function parseLine(name, points) {
  if (points.length !== 2) {
    throw new Problem(`a line needs exactly two points, not ${points.length}`);
  }
  if (Math.hypot(points[1][0] - points[0][0], points[1][1] - points[0][1]) < 1e-6) {
    throw new Problem("the two points of a line must differ");
  }
  return { name, points };
}

function parseShape(noun, value) {
  let name = "";
  if (isObject(value)) {
    const unknown = Object.keys(value).filter((key) => key !== "name" && key !== "points").sort();
    if (unknown.length) {
      throw new Problem(`a ${noun} has a name and points, and nothing called ${shown(unknown[0])}`);
    }
    name = parseName(Object.hasOwn(value, "name") ? value.name : "");
    value = value.points;
  }
  if (!Array.isArray(value)) {
    throw new Problem(`a ${noun} is a list of points, each [x, y], or {"name": "…", "points": [[x, y], …]}`);
  }
  return { name, points: value.map(parsePoint) };
}

export function cleanName(text) {
  return text.split(SPACE).filter(Boolean).join(" ");
}

function parseName(value) {
  if (typeof value !== "string") {
    throw new Problem(`a name is text, not ${shown(value)}`);
  }
  const name = cleanName(value);
  if ([...name].length > NAME_LENGTH) {
    throw new Problem(`a name of ${[...name].length} characters is too long; ${NAME_LENGTH} fit`);
  }
  if (/[\p{C}\p{Z}]/u.test(name.replaceAll(" ", ""))) {
    throw new Problem("the name contains a character that cannot be shown");
  }
  return name;
}

function parsePoint(value, index) {
  const at = { point: index };
  if (!Array.isArray(value) || value.length !== 2) {
    throw new Problem(`point ${index + 1}: a point is [x, y], not ${shown(value)}`, at);
  }
  for (const part of value) {
    if (typeof part !== "number") {
      throw new Problem(`point ${index + 1}: a coordinate is a number, not ${shown(part)}`, at);
    }
    if (!(part >= 0 && part <= 1)) {
      const outside = `${shown(part)} lies outside the picture`;
      throw new Problem(`point ${index + 1}: ${outside}: coordinates are fractions from 0 to 1`, at);
    }
  }
  return value;
}

/**
 * Everything that is wrong with the zones and lines (lists as JSON has them), in the server's order:
 * [{field, index, text, edges, point}], index null where it is the list itself.
 */
export function problems(zones, lines) {
  const found = [], sound = [];
  for (const [field, noun, values] of [["zones", "zone", zones], ["lines", "line", lines]]) {
    if (!Array.isArray(values)) {
      found.push({ field, index: null, text: "a list" });
      continue;
    }
    if (values.length > MAX_SHAPES) {
      found.push({ field, index: null, text: `at most ${MAX_SHAPES} fit, not ${values.length}` });
    }
    values.forEach((value, index) => {
      try {
        sound.push({ field, index, own: `${noun} ${index + 1}`, name: parse(noun, value).name });
      } catch (error) {
        if (!(error instanceof Problem)) {
          throw error;
        }
        found.push({ field, index, text: error.message, edges: error.edges, point: error.point });
      }
    });
  }
  return [...found, ...nameClashes(sound)];
}

function nameClashes(shapes) {
  const first = new Map(), found = [];
  for (const { field, index, own, name } of shapes.filter((shape) => shape.name)) {
    if (name !== own && /^(zone|line) [1-9][0-9]*$/.test(name)) {
      const text = `${name} is what another one is called without a name; choose another name`;
      found.push({ field, index, text });
    } else if (first.has(name)) {
      found.push({ field, index, text: `${first.get(name)} has this name too; each needs its own` });
    } else {
      first.set(name, own);
    }
  }
  return found;
}

/** What the server would say first: {field, message}, or null where it takes them. */
export function verdict(zones, lines) {
  const [first] = problems(zones, lines);
  if (!first) {
    return null;
  }
  const value = first.index === null ? null : { zones, lines }[first.field][first.index];
  const label = first.index === null ? "" : `${numbered(first.index + 1, value)}: `;
  return { field: first.field, message: label + first.text };
}

function numbered(number, value) {
  const name = isObject(value) && typeof value.name === "string" ? cleanName(value.name) : "";
  return name && [...name].length <= NAME_LENGTH ? `number ${number}, "${name}"` : `number ${number}`;
}

// --- Text -----------------------------------------------------------------------------------------------

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** JSON with a space after each comma and colon, as the server writes it. */
export function jsonText(value) {
  if (Array.isArray(value)) {
    return `[${value.map(jsonText).join(", ")}]`;
  }
  if (isObject(value)) {
    return `{${Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}: ${jsonText(one)}`).join(", ")}}`;
  }
  return JSON.stringify(value) ?? "null";
}

function shown(value) {
  const text = [...jsonText(value)];
  return text.length <= 40 ? text.join("") : `${text.slice(0, 40).join("")}…`;
}

/** A shape as JSON has it: its points, or name and points. */
export function toValue({ name, points }) {
  return cleanName(name) ? { name: cleanName(name), points } : points;
}

/** Shapes as the text fields show them: one a line, nothing for none. */
export function toText(shapes) {
  return shapes.length ? `[${shapes.map((shape) => jsonText(toValue(shape))).join(",\n ")}]` : "";
}

/**
 * What was typed: {shapes: [{name, points}]}, or {problem} where it cannot be drawn. What can be drawn may
 * still break the rules: `problems` says so.
 */
export function fromText(noun, text) {
  let values;
  try {
    values = text.trim() ? JSON.parse(text) : [];
  } catch (error) {
    return { problem: `This is not JSON: ${error.message}` };
  }
  if (!Array.isArray(values)) {
    return { problem: `This is not a list of ${noun}s.` };
  }
  const drawable = (points) =>
    Array.isArray(points) && points.every((p) => Array.isArray(p) && p.length === 2 && p.every(Number.isFinite));
  const shapes = [];
  for (const [index, value] of values.entries()) {
    const { name = "", points = null, ...rest } = isObject(value) ? value : { points: value };
    if (!drawable(points) || typeof name !== "string" || Object.keys(rest).length) {
      const wrong = verdict(noun === "line" ? [] : values, noun === "line" ? values : []);
      const text = wrong?.message ?? `number ${index + 1} cannot be drawn`;
      return { problem: `${text[0].toUpperCase()}${text.slice(1)}.` };
    }
    shapes.push({ name, points: noun === "line" ? points : unclosed(points) });
  }
  return { shapes };
}

/** Without a last point that repeats the first: the outline closes by itself. */
function unclosed(points) {
  const [first, last] = [points[0], points.at(-1)];
  return points.length > 1 && first[0] === last[0] && first[1] === last[1] ? points.slice(0, -1) : points;
}
