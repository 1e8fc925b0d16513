// Mouse, finger, pen and keyboard on the picture.

import { round, snapped } from "./editor-geometry.js";
import { moveShape } from "./editor-model.js";

const BORDER = 10; // pixels: closer to the picture's border than this snaps onto it
const STILL = { mouse: 3, touch: 8, pen: 5 }; // pixels: a press that moves less than this is a click
const REACH = { mouse: 14, touch: 22, pen: 18 }; // pixels from a point's middle at which it can be gripped
const STEP = 0.005, BIG_STEP = 0.05; // of the picture, by an arrow key without and with Shift
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Hand {
  #press = null; // what is being pressed: {x, y, hit, before, moved, …}
  oncancel = () => {}; // told which noun was being drawn
  #added = 0; // when a point was last added: the second click of a double one must not remove it

  constructor(model, view, say) {
    Object.assign(this, { model, view, say });
    const { root } = view;
    root.addEventListener("pointerdown", (event) => this.#down(event));
    root.addEventListener("pointermove", (event) => this.#move(event));
    root.addEventListener("pointerup", (event) => this.#up(event));
    // The page scrolls under a finger on the picture, unless the finger has something to move. (touch-action
    // decides too early: by what lies on top, not by what is nearest.)
    const hold = (event) => (this.#press?.hit || this.model.draft) && event.preventDefault();
    root.addEventListener("touchstart", hold, { passive: false });
    root.addEventListener("pointercancel", () => this.#abandon());
    root.addEventListener("pointerleave", () => this.#leave());
    root.addEventListener("dblclick", (event) => this.#double(event));
    root.addEventListener("keydown", (event) => this.#key(event));
    root.addEventListener("focusin", (event) => this.#focus(event));
    root.addEventListener("click", (event) => this.#click(event));
  }

  /** Pixels from the picture's top left corner. */
  #place(event) {
    const box = this.view.root.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #fractions([x, y]) {
    const [width, height] = this.view.size;
    return snapped([x / width, y / height], [BORDER / width, BORDER / height]);
  }

  #down(event) {
    if (event.button !== 0 || !event.isPrimary) {
      return;
    }
    const place = this.#place(event);
    const kind = STILL[event.pointerType] ? event.pointerType : "mouse";
    const press = { place, still: STILL[kind], moved: false, id: event.pointerId };
    const { model } = this;
    if (model.draft) {
      event.preventDefault();
      this.view.root.focus({ preventScroll: true });
      this.#press = { ...press, draft: model.draft };
      if (model.draft.noun === "line" && model.draft.points.length === 0) {
        model.draft.points.push(this.#fractions(place));
        this.#press.started = true;
      }
      this.#capture(event);
      this.#aim(place);
      return;
    }
    const hit = this.view.hit(model, place, REACH[kind]);
    const body = hit && hit.point === undefined && hit.middle === undefined;
    if (!hit || (body && kind === "touch" && hit.id !== model.selected)) {
      // A finger that lands here may be about to scroll the page: wait until it is lifted.
      this.#press = { ...press, tap: hit?.id ?? null };
      return;
    }
    const before = structuredClone(model.shapes);
    this.#press = { ...press, hit, before, points: structuredClone(model.get(hit.id).points) };
    model.select(hit.id, hit.point ?? null);
    // The browser would give the focus to whatever lies on top; the nearest point is what is meant.
    event.preventDefault();
    this.focusOn(hit.id, hit.point ?? null);
    this.#capture(event);
  }

  #capture(event) {
    // A pointer that has gone already, or one a program made up, cannot be captured; the drag works without.
    if (event.isTrusted) {
      this.view.root.setPointerCapture(event.pointerId);
    }
  }

  #move(event) {
    const place = this.#place(event), press = this.#press, { model } = this;
    if (model.draft) {
      if (press && distance(press.place, place) > press.still) {
        press.moved = true;
      }
      this.#aim(place);
      return;
    }
    if (!press) {
      if (event.pointerType === "mouse") {
        this.#light(this.view.hit(model, place, REACH.mouse)?.id ?? null);
      }
      return;
    }
    if (!press.moved && distance(press.place, place) <= press.still) {
      return;
    }
    if (!press.moved && press.hit?.middle !== undefined) {
      this.#splitEdge(press);
    }
    press.moved = true;
    if (press.hit) {
      this.#drag(press, place);
    }
  }

  #drag({ hit, points }, place) {
    const shape = this.model.get(hit.id);
    if (hit.point !== undefined) {
      shape.points[hit.point] = this.#fractions(place);
    } else {
      const [width, height] = this.view.size;
      const [x, y] = this.#press.place;
      moveShape(shape, points, (place[0] - x) / width, (place[1] - y) / height);
    }
    this.model.changed("drag");
  }

  /** The handle in the middle of an edge was gripped: it becomes a point. */
  #splitEdge(press) {
    const shape = this.model.get(press.hit.id), index = press.hit.middle;
    const [a, b] = [shape.points[index], shape.points[(index + 1) % shape.points.length]];
    shape.points.splice(index + 1, 0, [round((a[0] + b[0]) / 2), round((a[1] + b[1]) / 2)]);
    press.hit = { id: shape.id, point: index + 1 };
    this.#added = Date.now();
    this.model.select(shape.id, index + 1);
    this.focusOn(shape.id, index + 1);
  }

  #up(event) {
    const press = this.#press;
    this.#press = null;
    if (!press) {
      return;
    }
    const place = this.#place(event), { model } = this;
    if (press.draft) {
      if (press.draft === model.draft && !(press.started && !press.moved)) {
        this.place(this.#fractions(place), press.still * 4);
      }
    } else if (!press.hit) {
      if (!press.moved) {
        model.select(press.tap);
      }
    } else if (press.moved) {
      model.record(press.before);
    } else if (press.hit.middle !== undefined) {
      this.#added = Date.now();
      if (model.addPoint(press.hit.id, press.hit.middle)) {
        this.focusOn(press.hit.id, press.hit.middle + 1);
      }
    }
  }

  #abandon() {
    const press = this.#press;
    this.#press = null;
    if (press?.moved && press.before) {
      this.model.shapes = press.before;
      this.model.changed("drag");
    } else if (press?.started && press.draft === this.model.draft) {
      this.model.draft.points.pop();
      this.model.changed("draft");
    }
  }

  #leave() {
    if (!this.#press) {
      this.#light(null);
      if (this.model.draft?.cursor && !this.model.draft.keys) {
        this.model.draft.cursor = null;
        this.model.changed("draft");
      }
    }
  }

  #light(id) {
    if (this.view.lit !== id) {
      this.view.lit = id;
      this.model.changed("light");
    }
  }

  #aim(place) {
    this.model.draft.cursor = this.#fractions(place);
    this.model.draft.keys = false;
    this.model.changed("draft");
  }

  /** Set the next point of what is being drawn. reach: pixels at which the first one is meant again. */
  place(point, reach) {
    const { model } = this, { draft } = model;
    const pixels = this.view.at(point);
    const near = (other) => distance(this.view.at(other), pixels) <= reach;
    const [first, last] = [draft.points[0], draft.points.at(-1)];
    if (draft.noun === "zone" && draft.points.length > 2 && (near(first) || distance(this.view.at(last), pixels) < 5)) {
      this.finish();
      return;
    }
    if (last && distance(this.view.at(last), pixels) < 5) {
      return;
    }
    draft.points.push(point);
    if (draft.noun === "line" && draft.points.length === 2) {
      this.finish();
    } else {
      model.changed("draft");
    }
  }

  finish() {
    const { model } = this, { noun, points } = model.draft;
    const shape = model.finish();
    if (shape) {
      this.say(`${model.called(shape)} is drawn.`);
      this.focusOn(shape.id);
    } else {
      const few = noun === "line" ? "A line needs two points." : `A ${model.words.zone} needs at least three points.`;
      this.say(`${few} There ${points.length === 1 ? "is one" : `are ${points.length || "none"}`} so far.`, true);
    }
  }

  cancel() {
    const { noun } = this.model.draft;
    this.model.cancel();
    this.say("Drawing was cancelled.");
    this.oncancel(noun);
  }

  removePoint(id, index) {
    const { model } = this, shape = model.get(id);
    if (model.removePoint(id, index)) {
      this.say(`Point ${index + 1} of ${model.called(shape)} is removed.`);
      this.focusOn(id, model.point);
      return;
    }
    const few = shape.noun === "line" ? "its two" : "at least three";
    this.say(`A ${model.words[shape.noun]} keeps ${few} points; delete ${model.called(shape)} to be rid of it.`, true);
  }

  remove(id) {
    const { model } = this, name = model.called(model.get(id));
    model.remove(id);
    this.say(`${name} is deleted. Undo brings it back.`);
  }

  #double(event) {
    if (this.model.draft || Date.now() - this.#added < 600) {
      return;
    }
    const hit = this.view.hit(this.model, this.#place(event), REACH.mouse);
    if (hit?.point !== undefined) {
      this.removePoint(hit.id, hit.point);
    }
  }

  /** Give the focus to a point, or with `point` null to the shape itself. */
  focusOn(id, point = null) {
    const shape = `[data-id="${id}"]`;
    const { bodies, handles } = this.view;
    const element =
      point === null ? bodies.querySelector(shape) : handles.querySelector(`${shape} [data-point="${point}"]`);
    element?.focus({ preventScroll: true });
  }

  /** Where what had the focus is gone, keep it on the picture: the next key must not be lost. */
  keepFocus() {
    if (document.activeElement === document.body) {
      this.view.root.focus({ preventScroll: true });
    }
  }

  #focus(event) {
    const point = event.target.closest("[data-point]"), shape = event.target.closest("[data-id]");
    if (point && shape && !this.#press) {
      this.model.select(Number(shape.dataset.id), Number(point.dataset.point));
    }
  }

  /** A click that no pointer made: a screen reader's, or Enter on a button. */
  #click(event) {
    const shape = event.target.closest("[data-id]");
    if (shape && event.detail === 0 && !this.model.draft) {
      this.#enter(Number(shape.dataset.id));
    }
  }

  #enter(id) {
    this.model.select(id, 0);
    this.focusOn(id, 0);
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) {
      return;
    }
    const used = this.model.draft ? this.#draftKey(event) : this.#shapeKey(event);
    if (used) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  #draftKey({ key, shiftKey }) {
    const { model } = this, { draft } = model;
    if (ARROWS[key]) {
      const step = shiftKey ? BIG_STEP : STEP * 4;
      const [x, y] = draft.cursor ?? [0.5, 0.5], [dx, dy] = ARROWS[key];
      draft.cursor = snapped([x + dx * step, y + dy * step], [0, 0]);
      draft.keys = true;
      model.changed("draft");
    } else if (key === " ") {
      this.place(draft.cursor ?? [0.5, 0.5], 12);
    } else if (key === "Enter") {
      this.finish();
    } else if (key === "Escape") {
      this.cancel();
    } else if (key === "Backspace" || key === "Delete") {
      model.undo();
    } else {
      return false;
    }
    return true;
  }

  #shapeKey({ key, shiftKey, target }) {
    const { model } = this;
    const element = target.closest("[data-id]");
    if (key === "Escape" && this.#press?.moved) {
      this.#abandon();
      return true;
    }
    if (!element) {
      return false;
    }
    const id = Number(element.dataset.id), handle = target.closest("[data-point]");
    const point = handle ? Number(handle.dataset.point) : null;
    if (ARROWS[key]) {
      const step = shiftKey ? BIG_STEP : STEP, [dx, dy] = ARROWS[key];
      model.select(id, point);
      model.nudge(id, point, dx * step, dy * step);
    } else if (key === "Delete" || key === "Backspace") {
      point === null ? this.remove(id) : this.removePoint(id, point);
      if (point === null) {
        this.keepFocus();
      }
    } else if (key === "Insert" || key === "+") {
      if (point !== null && model.addPoint(id, point)) {
        this.focusOn(id, point + 1);
      }
    } else if (key === "Enter" || key === " ") {
      this.#enter(id);
    } else if (key === "Escape") {
      point === null ? model.select(null) : model.select(id);
      this.focusOn(id);
    } else {
      return false;
    }
    return true;
  }
}

function distance(a, b) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}
