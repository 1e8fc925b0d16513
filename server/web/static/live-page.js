// What pages that refresh themselves have in common: asking again and again, and changing pictures.

const TIMEOUT_MS = 10_000;
const AT_ONCE = 2;
const BACK_OFF = 5;

// Asks `url` every `everyMs` while the page is seen, and hands what comes to `show`. `stale` is told in words
// when nothing comes, and emptied once something does.
export function refresh(url, everyMs, stale, show) {
  let timer = 0;
  let asking = false;
  let failed = 0;
  let since = clock();

  async function ask() {
    window.clearTimeout(timer);
    if (asking || document.hidden) {
      return;
    }
    asking = true;
    const trouble = await get(url, show);
    asking = false;
    if (trouble === "") {
      failed = 0;
      since = clock();
      say(stale, "");
    } else {
      failed += 1;
      say(stale, `Not refreshed since ${since}: ${trouble}`);
    }
    timer = window.setTimeout(ask, everyMs * Math.min(BACK_OFF, 1 + failed));
  }

  document.addEventListener("visibilitychange", ask);
  timer = window.setTimeout(ask, everyMs);
}

// What went wrong, in words; nothing where it was shown.
async function get(url, show) {
  let told;
  try {
    const response = await fetch(url, {
      headers: { Accept: "application/json" },
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (response.type === "opaqueredirect") {
      return "you have been signed out. Load the page again to sign in.";
    }
    if (response.status === 404) {
      return "this is no longer there, or not for you to see.";
    }
    if (!response.ok) {
      return `the server is in trouble (${response.status}).`;
    }
    told = await response.json();
  } catch {
    return "the server does not answer.";
  }
  show(told);
  return "";
}

function clock() {
  return new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

// Only what is new is written, so that it is read out once and selections stay.
export function say(element, text) {
  if (element && element.textContent !== text) {
    element.textContent = text;
  }
}

export function toggle(element, shown) {
  if (element.hidden === shown) {
    element.hidden = !shown;
  }
}

export function setState(badge, state) {
  if (badge.textContent !== state) {
    badge.textContent = state;
    badge.className = `state state-${state}`;
  }
}

export function setLink(link, url) {
  if (url && link.getAttribute("href") !== url) {
    link.setAttribute("href", url);
  }
}

// What is said of a camera's picture; the picture itself is loaded by and by.
export function setShot(box, told) {
  box.querySelector("[data-shot]").dataset.shot = told.shot || "";
  toggle(box.querySelector("[data-no-shot]"), !told.shot);
  const old = box.querySelector("[data-shot-note]");
  say(old, told.shot_note);
  toggle(old, Boolean(told.shot_note));
}

// "Last event: in at Door, 2 minutes ago"
export function setLast(line, last) {
  toggle(line, Boolean(last));
  if (last) {
    const link = line.querySelector("a");
    setLink(link, last.url);
    say(link, last.what);
    say(line.querySelector("span"), last.ago);
  }
}

// Loads pictures a few at a time, and shows each when it is whole: no flicker, no broken picture.
export class Pictures {
  constructor() {
    this.waiting = new Map();
    this.loading = 0;
  }

  // Show `url` in the place of `image` (an <img data-shot>), soon.
  want(image, url) {
    if (!url || image.dataset.shown === url || image.dataset.loading === url) {
      return;
    }
    this.waiting.set(image, url);
    this.next();
  }

  forget(image) {
    this.waiting.delete(image);
  }

  async next() {
    if (this.loading >= AT_ONCE || this.waiting.size === 0) {
      return;
    }
    const [[image, url]] = this.waiting;
    this.waiting.delete(image);
    this.loading += 1;
    image.dataset.loading = url;
    const loaded = new Image();
    loaded.decoding = "async";
    loaded.src = url;
    try {
      await loaded.decode();
      image.src = url;
      image.hidden = false;
      image.dataset.shown = url;
    } catch {
      // It is gone, or the server is: the picture before stays, and the next refresh tries again.
    }
    delete image.dataset.loading;
    this.loading -= 1;
    this.next();
  }
}
