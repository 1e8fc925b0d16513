// What is drawn: the shapes, which of them is selected, the one being drawn, and the way back.

import { MAX_POINTS, problems, snapped, toValue } from "./editor-geometry.js";

const STEPS = 200;

let lastId = 0;

export class Model extends EventTarget {
  shapes = []; // {id, noun: "zone" | "line", name, points}
  selected = null; // id of a shape
  point = null; // index of one of its points
  draft = null; // {noun, points, cursor} while one is being drawn
  words = { zone: "zone", line: "line" }; // what people call them: masks are zones too
  uses = { zone: true, line: true };
  #past = [];
  #future = [];
  #key = null; // what the last change was, so that the same again is one step back

  get(id) {
    return this.shapes.find((shape) => shape.id === id) ?? null;
  }

  get current() {
    return this.get(this.selected);
  }

  of(noun) {
    return this.shapes.filter((shape) => shape.noun === noun);
  }

  /** "zone 2": what a shape is called without a name. */
  numbered(shape) {
    return `${this.words[shape.noun]} ${this.of(shape.noun).indexOf(shape) + 1}`;
  }

  called(shape) {
    return shape.name.trim() || this.numbered(shape);
  }

  /** What is wrong: a Map of shape id to {text, edges, point}, with the lists' own under "zones" and "lines". */
  wrongs() {
    const [zones, lines] = [this.of("zone"), this.of("line")];
    const wrongs = new Map();
    for (const one of problems(zones.map(toValue), lines.map(toValue))) {
      const shape = { zones, lines }[one.field][one.index];
      const key = shape ? shape.id : one.field;
      if (!wrongs.has(key)) {
        wrongs.set(key, one);
      }
    }
    for (const shape of this.shapes.filter(({ noun }) => !this.uses[noun])) {
      wrongs.set(shape.id, { text: `this kind has no ${this.words[shape.noun]}s; delete it or choose another kind` });
    }
    return wrongs;
  }

  changed(what) {
    this.dispatchEvent(new CustomEvent("changed", { detail: what }));
  }

  /** Change the shapes through `act`; `key`: changes one after the other with the same key are one step. */
  change(act, key = null) {
    const before = structuredClone(this.shapes);
    act();
    this.record(before, key);
  }

  /** The shapes have been changed from what they were `before`: as by a drag, which is one step. */
  record(before, key = null) {
    if (key === null || key !== this.#key) {
      this.#past.push(before);
      this.#past.splice(0, Math.max(0, this.#past.length - STEPS));
    }
    this.#key = key;
    this.#future = [];
    this.changed("shapes");
  }

  get canUndo() {
    return this.#past.length > 0 || Boolean(this.draft?.points.length);
  }

  get canRedo() {
    return this.#future.length > 0 && !this.draft;
  }

  undo() {
    if (this.draft) {
      this.draft.points.pop();
      this.changed("draft");
    } else {
      this.#step(this.#past, this.#future);
    }
  }

  redo() {
    if (!this.draft) {
      this.#step(this.#future, this.#past);
    }
  }

  #step(from, to) {
    if (!from.length) {
      return;
    }
    to.push(structuredClone(this.shapes));
    this.shapes = from.pop();
    this.#key = null;
    if (!this.current) {
      this.selected = null;
    }
    this.point = null;
    this.changed("shapes");
  }

  select(id, point = null) {
    if (this.selected !== id || this.point !== point) {
      this.selected = id;
      this.point = point;
      this.changed("selection");
    }
  }

  add(noun, points, name = "") {
    const shape = { id: ++lastId, noun, name, points };
    this.change(() => this.shapes.push(shape));
    this.select(shape.id);
    return shape;
  }

  /** Take other shapes for those of a noun: what was typed. Shapes that are the same keep their identity. */
  replace(noun, given, { remember = true } = {}) {
    const old = this.of(noun);
    const shapes = given.map(({ name, points }, i) => ({ id: old[i]?.id ?? ++lastId, noun, name, points }));
    const act = () => {
      this.shapes = [...this.shapes.filter((shape) => shape.noun !== noun), ...shapes];
      if (!this.current) {
        this.selected = null;
      }
      this.point = null;
    };
    if (remember) {
      this.change(act, `typed ${noun}`);
    } else {
      act();
      this.changed("shapes");
    }
  }

  remove(id) {
    this.change(() => {
      this.shapes = this.shapes.filter((shape) => shape.id !== id);
    });
    this.select(null);
  }

  rename(id, name) {
    this.change(() => {
      this.get(id).name = name;
    }, `name ${id}`);
  }

  turn(id) {
    this.change(() => this.get(id).points.reverse());
  }

  /** Add a point in the middle of the edge that begins at `index`; gives whether there was room. */
  addPoint(id, index) {
    const { noun, points } = this.get(id);
    if (noun === "line" || points.length >= MAX_POINTS) {
      return false;
    }
    const [a, b] = [points[index], points[(index + 1) % points.length]];
    this.change(() => points.splice(index + 1, 0, snapped([(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], [0, 0])));
    this.select(id, index + 1);
    return true;
  }

  /** Remove a point; gives whether that may be: a zone keeps three, a line two. */
  removePoint(id, index) {
    const { noun, points } = this.get(id);
    if (noun === "line" || points.length <= 3) {
      return false;
    }
    this.change(() => points.splice(index, 1));
    this.select(id, Math.min(index, points.length - 1));
    return true;
  }

  /** Move a point, or with `index` null the whole shape, by a step of the keyboard. */
  nudge(id, index, dx, dy) {
    const shape = this.get(id);
    this.change(
      () => (index === null ? moveShape(shape, shape.points, dx, dy) : movePoint(shape, index, dx, dy)),
      `nudge ${id} ${index}`,
    );
  }

  begin(noun) {
    this.select(null);
    this.draft = { noun, points: [], cursor: null };
    this.changed("draft");
  }

  cancel() {
    this.draft = null;
    this.changed("draft");
  }

  /** Make a shape of what was drawn so far. Gives the shape, or null where it has too few points. */
  finish() {
    const { noun, points } = this.draft;
    if (points.length < (noun === "line" ? 2 : 3)) {
      return null;
    }
    this.draft = null;
    const shape = this.add(noun, points);
    this.changed("draft");
    return shape;
  }
}

function movePoint(shape, index, dx, dy) {
  const [x, y] = shape.points[index];
  shape.points[index] = snapped([x + dx, y + dy], [0, 0]);
}

/** Move all points from where they were, `from`, without pushing any out of the picture. */
export function moveShape(shape, from, dx, dy) {
  const room = (axis, by) => {
    const values = from.map((p) => p[axis]);
    return Math.max(-Math.min(...values), Math.min(1 - Math.max(...values), by));
  };
  const [x, y] = [room(0, dx), room(1, dy)];
  shape.points = from.map((p) => snapped([p[0] + x, p[1] + y], [0, 0]));
}
