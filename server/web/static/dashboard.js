// The first page: cards of cameras that refresh themselves, are searched, and keep what is urgent in front.

import { Pictures, refresh, say, setLast, setLink, setShot, setState, toggle } from "./live-page.js";

const EVERY_MS = 3000;

const place = document.querySelector("[data-dashboard]");
if (place) {
  begin();
}

function begin() {
  const pictures = new Pictures();
  const seen = new Set();
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const image = entry.target.querySelector("[data-shot]");
        if (entry.isIntersecting) {
          seen.add(entry.target);
          pictures.want(image, image.dataset.shot);
        } else {
          seen.delete(entry.target);
          pictures.forget(image);
        }
      }
    },
    { rootMargin: "150px" },
  );
  for (const card of cards()) {
    watcher.observe(card);
  }
  const search = beginSearch();
  let order = null;

  // Cards are not moved while somebody is in one of them: the keyboard stays where it is.
  place.addEventListener("focusout", () => window.setTimeout(settle));

  function settle() {
    if (order && !place.contains(document.activeElement)) {
      arrange(order);
      order = null;
    }
  }

  function show(told) {
    say(document.querySelector("[data-summary]"), told.summary);
    const note = document.querySelector("[data-note]");
    say(note, told.note);
    toggle(note, Boolean(told.note));
    const known = new Map(cards().map((card) => [card.dataset.glance, card]));
    for (const one of told.cards) {
      let card = known.get(String(one.id));
      known.delete(String(one.id));
      if (!card) {
        card = document.querySelector("[data-template]").content.firstElementChild.cloneNode(true);
        card.dataset.glance = one.id;
        place.append(card);
        watcher.observe(card);
      }
      fill(card, one);
      if (seen.has(card)) {
        pictures.want(card.querySelector("[data-shot]"), one.shot);
      }
    }
    for (const gone of known.values()) {
      watcher.unobserve(gone);
      seen.delete(gone);
      gone.remove();
    }
    steps(told.steps).catch(() => {}); // The next refresh tries again.
    order = told.cards.map((one) => String(one.id));
    search();
    settle();
  }

  const asked = document.querySelector("[data-steps]") ? "?steps=1" : "";
  refresh(place.dataset.dashboard + asked, EVERY_MS, document.querySelector("[data-stale]"), show);
}

// The first steps, drawn anew by the server once one more of them is done, and gone once all are.
async function steps(mark) {
  const shown = document.querySelector("[data-steps]");
  if (mark === undefined || !shown || shown.dataset.steps === mark || shown.contains(document.activeElement)) {
    return;
  }
  const page = await fetch(window.location.pathname, { redirect: "error" }).then((response) => response.text());
  const anew = new DOMParser().parseFromString(page, "text/html").querySelector("[data-steps]");
  if (anew) {
    shown.replaceWith(document.importNode(anew, true));
  } else {
    shown.remove();
  }
}

function cards() {
  return [...place.querySelectorAll("[data-glance]")];
}

function fill(card, one) {
  card.dataset.group = one.group;
  card.dataset.rank = one.rank;
  for (const link of card.querySelectorAll("[data-link]")) {
    setLink(link, one.url);
  }
  say(card.querySelector("[data-name]"), one.name);
  setState(card.querySelector("[data-state]"), one.state);
  say(card.querySelector("[data-reason]"), one.reason);
  number(card.querySelector("[data-people]"), one.people, one.people_note);
  number(card.querySelector("[data-passed]"), one.passed, one.passed_note);
  setLast(card.querySelector("[data-last]"), one.last);
  setShot(card, one);
  toggle(card.querySelector("[data-empty]"), one.rules.length === 0);
  rules(card.querySelector("[data-rules]"), one.rules);
  const add = card.querySelector("[data-add]");
  if (add) {
    setLink(add, one.add);
  }
}

function number(box, value, note) {
  toggle(box, value !== null);
  const [said, why] = box.querySelectorAll("dd");
  say(said, value ?? "");
  say(why, note);
}

function rules(list, wanted) {
  const told = JSON.stringify(wanted);
  if (list.dataset.told === undefined) {
    // What the server has drawn is of a moment ago.
    const drawn = [...list.querySelectorAll("a")].map((link) => link.getAttribute("href"));
    if (drawn.join() === wanted.map((one) => one.url).join()) {
      list.dataset.told = told;
    }
  }
  if (list.dataset.told === told || list.contains(document.activeElement)) {
    return;
  }
  list.dataset.told = told;
  toggle(list, wanted.length > 0);
  list.replaceChildren(
    ...wanted.map((one) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = one.url;
      link.textContent = one.name;
      item.append(link);
      if (one.note) {
        const note = document.createElement("span");
        note.className = "reason";
        note.textContent = one.note;
        item.append(" ", note);
      }
      return item;
    }),
  );
}

// Put the cards into their order; what is in sight stays where it is.
function arrange(order) {
  const present = cards();
  const by = new Map(present.map((card) => [card.dataset.glance, card]));
  const wanted = order.map((id) => by.get(id)).filter(Boolean);
  if (wanted.every((card, index) => card === present[index])) {
    return;
  }
  const anchor = window.scrollY > 0 ? present.find((card) => card.getBoundingClientRect().bottom > 0) : null;
  const before = anchor ? anchor.getBoundingClientRect().top : 0;
  let at = place.firstElementChild;
  for (const card of wanted) {
    if (card === at) {
      at = at.nextElementSibling;
    } else {
      place.insertBefore(card, at);
    }
  }
  if (anchor) {
    window.scrollBy(0, anchor.getBoundingClientRect().top - before);
  }
}

// Search and filter; the address carries both, so that it can be shared. Gives what applies them.
function beginSearch() {
  const form = document.querySelector("[data-search]");
  const none = document.querySelector("[data-none]");
  const given = new URLSearchParams(window.location.search);
  form.elements.search.value = given.get("search") || "";
  form.elements.state.value = given.get("state") || "";
  if (form.elements.state.selectedIndex < 0) {
    form.elements.state.value = "";
  }
  if (given.get("search") || given.get("state")) {
    form.hidden = false;
  }

  function apply() {
    const words = form.elements.search.value.trim().toLowerCase();
    const group = form.elements.state.value;
    let left = 0;
    for (const card of cards()) {
      const name = card.querySelector("[data-name]").textContent.toLowerCase();
      const fits = name.includes(words) && (!group || card.dataset.group === group);
      toggle(card, fits);
      left += fits ? 1 : 0;
    }
    toggle(none, left === 0 && Boolean(words || group));
  }

  function changed() {
    const url = new URL(window.location.href);
    for (const name of ["search", "state"]) {
      const value = form.elements[name].value.trim();
      if (value) {
        url.searchParams.set(name, value);
      } else {
        url.searchParams.delete(name);
      }
    }
    window.history.replaceState(null, "", url);
    apply();
  }

  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  none.querySelector("[data-all]").addEventListener("click", () => {
    form.elements.search.value = "";
    form.elements.state.value = "";
    changed();
    form.elements.search.focus();
  });
  apply();
  return apply;
}
