/* The player: upgrades every <div class="player" data-playlist=… data-label=…> of a page.

   data-playlist: an HLS playlist, live or recorded. data-label: what is shown, for those who do not see it.
   data-poster: a picture to show before. data-autoplay: begin at once, muted.
   ?player=mse or ?player=native in the page's address forces one way of playing. */

import { MseStream, canUseMse } from "./player-mse.js";
import { NativeStream, canUseNative } from "./player-native.js";

function make(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  if (text) element.textContent = text;
  return element;
}

function chooseStream(video) {
  const forced = new URLSearchParams(window.location.search).get("player");
  if (forced === "mse") return canUseMse() ? MseStream : null;
  if (forced === "native") return canUseNative(video) ? NativeStream : null;
  if (canUseNative(video)) return NativeStream;
  return canUseMse() ? MseStream : null;
}

class Player {
  constructor(root) {
    this.root = root;
    this.stream = null;
    this.playing = false;
    this.build();
    document.addEventListener("visibilitychange", () => this.follow());
    // A page that is left must not keep its preview alive; one that comes back from the cache goes on.
    window.addEventListener("pagehide", () => this.halt());
    window.addEventListener("pageshow", () => this.follow());
    document.addEventListener("fullscreenchange", () => this.nameFullscreen());
    this.say("stopped", "Stopped");
    if ("autoplay" in root.dataset) this.play();
  }

  build() {
    const { root } = this;
    const label = root.dataset.label || "Video";
    root.replaceChildren();
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", label);
    this.video = make("video", "player-video");
    this.video.muted = true;
    this.video.autoplay = true;
    this.video.playsInline = true;
    this.video.setAttribute("aria-label", label);
    if (root.dataset.poster) this.video.poster = root.dataset.poster;
    this.toggle = make("button", "player-button", "Play");
    this.toggle.type = "button";
    this.toggle.addEventListener("click", () => (this.playing ? this.end() : this.play()));
    this.video.addEventListener("click", () => {
      if (!this.video.controls) this.toggle.click();
    });
    this.wide = make("button", "player-button", "Full screen");
    this.wide.type = "button";
    this.wide.addEventListener("click", () => this.changeFullscreen());
    this.words = make("p", "player-words");
    this.words.setAttribute("role", "status");
    const bar = make("div", "player-bar");
    bar.append(this.toggle, this.words, this.wide);
    root.append(this.video, bar);
  }

  play() {
    this.playing = true;
    this.toggle.textContent = "Stop";
    this.follow();
  }

  end() {
    this.playing = false;
    this.toggle.textContent = "Play";
    this.halt();
    this.say("stopped", "Stopped");
  }

  /* Fetch while it is wanted and can be seen, and not otherwise. */
  follow() {
    if (!this.playing) return;
    if (document.hidden) {
      this.halt();
      this.say("hidden", "Paused while the page is hidden");
    } else if (this.stream === null) this.begin();
  }

  begin() {
    const Stream = chooseStream(this.video);
    if (Stream === null) {
      this.say("failed", "This browser cannot play the video.");
      return;
    }
    this.root.dataset.player = Stream === MseStream ? "mse" : "native";
    this.say("starting", "Starting …");
    const stream = new Stream(this.video, this.root.dataset.playlist, (state, words) => {
      if (this.stream === stream) this.say(state, words);
    });
    this.stream = stream;
    stream.start();
  }

  halt() {
    const { stream } = this;
    this.stream = null;
    if (stream !== null) stream.stop();
  }

  say(state, words) {
    this.root.dataset.state = state;
    if (state === "ready") this.video.controls = true;
    // Only what is new is read out.
    if (this.words.textContent !== words) this.words.textContent = words;
  }

  changeFullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.root.requestFullscreen) this.root.requestFullscreen().catch(() => {});
    else if (this.video.webkitEnterFullscreen) this.video.webkitEnterFullscreen();
  }

  nameFullscreen() {
    this.wide.textContent = document.fullscreenElement === this.root ? "Leave full screen" : "Full screen";
  }
}

for (const root of document.querySelectorAll(".player[data-playlist]")) new Player(root);
