"use strict";

// Forms that destroy something ask first.
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) {
    event.preventDefault();
  }
});

// On a narrow screen the menu opens and closes.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-menu]");
  if (button) {
    button.setAttribute("aria-expanded", String(button.getAttribute("aria-expanded") !== "true"));
  }
});

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
