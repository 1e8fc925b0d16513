"use strict";

// Forms that destroy something ask first, in a dialog of ours. Without one the browser asks.
const answered = new WeakSet();

document.addEventListener("submit", async (event) => {
  const form = event.target;
  const question = event.submitter?.dataset.confirm || form.dataset.confirm;
  if (!question || answered.delete(form)) {
    return;
  }
  if (!("HTMLDialogElement" in window)) {
    if (!window.confirm(question)) {
      event.preventDefault();
    }
    return;
  }
  event.preventDefault();
  const button = event.submitter;
  if (await ask(question, form.dataset.confirmYes || button?.textContent.trim() || "Yes")) {
    answered.add(form);
    form.requestSubmit(button);
  }
});

// Resolves to whether the answer was yes. Escape and a press beside the dialog are a no; the focus goes
// back to where it was.
function ask(question, yes) {
  const dialog = document.createElement("dialog");
  dialog.className = "ask";
  dialog.setAttribute("role", "alertdialog");
  dialog.setAttribute("aria-labelledby", "ask-question");
  const text = document.createElement("p");
  text.id = "ask-question";
  text.textContent = question;
  const buttons = document.createElement("div");
  buttons.className = "buttons";
  const button = (label, style, value) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = `btn ${style}`;
    made.textContent = label;
    made.addEventListener("click", () => dialog.close(value));
    buttons.append(made);
    return made;
  };
  const keep = button("Cancel", "btn-secondary", "");
  button(yes, "btn-danger", "yes");
  dialog.append(text, buttons);
  document.body.append(dialog);
  dialog.addEventListener("click", (event) => {
    if (event.target !== dialog) {
      return;
    }
    const box = dialog.getBoundingClientRect();
    const inside = event.clientX >= box.left && event.clientX <= box.right
      && event.clientY >= box.top && event.clientY <= box.bottom;
    if (!inside) {
      dialog.close("");
    }
  });
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    dialog.showModal();
    keep.focus();
  });
}

// On a narrow screen menu and filters open and close.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-menu]");
  if (button) {
    button.setAttribute("aria-expanded", String(button.getAttribute("aria-expanded") !== "true"));
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) {
    return;
  }
  for (const button of document.querySelectorAll('[data-menu][aria-expanded="true"]')) {
    const opened = document.getElementById(button.getAttribute("aria-controls"));
    // Where the screen is wide the button is not shown and nothing was opened by it.
    if (button.offsetParent !== null && (opened?.contains(document.activeElement) || button === document.activeElement)) {
      button.setAttribute("aria-expanded", "false");
      button.focus();
    }
  }
});

// After a form was refused, what is wrong comes first: the list of it, or in short forms the field.
(document.querySelector("[data-errors]") || document.querySelector('[aria-invalid="true"]'))?.focus();

// A link to a field leads into it, also where it lies in something folded.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-errors] a");
  const field = link && document.getElementById(decodeURIComponent(link.hash.slice(1)));
  if (!field) {
    return;
  }
  event.preventDefault();
  for (let around = field.closest("details"); around; around = around.parentElement.closest("details")) {
    around.open = true;
  }
  const target = field.matches("input, select, textarea, button, [tabindex]")
    ? field : field.querySelector("input, select, textarea") || field;
  target.focus();
  target.scrollIntoView({ block: "center" });
});

// Filters that are left empty do not make the address longer.
document.addEventListener("formdata", (event) => {
  if (event.target.matches("form.filters")) {
    for (const [name, value] of [...event.formData]) {
      if (value === "") {
        event.formData.delete(name);
      }
    }
  }
});

// A picture that is not to be had leaves its words in its place. (It may have failed before this script ran.)
function replacePicture(picture) {
  if (picture.dataset?.missing) {
    const words = document.createElement("span");
    words.className = "no-crop";
    words.textContent = picture.dataset.missing;
    words.title = picture.dataset.why || "";
    picture.replaceWith(words);
  }
}

document.addEventListener("error", (event) => replacePicture(event.target), true);
for (const picture of document.querySelectorAll("img[data-missing]")) {
  if (picture.complete && picture.naturalWidth === 0 && picture.currentSrc) {
    replacePicture(picture);
  }
}

// A button that copies the text of the element it names.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) {
    return;
  }
  const element = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(element.textContent);
    button.textContent = "Copied";
  } catch {
    // Clipboards need HTTPS or localhost: mark the text, so that one key copies it.
    window.getSelection().selectAllChildren(element);
  }
});
