/* Plays HLS where the browser can by itself; begins anew when it stands still or gives up. */

import { Trouble, fetchPlaylist } from "./player-fetch.js";
import { parsePlaylist } from "./player-playlist.js";

const LOOK_MS = 700;
const ENOUGH = 3;            // segments; with fewer in the list some browsers give up
const STANDS_MS = 8000;      // a picture that stands for so long: look whether there is a new stream

export function canUseNative(video) {
  return video.canPlayType("application/vnd.apple.mpegurl") !== "";
}

export class NativeStream {
  constructor(video, url, tell) {
    this.video = video;
    this.url = new URL(url, window.location.href).href;
    this.tell = tell;
    this.stopping = new AbortController();
    this.begun = false;
    this.ended = false;
    this.moved = 0;
  }

  start() {
    const { signal } = this.stopping;
    const { video } = this;
    video.addEventListener("timeupdate", () => {
      this.moved = performance.now();
      if (this.begun) this.tell(this.ended ? "ready" : "live", this.ended ? "Recorded" : "Live");
    }, { signal });
    video.addEventListener("error", () => { if (this.begun) this.detach(); }, { signal });
    this.run();
  }

  stop() {
    this.stopping.abort();
    this.detach();
  }

  detach() {
    this.begun = false;
    this.video.removeAttribute("src");
    this.video.load();
  }

  async run() {
    while (!this.stopping.signal.aborted) {
      try {
        await this.look();
      } catch (error) {
        if (this.stopping.signal.aborted) return;
        if (error instanceof Trouble) this.tell(error.state, error.message);
        if (error instanceof Trouble && !error.again) return;
      }
      await new Promise((done) => { setTimeout(done, LOOK_MS); });
    }
  }

  async look() {
    const { video } = this;
    const stands = performance.now() - this.moved > STANDS_MS && !(this.ended && this.begun);
    if (this.begun && !stands) return;
    const list = parsePlaylist(await fetchPlaylist(this.url, this.stopping.signal), this.url);
    if (this.stopping.signal.aborted || (this.begun && video.paused)) return;
    if (!list.ended && list.segments.length < ENOUGH) return;
    this.ended = list.ended;
    this.begun = true;
    this.moved = performance.now();
    video.src = this.url;
    if (video.autoplay) video.play().catch(() => {});
  }
}
