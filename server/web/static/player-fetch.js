/* Asking for a playlist and its files, and what to say where they are not there. */

export class Trouble extends Error {
  /* `state`: a word for programs. `again`: whether asking again may help. */
  constructor(state, words, again = true) {
    super(words);
    this.state = state;
    this.again = again;
  }
}

async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin", cache: "no-store", redirect: "manual", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble("away", "The server does not answer.");
  }
  if (response.type === "opaqueredirect") {
    throw new Trouble("signed out", "You are signed out. Load the page again.", false);
  }
  return response;
}

/* What is not there comes as a reason with status 200, so that browsers do not log each question as an error. */
function saying(url) {
  const asked = new URL(url, window.location.href);
  asked.searchParams.set("say", "1");
  return asked;
}

function isReason(response) {
  return (response.headers.get("Content-Type") || "").includes("json");
}

/* The playlist's text. Raises Trouble with the server's reason where there is none (yet). */
export async function fetchPlaylist(url, signal) {
  const response = await ask(saying(url), { signal });
  if (isReason(response)) {
    const said = await response.json();
    throw new Trouble(said.state || "missing", said.reason || "There is no picture.", said.state !== "off");
  }
  if (!response.ok) {
    const gone = response.status === 404;
    throw new Trouble("missing", gone ? "There is nothing to show." : "The server has a problem.", !gone);
  }
  return response.text();
}

/* The bytes of a file or of a range in it: {first, last}, both included. */
export async function fetchBytes({ url, range }, signal) {
  const headers = range ? { Range: `bytes=${range.first}-${range.last}` } : {};
  const response = await ask(saying(url), { signal, headers });
  if (!response.ok || isReason(response)) throw new Trouble("missing", "A piece of the video is missing.");
  const bytes = await response.arrayBuffer();
  return range && response.status === 200 ? bytes.slice(range.first, range.last + 1) : bytes;
}
