// The buttons above the picture.

import { el } from "./editor-dom.js";

const STRIP = 0.1; // of the picture: how deep a strip along its edge is

const READY = {
  zone: {
    "Whole picture": [[0, 0], [1, 0], [1, 1], [0, 1]],
    "Strip on the left": [[0, 0], [STRIP, 0], [STRIP, 1], [0, 1]],
    "Strip on the right": [[1 - STRIP, 0], [1, 0], [1, 1], [1 - STRIP, 1]],
    "Strip at the top": [[0, 0], [1, 0], [1, STRIP], [0, STRIP]],
    "Strip at the bottom": [[0, 1 - STRIP], [1, 1 - STRIP], [1, 1], [0, 1]],
  },
  line: {
    "Line across, in is up": [[0.05, 0.5], [0.95, 0.5]],
    "Line down, in is right": [[0.5, 0.05], [0.5, 0.95]],
  },
};

function button(text, onclick, attributes = {}) {
  return el("button", { type: "button", class: "btn btn-secondary", onclick, ...attributes }, text);
}

export class Tools {
  constructor(model, hand) {
    Object.assign(this, { model, hand });
    const { words } = model;
    this.draw = {
      zone: button(`Draw a ${words.zone}`, () => this.#begin("zone"), { class: "btn btn-primary" }),
      line: button(`Draw a ${words.line}`, () => this.#begin("line"), { class: "btn btn-primary" }),
    };
    this.done = button("Done", () => hand.finish(), { class: "btn btn-primary" });
    this.cancel = button("Cancel drawing", () => hand.cancel());
    hand.oncancel = (noun) => this.draw[noun].focus();
    this.undo = button("Undo", () => model.undo(), { title: "Ctrl+Z" });
    this.redo = button("Redo", () => model.redo(), { title: "Ctrl+Shift+Z" });
    this.addPoint = button("Add point", () => this.#addPoint());
    this.removePoint = button("Remove point", () => hand.removePoint(model.selected, model.point));
    this.ready = this.#ready();
    const begin = [this.draw.zone, this.draw.line, this.ready, this.done, this.cancel];
    // Buttons that are of no use now stay in their places: the picture must not jump under somebody's finger.
    const change = [this.undo, this.redo, this.addPoint, this.removePoint];
    this.root = el("div", { class: "shape-tools" }, el("div", {}, ...begin), el("div", {}, ...change));
  }

  #ready() {
    const { model } = this;
    const choices = Object.entries(READY).flatMap(([noun, shapes]) =>
      Object.entries(shapes).map(([text, points]) =>
        button(text, () => this.#addReady(noun, points), { class: "btn btn-light", "data-noun": noun }),
      ),
    );
    const menu = el("div", { class: "menu" }, ...choices);
    const summary = el("summary", { class: "btn btn-secondary" }, "Ready-made");
    const details = el("details", { class: "ready" }, summary, menu);
    details.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && details.open) {
        details.open = false;
        summary.focus();
        event.stopPropagation();
      }
    });
    document.addEventListener("pointerdown", (event) => {
      if (!details.contains(event.target)) {
        details.open = false;
      }
    });
    model.addEventListener("changed", () => {
      for (const choice of choices) {
        choice.hidden = !model.uses[choice.dataset.noun];
      }
    });
    return details;
  }

  #addReady(noun, points) {
    this.ready.open = false;
    const shape = this.model.add(noun, structuredClone(points));
    this.hand.say(`${this.model.called(shape)} is added.`);
    this.hand.focusOn(shape.id);
  }

  #begin(noun) {
    const { model } = this;
    model.begin(noun);
    this.hand.say(this.hint());
    this.hand.view.root.focus({ preventScroll: true });
  }

  /** What can be done now, in a sentence or two. */
  hint() {
    const { model } = this, { draft, current } = model;
    const click = window.matchMedia("(pointer: coarse)").matches ? "tap" : "click";
    const keys = click === "tap" ? "" : " By keyboard: arrows and space.";
    if (draft?.noun === "line") {
      return draft.points.length
        ? `Now ${click} where it ends.`
        : `Drag from one end of the line to the other, or ${click} both.${keys}`;
    }
    if (draft) {
      const close = `${click} the first point again or ${click === "tap" ? "Done" : "press Enter"}`;
      return draft.points.length > 2
        ? `To close it, ${close}.`
        : `${click === "tap" ? "Tap" : "Click"} the corners one after the other.${keys}`;
    }
    if (current?.noun === "zone") {
      return "Drag points to move them, small circles to add one, the inside to move it all.";
    }
    if (current) {
      return "Drag its ends. Who crosses it towards the arrow goes in.";
    }
    return model.shapes.length ? `To change something, ${click} on it.` : "Draw, or take what is ready-made.";
  }

  #addPoint() {
    const { model, hand } = this, { selected, point } = model;
    if (model.addPoint(selected, point)) {
      hand.focusOn(selected, point + 1);
    }
  }

  update() {
    const { model } = this, { draft } = model;
    for (const noun of ["zone", "line"]) {
      this.draw[noun].hidden = Boolean(draft) || !model.uses[noun];
    }
    this.ready.hidden = Boolean(draft);
    this.done.hidden = !draft || draft.noun === "line";
    this.cancel.hidden = !draft;
    this.undo.disabled = !model.canUndo;
    this.redo.disabled = !model.canRedo;
    const onPoint = !draft && model.point !== null && model.current?.noun === "zone";
    this.addPoint.disabled = this.removePoint.disabled = !onPoint;
  }
}
