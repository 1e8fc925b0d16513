// The form of a processor shows the sentences of the chosen kind alone; its page keeps the numbers fresh.

const NUMBERS_MS = 5_000;

for (const about of document.querySelectorAll("[data-about]")) {
  const select = document.getElementById(about.dataset.about);
  const show = () => {
    for (const one of about.querySelectorAll("[data-kind]")) {
      one.hidden = one.dataset.kind !== select.value;
    }
  };
  if (select) {
    select.addEventListener("change", show);
    show();
  }
}

async function refresh(list) {
  if (document.hidden) {
    return;
  }
  try {
    const answer = await fetch(list.dataset.numbers, { headers: { Accept: "application/json" } });
    if (!answer.ok || !answer.headers.get("Content-Type")?.includes("json")) {
      return;
    }
    const shown = list.querySelectorAll("dd");
    (await answer.json()).forEach(({ value }, index) => {
      if (shown[index] && shown[index].textContent !== value) {
        shown[index].textContent = value;
      }
    });
  } catch {
    // The server is away for a moment: the numbers stay, and are asked for again.
  }
}

for (const list of document.querySelectorAll("[data-numbers]")) {
  setInterval(() => refresh(list), NUMBERS_MS);
}
