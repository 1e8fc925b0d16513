// The list beside the picture: what each shape is called, what is wrong with it, and what can be done to it.

import { el, sentence } from "./editor-dom.js";
import { NAME_LENGTH } from "./editor-geometry.js";

export class List {
  #rows = new Map();

  constructor(model, view, hand, prefix) {
    Object.assign(this, { model, view, hand, prefix });
    this.root = el("ol", { class: "shape-list", "aria-label": "What is drawn" });
    this.empty = el("p", { class: "shape-none" });
  }

  draw(wrongs) {
    const { model } = this;
    for (const [id, row] of this.#rows) {
      if (!model.get(id)) {
        row.item.remove();
        this.#rows.delete(id);
      }
    }
    const shapes = [...model.of("zone"), ...model.of("line")];
    shapes.forEach((shape, index) => {
      const row = this.#rows.get(shape.id) ?? this.#make(shape);
      if (this.root.children[index] !== row.item) {
        this.root.insertBefore(row.item, this.root.children[index] ?? null);
      }
      this.#fill(row, shape, wrongs.get(shape.id));
    });
    this.empty.hidden = shapes.length > 0;
  }

  #make(shape) {
    const { model, hand } = this, { id } = shape;
    const name = el("input", {
      type: "text",
      class: "form-control",
      maxlength: NAME_LENGTH,
      autocomplete: "off",
      oninput: () => model.rename(id, name.value),
      onfocus: () => model.select(id),
      // Enter in a name ends the name; it does not send the form.
      onkeydown: (event) => event.key === "Enter" && event.preventDefault(),
    });
    const error = el("p", { class: "invalid-feedback", id: `${this.prefix}-wrong-${id}` });
    const remove = el("button", { type: "button", class: "btn btn-light", onclick: () => this.#remove(id) }, "Delete");
    const turn = el("button", { type: "button", class: "btn btn-light", onclick: () => this.#turn(id) }, "Turn round");
    const swatch = el("span", { class: `swatch ${shape.noun}`, "aria-hidden": "true" });
    const buttons = shape.noun === "line" ? [turn, remove] : [remove];
    const item = el("li", { "data-id": id }, el("div", { class: "shape-row" }, swatch, name, ...buttons), error);
    item.addEventListener("pointerenter", () => this.#light(id));
    item.addEventListener("pointerleave", () => this.#light(null));
    swatch.addEventListener("click", () => model.select(id));
    const row = { item, name, error, remove, turn };
    this.#rows.set(id, row);
    return row;
  }

  #fill({ item, name, error, remove, turn }, shape, wrong) {
    const { model } = this, numbered = model.numbered(shape), called = model.called(shape);
    item.classList.toggle("selected", model.selected === shape.id);
    item.classList.toggle("lit", this.view.lit === shape.id);
    item.classList.toggle("bad", Boolean(wrong));
    if (name.value !== shape.name) {
      name.value = shape.name;
    }
    name.placeholder = numbered;
    name.setAttribute("aria-label", `What people call ${numbered}`);
    name.classList.toggle("is-invalid", Boolean(wrong));
    remove.setAttribute("aria-label", `Delete ${called}`);
    turn.setAttribute("aria-label", `Turn ${called} round: swap in and out`);
    const text = wrong ? sentence(wrong.text) : "";
    if (error.textContent !== text) {
      error.textContent = text;
    }
    error.hidden = !wrong;
    if (wrong) {
      name.setAttribute("aria-describedby", error.id);
      name.setAttribute("aria-invalid", "true");
    } else {
      name.removeAttribute("aria-describedby");
      name.removeAttribute("aria-invalid");
    }
  }

  #turn(id) {
    this.model.turn(id);
    this.model.select(id);
    this.hand.say(`${this.model.called(this.model.get(id))} is turned round: in and out are swapped.`);
  }

  #remove(id) {
    const { item } = this.#rows.get(id), { noun } = this.model.get(id);
    const next = item.nextElementSibling ?? item.previousElementSibling;
    this.hand.remove(id);
    // Whoever works by keyboard goes on from here.
    if (next) {
      next.querySelector("button:last-of-type").focus();
    } else {
      this.hand.oncancel(noun);
    }
  }

  #light(id) {
    this.view.lit = id;
    this.model.changed("light");
  }
}
