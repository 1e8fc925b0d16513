// A camera's own page: its picture and its numbers refresh themselves.

import { Pictures, refresh, say, setLast, setShot, setState, toggle } from "./live-page.js";

const EVERY_MS = 2000;

const place = document.querySelector("[data-live]");
if (place) {
  begin();
}

function begin() {
  const pictures = new Pictures();
  const image = place.querySelector("[data-shot]");
  pictures.want(image, image.dataset.shot);
  let known = "";

  function show(told) {
    const now = `${told.card.state} ${told.card.reason}`;
    if (now !== known) {
      known = now;
      renewLog();
    }
    setState(place.querySelector("[data-state]"), told.card.state);
    say(place.querySelector("[data-reason]"), told.card.reason);
    pictures.want(image, told.card.shot);
    setShot(place, told.card);
    for (const value of place.querySelectorAll("[data-number]")) {
      say(value, told.numbers[value.dataset.number]);
    }
    const note = place.querySelector("[data-numbers-note]");
    say(note, told.numbers_note);
    toggle(note, Boolean(told.numbers_note));
    for (const rule of told.rules) {
      const line = place.querySelector(`[data-rule="${rule.id}"]`);
      if (line) {
        say(line.querySelector("[data-value]"), rule.value);
        say(line.querySelector("[data-note]"), rule.note);
        say(line.querySelector("[data-detail]"), rule.detail);
        setLast(line.querySelector("[data-last]"), rule.last);
      }
    }
  }

  refresh(place.dataset.live, EVERY_MS, place.querySelector("[data-stale]"), show);
}

// The log of states, as the page would show it now; whoever reads older entries is left alone.
async function renewLog() {
  const log = document.getElementById("log");
  const address = new URL(location.href);
  if (!log || address.searchParams.has("before") || log.contains(document.activeElement)) {
    return;
  }
  try {
    const answer = await fetch(address);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = answer.ok && page.getElementById("log");
    if (fresh) {
      log.replaceChildren(...fresh.childNodes);
    }
  } catch {
    // The numbers above say that the server does not answer.
  }
}
