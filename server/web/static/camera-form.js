// The button that tries out a camera's address. Nothing that was typed is touched.

const LONGEST_MS = 20_000;

const test = document.querySelector("[data-test]");
if (test) {
  begin(test);
}

function begin(box) {
  const form = box.closest("form");
  const button = box.querySelector("[data-test-button]");
  const waiting = box.querySelector("[data-test-waiting]");
  const answer = box.querySelector(".test-answer");
  const refused = box.querySelector(".test-refused");
  const address = form.elements.stream_url;
  const advice = waiting.textContent;
  box.hidden = false;

  // An address that was changed is no longer the one that was refused.
  address.addEventListener("input", () => forget(address, refused));

  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled") === "true") {
      return;
    }
    button.setAttribute("aria-disabled", "true");
    forget(address, refused);
    answer.replaceChildren();
    const begun = performance.now();
    const tell = () => {
      waiting.textContent = `Connecting… ${Math.round((performance.now() - begun) / 1000)} s of up to 12`;
    };
    tell();
    const ticking = window.setInterval(tell, 1000);
    try {
      show(await ask(box, form), form, answer, refused);
    } finally {
      window.clearInterval(ticking);
      waiting.textContent = advice;
      button.removeAttribute("aria-disabled");
    }
  });
}

async function ask(box, form) {
  const sent = new FormData();
  for (const name of ["stream_url", "rtsp_transport", "masks"]) {
    sent.set(name, form.elements[name]?.value ?? "");
  }
  if (box.dataset.camera) {
    sent.set("camera", box.dataset.camera);
  }
  try {
    const response = await fetch(box.dataset.test, {
      method: "POST",
      body: sent,
      headers: { "X-CSRFToken": form.elements.csrf_token.value, Accept: "application/json" },
      redirect: "manual",
      signal: AbortSignal.timeout(LONGEST_MS),
    });
    if (response.type === "opaqueredirect") {
      return problem("You have been signed out. Sign in again in another tab, then test again.");
    }
    if (!(response.headers.get("Content-Type") || "").includes("json")) {
      return problem(
        response.status === 400
          ? "This page has been open for too long. Copy what you typed, load the page again and test again."
          : `The server could not test it (${response.status}). Its log says why.`,
      );
    }
    return await response.json();
  } catch {
    return problem("This server does not answer. Is it running, and is your network up?");
  }
}

function problem(message) {
  return { error: { field: "", message, remedy: "" } };
}

function show(told, form, answer, refused) {
  if (!told.error) {
    answer.replaceChildren(picture(told));
    return;
  }
  const { field, message, remedy } = told.error;
  const at = form.elements[field];
  const sentence = remedy ? `${message} ${remedy}` : message;
  if (field === "stream_url" || !at) {
    refused.textContent = sentence;
    if (field) {
      at.classList.add("is-invalid");
      at.setAttribute("aria-invalid", "true");
      describe(at, refused.id, true);
    }
    return;
  }
  const label = form.querySelector(`label[for="${field}"]`);
  refused.textContent = `${label ? label.textContent.trim() : field}: ${sentence}`;
}

function forget(address, refused) {
  if (!refused.textContent) {
    return;
  }
  refused.textContent = "";
  address.classList.remove("is-invalid");
  address.removeAttribute("aria-invalid");
  describe(address, refused.id, false);
}

function describe(field, id, on) {
  const ids = new Set((field.getAttribute("aria-describedby") || "").split(" ").filter(Boolean));
  if (on) {
    ids.add(id);
  } else {
    ids.delete(id);
  }
  field.setAttribute("aria-describedby", [...ids].join(" "));
}

function picture(told) {
  const figure = document.createElement("figure");
  figure.className = "tested";
  const image = document.createElement("img");
  image.src = told.picture;
  image.width = told.picture_width;
  image.height = told.picture_height;
  image.alt = "What the camera shows";
  const caption = document.createElement("figcaption");
  const good = document.createElement("p");
  good.className = "tested-good";
  good.textContent = "It works.";
  const list = document.createElement("dl");
  for (const [name, value] of told.facts) {
    const term = document.createElement("dt");
    term.textContent = name;
    const said = document.createElement("dd");
    said.textContent = value;
    list.append(term, said);
  }
  caption.append(good, list);
  figure.append(image, caption);
  return figure;
}
