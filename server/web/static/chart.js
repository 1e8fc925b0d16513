// The page of a chart: draws what it was given, reads out buckets, and asks again while time goes on.

import { band, draw } from "./chart-draw.js";

const REFRESH_MS = 10_000;
const CURRENT = "Refreshes by itself.";
const PAGE = 10; // Buckets that Page Up and Page Down skip.

const LEGEND = {
  passed: "Passed",
  in: "In, upwards",
  out: "Out, downwards",
  net: "Net",
  peak: "Most at once",
  average: "On average",
};

/** An HTML element with text or children. */
function make(name, className = "", ...content) {
  const element = document.createElement(name);
  element.className = className;
  element.append(...content);
  return element;
}

function figure(value, name) {
  if (value === null || value === undefined) {
    return "–";
  }
  const text = value.toLocaleString("en", name === "average" ? { minimumFractionDigits: 2 } : {});
  return (name === "net" && value > 0 ? `+${text}` : text).replace("-", "−");
}

function percent(share) {
  if (share === null) {
    return "–";
  }
  if (share === 0 || share === 1) {
    return `${share * 100} %`;
  }
  return share < 0.01 ? "under 1 %" : share > 0.99 ? "over 99 %" : `${Math.round(share * 100)} %`;
}

class Chart {
  constructor(root, data) {
    this.root = root;
    this.plot = root.querySelector(".chart-plot");
    this.read = root.querySelector(".chart-read");
    this.tip = make("div", "chart-tip");
    this.tip.hidden = true;
    this.chosen = null; // The beginning of the bucket that is looked at.
    this.drawn = null;
    this.data = data;
    this.legend();
    this.listen();
    new ResizeObserver(() => this.redraw()).observe(this.plot);
  }

  listen() {
    this.plot.addEventListener("keydown", (event) => this.key(event));
    this.plot.addEventListener("focus", () => {
      if (this.plot.matches(":focus-visible")) {
        this.choose(this.index() ?? this.first(), true);
      }
    });
    this.plot.addEventListener("blur", () => this.choose(null));
    for (const kind of ["pointermove", "pointerdown"]) {
      this.plot.addEventListener(kind, (event) => this.choose(this.under(event.clientX)));
    }
    this.plot.addEventListener("pointerleave", (event) => {
      // A finger that lets go leaves the value to be read.
      if (event.pointerType === "mouse" && document.activeElement !== this.plot) {
        this.choose(null);
      }
    });
    document.addEventListener("pointerdown", (event) => {
      if (!this.plot.contains(event.target)) {
        this.choose(null);
      }
    });
  }

  show(data) {
    this.data = data;
    this.redraw();
    this.legend();
  }

  redraw() {
    const width = this.plot.clientWidth;
    const height = this.plot.clientHeight;
    if (!width || !height) {
      return;
    }
    this.drawn = draw(this.data, width, height);
    const index = this.index();
    this.plot.replaceChildren(this.drawn.svg, this.tip);
    this.choose(index === -1 ? null : index);
  }

  legend() {
    const entries = this.data.series.map(({ name }) => [name, this.name(name)]);
    if (this.data.unobserved.length) {
      entries.push(["unobserved", "Not observed"]);
    }
    const list = this.root.querySelector(".chart-legend");
    list.replaceChildren(
      ...entries.map(([name, text]) => make("li", "", make("span", `key key-${name}`), text)),
    );
  }

  name(name) {
    return name === "peak" && this.data.steps ? "People there" : LEGEND[name];
  }

  /** The number of the bucket that is looked at; null where none is. */
  index() {
    if (this.chosen === null) {
      return null;
    }
    return this.data.buckets.findIndex((bucket) => bucket.start === this.chosen);
  }

  /** Where the keyboard begins: the present, or the beginning. */
  first() {
    const now = Date.parse(this.data.now);
    const here = this.data.buckets.findIndex((one) => Date.parse(one.stop) > now);
    return this.data.running && here >= 0 ? here : 0;
  }

  under(clientX) {
    if (!this.drawn) {
      return null;
    }
    const x = clientX - this.plot.getBoundingClientRect().left;
    const index = this.drawn.columns.findIndex((column) => x < column.to);
    return index === -1 ? this.drawn.columns.length - 1 : index;
  }

  key(event) {
    const last = this.data.buckets.length - 1;
    const here = this.index() ?? this.first();
    const moves = {
      ArrowLeft: here - 1,
      ArrowRight: here + 1,
      PageUp: here - PAGE,
      PageDown: here + PAGE,
      Home: 0,
      End: last,
    };
    if (event.key === "Escape") {
      this.choose(null);
    } else if (event.key in moves && !event.altKey && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      this.choose(Math.min(Math.max(moves[event.key], 0), last), true);
    }
  }

  /** Look at a bucket, or at none. aloud: whether a screen reader is to say it. */
  choose(index, aloud = false) {
    this.plot.querySelector(".band")?.remove();
    const column = index === null ? undefined : this.drawn?.columns[index];
    this.tip.hidden = column === undefined;
    this.chosen = column?.bucket.start ?? null;
    if (column === undefined) {
      this.read.textContent = "";
      return;
    }
    const lines = this.lines(column.bucket);
    this.tip.replaceChildren(
      make("strong", "", column.bucket.label),
      ...lines.map(([name, text]) => make("span", "", ...(name ? [make("i", `key key-${name}`)] : []), text)),
    );
    this.drawn.svg.querySelector("defs").after(band(column, this.drawn.space));
    this.place(column);
    if (aloud) {
      this.read.textContent = [column.bucket.label, ...lines.map(([, text]) => text)].join(", ");
    }
  }

  /** What a bucket says, line by line. */
  lines(bucket) {
    if (bucket.observed === null) {
      return [["", "yet to come"]];
    }
    const values = this.data.series
      .filter(({ name }) => bucket[name] !== null)
      .map(({ name, label }) => [name, `${label} ${figure(bucket[name], name)}`]);
    if (bucket.observed === 1) {
      return values;
    }
    const [from, to] = [Date.parse(bucket.start), Date.parse(bucket.stop)];
    const gap = this.data.unobserved.find(
      (one) => Date.parse(one.start) < to && Date.parse(one.stop) > from,
    );
    const seen = bucket.observed ? `${percent(bucket.observed)} observed` : "Not observed";
    return [...values, ["unobserved", gap ? `${seen}: ${gap.why}` : seen]];
  }

  place(column) {
    const middle = (column.from + column.to) / 2;
    const room = this.plot.clientWidth - this.tip.offsetWidth;
    const beside = middle > this.plot.clientWidth / 2 ? middle - this.tip.offsetWidth - 14 : middle + 14;
    this.tip.style.left = `${Math.min(Math.max(beside, 0), Math.max(room, 0))}px`;
  }
}

/** The parts of the page around the drawing. */
function describe(data) {
  document.getElementById("chart-title").textContent = data.title;
  document.getElementById("chart-sums").replaceChildren(
    ...data.sums.map((sum) =>
      make("div", `chart-${sum.name}`, make("dd", "", sum.value), make("dt", "", sum.label)),
    ),
  );
  const note = document.getElementById("chart-note");
  note.textContent = data.note;
  note.hidden = !data.note;
  document.getElementById("chart").hidden = Boolean(data.note);
  document.getElementById("chart-rows").replaceChildren(...data.buckets.map((bucket) => row(bucket, data)));
}

function row(bucket, data) {
  const heading = make("th", "", bucket.label);
  heading.scope = "row";
  return make(
    "tr",
    "",
    heading,
    ...data.series.map(({ name }) => make("td", "number", figure(bucket[name], name))),
    make("td", "number", percent(bucket.observed)),
  );
}

async function ask(source) {
  const response = await fetch(source, { headers: { Accept: "application/json" } });
  if (!response.ok || response.redirected) {
    throw new Error(`the server answered ${response.status}`);
  }
  return response.json();
}

function start() {
  const holder = document.getElementById("chart-data");
  if (!holder) {
    return;
  }
  let data = JSON.parse(holder.textContent);
  const root = document.getElementById("chart");
  const chart = new Chart(root, data);
  const fresh = document.getElementById("chart-fresh");

  async function refresh() {
    if (document.hidden) {
      return;
    }
    try {
      const found = await ask(root.dataset.source);
      if (found.start !== data.start) {
        // Midnight has passed: titles and links are those of another day.
        window.location.reload();
        return;
      }
      data = found;
      describe(data);
      chart.show(data);
      fresh.textContent = CURRENT;
    } catch {
      fresh.textContent = "This is not current: the server does not answer. It is tried again.";
    }
  }

  if (data.running) {
    fresh.textContent = CURRENT;
    window.setInterval(refresh, REFRESH_MS);
    document.addEventListener("visibilitychange", refresh);
  }
}

start();
