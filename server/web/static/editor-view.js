// Draws the shapes over the picture, as SVG in pixels of the screen: what can be gripped stays as large as a
// fingertip whatever the picture's size. Elements are kept from one drawing to the next, with the focus on them.

import { inward } from "./editor-geometry.js";

const ARROW = 26; // pixels from the line to the arrow's tip
const MANY_POINTS = 300;
const MIDDLE_ROOM = 56; // an edge shorter than this has no handle in its middle: the points need the room

function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  set(element, attributes);
  element.append(...children);
  return element;
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false) {
      element.removeAttribute(name);
    } else if (element.getAttribute(name) !== String(value)) {
      element.setAttribute(name, value);
    }
  }
}

/** The children of an element by key: those made before are used again, those not asked for are removed. */
class Kept {
  #old = new Map();
  #new = new Map();

  constructor(parent) {
    this.parent = parent;
  }

  get(key, make) {
    const element = this.#old.get(key) ?? make();
    this.#new.set(key, element);
    if (element.parentNode !== this.parent) {
      this.parent.append(element);
    }
    return element;
  }

  done() {
    for (const [key, element] of this.#old) {
      if (!this.#new.has(key)) {
        element.remove();
      }
    }
    [this.#old, this.#new] = [this.#new, new Map()];
  }
}

const path = (points, closed) => `M${points.map((p) => p.join(",")).join("L")}${closed ? "Z" : ""}`;
const percent = (value) => `${Math.round(value * 1000) / 10}%`;
const middle = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];

export class View {
  size = [1, 1]; // of the picture on the screen, in CSS pixels
  lit = null; // id of the shape that the pointer is over, here or in the list

  /** editable: with handles and a place in the order of the Tab key. */
  constructor(root, { editable = true } = {}) {
    this.root = root;
    this.editable = editable;
    this.bodies = svg("g", { class: "bodies" });
    this.handles = svg("g", { class: "handles" });
    this.draft = svg("g", { class: "draft" });
    root.append(this.bodies, this.handles, this.draft);
    this.keptBodies = new Kept(this.bodies);
    this.keptHandles = new Kept(this.handles);
  }

  /** Fractions to pixels. */
  at([x, y]) {
    return [Math.round(x * this.size[0] * 10) / 10, Math.round(y * this.size[1] * 10) / 10];
  }

  draw(model, wrongs) {
    const [width, height] = this.size;
    set(this.root, { viewBox: `0 0 ${width} ${height}`, width, height });
    this.root.classList.toggle("drawing", Boolean(model.draft));
    for (const shape of model.shapes) {
      this.#body(model, shape, wrongs.get(shape.id));
    }
    this.keptBodies.done();
    if (this.editable && !model.draft) {
      // Every point shows, unless there are so many that dragging would stutter: then the chosen shape's do.
      const all = model.shapes.reduce((sum, { points }) => sum + points.length, 0) <= MANY_POINTS;
      for (const shape of model.shapes.filter(({ id }) => all || id === model.selected)) {
        this.#points(model, shape, wrongs.get(shape.id));
      }
    }
    this.keptHandles.done();
    this.#draft(model);
  }

  #body(model, shape, wrong) {
    const group = this.keptBodies.get(shape.id, () => this.#newBody(shape));
    const points = shape.points.map((p) => this.at(p));
    const chosen = model.selected === shape.id;
    const states = [chosen && "selected", this.lit === shape.id && "lit", wrong && "bad"];
    set(group, {
      class: ["shape", shape.noun, ...states.filter(Boolean)].join(" "),
      "aria-label": this.editable ? `${model.called(shape)}${wrong ? ", not right yet" : ""}` : null,
      "aria-pressed": this.editable ? chosen : null,
    });
    const outline = points.length ? path(points, shape.noun === "zone") : "";
    for (const one of group.querySelectorAll(".outline")) {
      set(one, { d: outline });
    }
    const edges = (wrong?.edges ?? []).map((i) => path([points[i], points[(i + 1) % points.length]], false));
    set(group.querySelector(".crossing"), { d: edges.join("") });
    const label = group.querySelector(".name");
    label.textContent = model.called(shape);
    if (points.length) {
      const [x, y] = shape.noun === "zone" ? centre(points) : beside(points[0], this.size);
      const half = Math.min(this.size[0] / 2, 4.5 * label.textContent.length + 4); // of the text's width, roughly
      set(label, {
        x: Math.max(half, Math.min(this.size[0] - half, x)),
        y: Math.max(16, Math.min(this.size[1] - 6, y)),
      });
    }
    if (shape.noun === "line" && points.length > 1) {
      this.#arrow(group, points[0], points[1]);
    }
  }

  #newBody(shape) {
    const group = svg("g", this.editable ? { "data-id": shape.id, tabindex: 0, role: "button" } : {});
    for (const name of ["grip", "halo", "stroke"]) {
      group.append(svg("path", { class: `outline ${name}` }));
    }
    group.append(svg("path", { class: "crossing" }));
    if (shape.noun === "line") {
      group.append(
        svg("path", { class: "arrow halo" }),
        svg("path", { class: "arrow stroke" }),
        svg("circle", { class: "start", r: 4 }),
        svg("text", { class: "in" }, "in"),
        svg("text", { class: "out" }, "out"),
      );
    }
    group.append(svg("text", { class: "name" }));
    return group;
  }

  /** From the line's middle to the side that is "in", with the words on both sides. */
  #arrow(group, a, b) {
    const [x, y] = middle(a, b), [dx, dy] = inward(a, b);
    const tip = [x + dx * ARROW, y + dy * ARROW];
    const wing = (turn) => [tip[0] - dx * 9 + turn * dy * 7, tip[1] - dy * 9 - turn * dx * 7];
    const drawn = path([[x, y], tip], false) + path([wing(1), tip, wing(-1)], false);
    for (const one of group.querySelectorAll(".arrow")) {
      set(one, { d: drawn });
    }
    set(group.querySelector(".start"), { cx: a[0], cy: a[1] });
    const word = (name, far) => {
      const [width, height] = this.size;
      set(group.querySelector(name), {
        x: Math.max(12, Math.min(width - 12, x + dx * far)),
        y: Math.max(14, Math.min(height - 4, y + dy * far + 5)),
      });
    };
    word(".in", ARROW + 16);
    word(".out", -20);
  }

  #points(model, shape, wrong) {
    const chosen = model.selected === shape.id;
    const group = this.keptHandles.get(shape.id, () => {
      const made = svg("g", { "data-id": shape.id });
      made.kept = new Kept(made);
      return made;
    });
    set(group, { class: chosen ? "selected" : null });
    const points = shape.points.map((p) => this.at(p));
    points.forEach((p, i) => {
      if (chosen && shape.noun === "zone") {
        const next = points[(i + 1) % points.length];
        if (Math.hypot(next[0] - p[0], next[1] - p[1]) >= MIDDLE_ROOM) {
          this.#handle(group, `middle ${i}`, middle(p, next), { class: "middle", "data-middle": i });
        }
      }
    });
    points.forEach((p, i) => {
      const here = chosen && model.point === i;
      this.#handle(group, `point ${i}`, p, {
        class: `point${here ? " here" : ""}${wrong?.point === i ? " bad" : ""}`,
        "data-point": i,
        role: "button",
        tabindex: chosen ? 0 : -1,
        "aria-label":
          `Point ${i + 1} of ${model.called(shape)}, ${percent(shape.points[i][0])} from the left, ` +
          `${percent(shape.points[i][1])} from the top`,
      });
    });
    group.kept.done();
  }

  #handle(group, key, [x, y], attributes) {
    const circle = (name) => svg("circle", { class: name });
    const handle = group.kept.get(key, () => svg("g", {}, circle("hit"), circle("dot")));
    set(handle, { ...attributes, transform: `translate(${x},${y})` });
  }

  #draft(model) {
    this.draft.replaceChildren();
    if (!model.draft) {
      return;
    }
    const { noun, points, cursor } = model.draft;
    const drawn = points.map((p) => this.at(p));
    const way = cursor ? [...drawn, this.at(cursor)] : drawn;
    if (way.length > 1) {
      this.draft.append(
        svg("path", { class: "halo", d: path(way, false) }),
        svg("path", { class: "stroke", d: path(way, false) }),
      );
      if (noun === "line") {
        const group = svg("g", { class: "shape line" }, ...this.#newBody({ noun }).children);
        this.#arrow(group, way[0], way[1]);
        this.draft.append(group);
      }
    }
    drawn.forEach(([cx, cy], i) => {
      const closes = i === 0 && noun === "zone" && drawn.length > 2;
      this.draft.append(svg("circle", { class: `dot${closes ? " closes" : ""}`, cx, cy, r: closes ? 11 : 6 }));
    });
    if (cursor) {
      const [x, y] = this.at(cursor);
      this.draft.append(svg("path", { class: "cross", d: `M${x - 10},${y}h20M${x},${y - 10}v20` }));
    }
  }

  /** What is at a place (pixels): {id, point} | {id, middle} | {id} | null. reach: of a fingertip, pixels. */
  hit(model, [x, y], reach) {
    let best = null, nearest = Infinity;
    const consider = (p, what, weight) => {
      const distance = Math.hypot(p[0] - x, p[1] - y);
      if (distance <= reach && distance * weight < nearest) {
        [best, nearest] = [what, distance * weight];
      }
    };
    for (const { id, noun, points } of model.shapes) {
      const chosen = id === model.selected;
      const drawn = points.map((p) => this.at(p));
      drawn.forEach((p, i) => {
        consider(p, { id, point: i }, chosen ? 0.6 : 1);
        const next = drawn[(i + 1) % drawn.length];
        if (chosen && noun === "zone" && Math.hypot(next[0] - p[0], next[1] - p[1]) >= MIDDLE_ROOM) {
          consider(middle(p, next), { id, middle: i }, 0.9);
        }
      });
    }
    return best ?? this.#bodyAt([x, y]);
  }

  /** The shape whose body is there: what is drawn on top, but lines before zones and the selected one first. */
  #bodyAt([x, y]) {
    const box = this.root.getBoundingClientRect();
    const found = document
      .elementsFromPoint(box.left + x, box.top + y)
      .map((element) => element.closest?.(".shape[data-id]"))
      .filter((group) => group && this.bodies.contains(group));
    const first = (name) => found.find((one) => one.classList.contains(name));
    const group = first("selected") ?? first("line") ?? found[0];
    return group ? { id: Number(group.dataset.id) } : null;
  }
}

function centre(points) {
  const n = points.length;
  return [points.reduce((sum, p) => sum + p[0], 0) / n, points.reduce((sum, p) => sum + p[1], 0) / n + 5];
}

/** Where a line's name stands: near its start, on the side that has room. */
function beside([x, y], [width, height]) {
  return [x + (x < width / 2 ? 24 : -24), y > height / 2 ? y - 12 : y + 22];
}
