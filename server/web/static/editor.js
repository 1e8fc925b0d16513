// The editor of zones, lines and masks: wherever a page has [data-shapes], the text fields in it get a picture
// to draw on. The text stays what is sent; the picture and it always say the same, or the page says why not.
// [data-shapes-view] shows shapes over a picture and changes nothing.

import { el, sentence } from "./editor-dom.js";
import { fromText, toText } from "./editor-geometry.js";
import { Hand } from "./editor-hand.js";
import { List } from "./editor-list.js";
import { Model } from "./editor-model.js";
import { Picture } from "./editor-picture.js";
import { Tools } from "./editor-tools.js";
import { View } from "./editor-view.js";

const NOUNS = ["zone", "line"];

class Editor {
  constructor(root) {
    this.root = root;
    const { zones, lines, look, kinds } = root.dataset;
    this.fields = { zone: document.getElementById(zones), line: lines ? document.getElementById(lines) : null };
    this.kinds = kinds ? JSON.parse(kinds) : null;
    this.unreadable = { zone: null, line: null }; // why the text cannot be drawn
    this.said = { zone: "", line: "" }; // what text and picture last agreed on
    this.model = new Model();
    if (look === "mask") {
      this.model.words.zone = "mask";
    }
    this.picture = new Picture(root.dataset, { drawable: true });
    this.view = new View(this.picture.svg);
    this.status = el("p", { class: "shape-said", role: "status" });
    this.hint = el("p", { class: "shape-hint" });
    this.hand = new Hand(this.model, this.view, (text, wrong) => this.say(text, wrong));
    this.tools = new Tools(this.model, this.hand);
    this.list = new List(this.model, this.view, this.hand, root.dataset.zones);
    this.textWrong = el("p", { class: "invalid-feedback", role: "alert", hidden: true });
    this.#build();
    this.#listen();
    this.#kind();
    NOUNS.forEach((noun) => this.#read(noun, false));
    this.draw();
  }

  #build() {
    const side = el(
      "div",
      { class: "shape-side" },
      this.list.empty, this.list.root, this.textWrong, keyboardHelp(this.model.words),
    );
    const words = el("div", { class: "shape-words" }, this.status, this.hint);
    const stage = el("div", { class: "shape-main" }, this.tools.root, words, this.picture.root);
    const text = this.root.querySelector("details");
    this.root.classList.add("upgraded");
    if (this.root.dataset.look) {
      this.root.classList.add(this.root.dataset.look);
    }
    text.before(el("div", { class: "shape-editor" }, stage, side));
    text.open = Boolean(text.querySelector(".is-invalid"));
  }

  #listen() {
    const { model } = this;
    model.addEventListener("changed", ({ detail }) => {
      if (detail === "shapes") {
        this.#write();
      }
      this.draw();
    });
    for (const noun of NOUNS) {
      this.fields[noun]?.addEventListener("input", () => this.#read(noun, true));
    }
    this.picture.onsize = (size) => {
      this.view.size = size;
      this.draw();
    };
    this.root.addEventListener("keydown", (event) => this.#shortcut(event));
    // What was said last makes room as soon as somebody goes on.
    for (const name of ["pointerdown", "keydown"]) {
      this.root.addEventListener(name, () => this.say(""), true);
    }
    this.#control("kindField")?.addEventListener("change", () => {
      this.#kind();
      this.draw();
    });
    const camera = this.#control("cameraField");
    camera?.addEventListener("change", () => this.picture.follow(camera.value));
    // After going back the browser puts in what was chosen before.
    if (camera && camera.value !== (this.root.dataset.camera ?? "")) {
      this.picture.follow(camera.value);
    }
  }

  #control(name) {
    const id = this.root.dataset[name];
    return id ? document.getElementById(id) : null;
  }

  /** What the chosen kind can have. */
  #kind() {
    const kind = this.#control("kindField")?.value ?? this.root.dataset.kind;
    const uses = this.kinds?.[kind] ?? { zone: true, line: Boolean(this.fields.line) };
    this.model.uses = { zone: uses.zone, line: uses.line && Boolean(this.fields.line) };
    const what = NOUNS.filter((noun) => this.model.uses[noun]).map((noun) => `a ${this.model.words[noun]}`);
    const need = uses.none ? ` ${uses.none}` : "";
    this.list.empty.textContent = `Nothing is drawn yet. Draw ${what.join(" or ")} on the picture.${need}`;
    if (this.model.draft && !this.model.uses[this.model.draft.noun]) {
      this.model.cancel();
    }
    for (const noun of NOUNS) {
      const group = this.fields[noun]?.closest(".form-group");
      if (group) {
        group.hidden = !this.model.uses[noun] && !this.fields[noun].value.trim();
      }
    }
  }

  /** From the text to the picture, which keeps the last good state where the text makes no sense. */
  #read(noun, remember) {
    const field = this.fields[noun];
    if (!field) {
      return;
    }
    const { shapes, problem = null } = fromText(noun, field.value);
    this.unreadable[noun] = problem;
    if (shapes) {
      this.said[noun] = toText(shapes);
      this.model.replace(noun, shapes, { remember });
    }
    this.draw();
  }

  /** From the picture to the text, where they differ: what says the same in other words stays as typed. */
  #write() {
    for (const noun of NOUNS.filter((one) => this.fields[one])) {
      const text = toText(this.model.of(noun));
      if (text !== this.said[noun]) {
        this.said[noun] = this.fields[noun].value = text;
        this.unreadable[noun] = null;
      }
    }
  }

  #shortcut(event) {
    const typing = event.target.matches("input, textarea");
    if (!(event.ctrlKey || event.metaKey) || event.altKey || typing) {
      return;
    }
    const key = event.key.toLowerCase();
    if (key === "y" || (key === "z" && event.shiftKey)) {
      this.model.redo();
    } else if (key === "z") {
      this.model.undo();
    } else {
      return;
    }
    event.preventDefault();
    this.hand.keepFocus();
  }

  say(text, wrong = false) {
    this.status.textContent = text;
    this.status.classList.toggle("wrong", wrong);
    this.hint.hidden = Boolean(text);
  }

  draw() {
    const { model } = this;
    const wrongs = model.wrongs();
    this.view.draw(model, wrongs);
    this.list.draw(wrongs);
    this.tools.update();
    this.hint.textContent = this.tools.hint();
    const problems = NOUNS.flatMap((noun) => {
      const unread = this.unreadable[noun];
      const words = noun === "line" ? "lines" : `${model.words.zone}s`;
      const whole = wrongs.get(`${noun}s`);
      return [
        unread && `The text of the ${words} cannot be drawn; the picture shows what it last said. ${unread}`,
        whole && sentence(`${words}: ${whole.text}`),
      ].filter(Boolean);
    });
    const text = problems.join(" ");
    if (this.textWrong.textContent !== text) {
      this.textWrong.textContent = text;
    }
    this.textWrong.hidden = !text;
    for (const noun of NOUNS) {
      this.fields[noun]?.classList.toggle("unread", Boolean(this.unreadable[noun]));
    }
  }
}

function keyboardHelp({ zone }) {
  const rows = [
    ["Tab, Enter", `to a ${zone} or line, then to its points`],
    ["Arrows", "move it; with Shift ten times as far"],
    ["+", "adds a point after this one"],
    ["Delete", "removes it"],
    ["Escape", "back from a point, or stops drawing"],
    ["Ctrl+Z, Ctrl+Shift+Z", "undo, redo"],
  ];
  const list = el("dl", {}, ...rows.flatMap(([keys, what]) => [el("dt", {}, keys), el("dd", {}, what)]));
  return el("details", { class: "shape-keys" }, el("summary", {}, "Keyboard"), list);
}

function show(root) {
  const model = new Model();
  const picture = new Picture(root.dataset, { drawable: false });
  const view = new View(picture.svg, { editable: false });
  for (const noun of NOUNS) {
    model.replace(noun, fromText(noun, root.dataset[`${noun}s`] ?? "").shapes ?? [], { remember: false });
  }
  const wrongs = model.wrongs();
  picture.onsize = (size) => {
    view.size = size;
    view.draw(model, wrongs);
  };
  root.append(picture.root);
}

document.querySelectorAll("[data-shapes]").forEach((root) => new Editor(root));
document.querySelectorAll("[data-shapes-view]").forEach(show);
