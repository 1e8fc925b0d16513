// The camera's picture under the drawing, or a grid where there is none.

import { el } from "./editor-dom.js";

const GRID = [16, 9];
const TALLEST = 0.75; // of the window's height

export class Picture {
  onsize = () => {};

  /** given: data-shot, data-note, data-picture (what answers with both for a camera). */
  constructor(given, { drawable }) {
    this.given = given;
    this.camera = given.camera ?? "";
    this.svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.svg.setAttribute("class", "shape-svg");
    this.svg.setAttribute("role", drawable ? "application" : "img");
    this.svg.setAttribute("aria-label", drawable ? "Drawing area" : given.label ?? "What is drawn on the picture");
    if (drawable) {
      this.svg.setAttribute("tabindex", "-1");
    }
    this.image = el("img", { alt: "", draggable: "false" });
    this.stage = el("div", { class: "shape-stage" }, this.image, this.svg);
    this.note = el("span", { class: "reason" });
    const press = { type: "button", class: "btn btn-light", onclick: () => this.refresh() };
    this.again = el("button", press, "Refresh the picture");
    const foot = el("p", { class: "shape-note" }, this.note, this.again);
    this.root = el("div", { class: "shape-picture" }, this.stage, foot);
    this.image.addEventListener("load", () => this.#shown(this.image.naturalWidth, this.image.naturalHeight));
    this.image.addEventListener("error", () => this.#grid("The picture cannot be loaded; draw on the grid."));
    new ResizeObserver(() => this.#measure()).observe(this.stage);
    this.#take(given.shot, given.note);
  }

  #take(shot, note) {
    this.shot = shot;
    this.again.hidden = !(shot || this.given.picture);
    if (shot) {
      const url = new URL(shot, location.href);
      url.searchParams.set("t", Date.now());
      this.note.textContent = note ?? "";
      this.image.src = url.href;
    } else {
      this.#grid(note || "There is no picture of this camera yet; draw on the grid.");
    }
  }

  #shown(width, height) {
    this.stage.classList.remove("grid");
    this.image.hidden = false;
    this.#shape(width, height);
  }

  #grid(note) {
    this.note.textContent = note;
    this.stage.classList.add("grid");
    this.image.hidden = true;
    this.#shape(...GRID);
  }

  #shape(width, height) {
    this.stage.style.aspectRatio = `${width} / ${height}`;
    this.stage.style.maxWidth = `${Math.round((TALLEST * 100 * width) / height)}vh`;
    this.#measure();
  }

  #measure() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (width && height) {
      this.onsize([width, height]);
    }
  }

  /** The picture of another camera. */
  follow(camera) {
    this.camera = camera;
    this.refresh();
  }

  async refresh() {
    if (!this.given.picture) {
      this.#take(this.shot, this.note.textContent);
      return;
    }
    const asked = this.camera;
    if (!asked) {
      this.#take(null, "Choose a camera to see its picture.");
      return;
    }
    try {
      const url = new URL(this.given.picture, location.href);
      url.searchParams.set("camera", asked);
      const answer = await fetch(url);
      if (!answer.ok) {
        throw new Error(answer.statusText);
      }
      const { shot, note } = await answer.json();
      if (asked === this.camera) {
        this.#take(shot, note);
      }
    } catch {
      if (asked === this.camera) {
        this.note.textContent = "The server does not answer; this is the picture from before.";
      }
    }
  }
}
