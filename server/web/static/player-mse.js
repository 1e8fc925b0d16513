/* Plays HLS through Media Source Extensions, where a browser cannot by itself.

   Live: begins near the end and stays there. What is appended goes on without a break in the video's own
   time, however the stream's clock jumps: after a gap, a discontinuity or an encoder that began anew.
   Recorded: loads ahead of where it is played, and follows whoever seeks. */

import { Trouble, fetchBytes, fetchPlaylist } from "./player-fetch.js";
import { readInit, readStart } from "./player-mp4.js";
import { parsePlaylist } from "./player-playlist.js";

const LIVE_SEGMENTS = 2;     // how many of the newest to begin with
const FAR_BEHIND_S = 6;      // jump to the end from here on
const BEHIND_S = 3.2;        // play a little faster from here on …
const NEAR_S = 2;            // … until here
const FASTER = 1.06;
const AHEAD_S = 30;          // how much of a recording is loaded ahead
const KEEP_S = 20;           // how much of what was played is kept
const RETRY_MS = 1000;
const STANDS_MS = 4000;      // no new segment for so long is said

export function canUseMse() {
  return "MediaSource" in window && MediaSource.isTypeSupported('video/mp4; codecs="avc1.4d401f"');
}

export class MseStream {
  /* tell(state, words): called when something changes for the person who watches. */
  constructor(video, url, tell) {
    this.video = video;
    this.url = new URL(url, window.location.href).href;
    this.tell = tell;
    this.stopping = new AbortController();
    this.wake = () => {};
    this.reset();
  }

  start() {
    const { signal } = this.stopping;
    this.video.addEventListener("error", () => { this.broken = true; this.wake(); }, { signal });
    this.video.addEventListener("seeking", () => this.wake(), { signal });
    this.run();
  }

  stop() {
    this.stopping.abort();
    this.wake();
    this.detach();
  }

  get stopped() {
    return this.stopping.signal.aborted;
  }

  reset() {
    this.buffer = null;
    this.source = null;
    this.init = null;          // { key, type, tracks, video } of the init segment appended last
    this.last = null;          // sequence number of the segment appended last
    this.freshAt = performance.now();
    this.joined = false;       // whether the next segment goes on where the last one ended, by its own clock
    this.broken = false;
  }

  detach() {
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = null;
    this.video.removeAttribute("src");
    this.video.load();
    this.reset();
  }

  async run() {
    while (!this.stopped) {
      let wait = RETRY_MS;
      try {
        if (this.broken) this.detach();
        const list = parsePlaylist(await fetchPlaylist(this.url, this.stopping.signal), this.url);
        await (list.ended ? this.takeRecorded(list) : this.takeLive(list));
        wait = list.ended ? 500 : Math.max(300, list.target * 600);
      } catch (error) {
        if (this.stopped) return;
        if (error instanceof Trouble) {
          this.tell(error.state, error.message);
          if (!error.again) return;
        } else {
          // The buffer refuses what it was given: begin anew.
          this.tell("starting", "The video is begun anew …");
          this.broken = true;
        }
      }
      await this.pause(wait);
    }
  }

  pause(milliseconds) {
    return new Promise((done) => {
      const timer = setTimeout(done, milliseconds);
      this.wake = () => { clearTimeout(timer); done(); };
    });
  }

  async takeLive(list) {
    const end = list.first + list.segments.length;
    if (this.last !== null && (end <= this.last || this.last < list.first - 1)) {
      // Begun anew, or so far behind that what comes next is gone.
      if (end <= this.last) this.last = null;
      this.joined = false;
    }
    let fresh = list.segments.filter((one) => !one.gap && (this.last === null || one.sequence > this.last));
    if (this.last === null || fresh.length > 2 * LIVE_SEGMENTS) {
      fresh = fresh.slice(-LIVE_SEGMENTS);
      this.joined = false;
    }
    for (const segment of fresh) {
      if (this.stopped) return;
      try {
        await this.append(segment, () => this.end());
        this.last = segment.sequence;
      } catch (error) {
        if (!(error instanceof Trouble) || !error.again) throw error;
        // Deleted before it could be fetched: go on with the next.
        this.joined = false;
        this.last = segment.sequence;
      }
      this.keepUp();
    }
    this.keepUp();
    if (fresh.length) this.freshAt = performance.now();
    if (this.end() > 0 && fresh.length) this.tell("live", "Live");
    else if (performance.now() - this.freshAt > STANDS_MS) this.tell("waiting", "Waiting for new pictures …");
  }

  async takeRecorded(list) {
    const position = this.video.currentTime;
    let index = list.segments.findIndex((one) => one.start + one.duration > position + 0.05);
    if (index < 0) index = list.segments.length - 1;
    while (index < list.segments.length && !this.stopped && !this.video.seeking) {
      const segment = list.segments[index];
      if (segment.start > this.video.currentTime + AHEAD_S) return;
      if (!segment.gap && !this.holds(segment)) {
        if (this.last !== segment.sequence - 1) this.joined = false;
        await this.append(segment, () => segment.start);
        this.last = segment.sequence;
        if (this.source.duration !== list.duration && !this.buffer.updating) this.source.duration = list.duration;
        this.tell("ready", "Recorded");
      }
      index += 1;
    }
    if (index === list.segments.length && this.source.readyState === "open") this.source.endOfStream();
  }

  holds(segment) {
    const ranges = this.buffer ? this.buffer.buffered : { length: 0 };
    const middle = segment.start + segment.duration / 2;
    for (let i = 0; i < ranges.length; i += 1) {
      if (ranges.start(i) <= middle && middle <= ranges.end(i)) return true;
    }
    return false;
  }

  /* Append a segment; place(): where it goes in the video's time if it does not join the one before. */
  async append(segment, place) {
    const { signal } = this.stopping;
    const key = JSON.stringify(segment.init);
    if (segment.init === null) throw new Trouble("failed", "This kind of video cannot be played here.", false);
    if (this.init === null || this.init.key !== key) {
      const bytes = await fetchBytes(segment.init, signal);
      const init = { key, ...readInit(bytes) };
      await this.open(init);
      await this.feed(bytes);
      this.init = init;
      this.joined = false;
    }
    const bytes = await fetchBytes(segment, signal);
    if (this.stopped) return;
    if (!this.joined || segment.discontinuity) {
      const begins = readStart(bytes, this.init) || 0;
      if (this.buffer.updating) await done(this.buffer);
      this.buffer.timestampOffset = place() - begins;
    }
    await this.trim();
    await this.feed(bytes);
    this.joined = true;
    if (this.video.paused && this.video.autoplay) this.video.play().catch(() => {});
  }

  async open(init) {
    if (!MediaSource.isTypeSupported(init.type)) {
      throw new Trouble("failed", `This browser cannot play ${init.type}.`, false);
    }
    if (this.source === null) {
      this.source = new MediaSource();
      this.address = URL.createObjectURL(this.source);
      this.video.src = this.address;
      await new Promise((opened) => { this.source.addEventListener("sourceopen", opened, { once: true }); });
      this.buffer = this.source.addSourceBuffer(init.type);
    } else if (this.init.type !== init.type) {
      this.buffer.changeType(init.type);
    }
  }

  async feed(bytes) {
    try {
      this.buffer.appendBuffer(bytes);
    } catch (error) {
      if (error.name !== "QuotaExceededError") throw error;
      await this.trim(2);
      this.buffer.appendBuffer(bytes);
    }
    await done(this.buffer);
  }

  async trim(keep = KEEP_S) {
    const ranges = this.buffer.buffered;
    const until = this.video.currentTime - keep;
    if (ranges.length && ranges.start(0) < until - 1) {
      this.buffer.remove(0, until);
      await done(this.buffer);
    }
  }

  end() {
    const ranges = this.buffer && this.buffer.buffered;
    return ranges && ranges.length ? ranges.end(ranges.length - 1) : 0;
  }

  /* Stay close to the end, and step over holes. */
  keepUp() {
    const { video } = this;
    const ranges = video.buffered;
    if (!ranges.length || video.seeking) return;
    const behind = this.end() - video.currentTime;
    let hole = true;
    for (let i = 0; i < ranges.length; i += 1) {
      if (ranges.start(i) <= video.currentTime && video.currentTime <= ranges.end(i)) hole = false;
    }
    if (behind > FAR_BEHIND_S) video.currentTime = this.end() - NEAR_S;
    else if (hole && behind > 0) {
      for (let i = 0; i < ranges.length; i += 1) {
        if (ranges.start(i) > video.currentTime) { video.currentTime = ranges.start(i) + 0.01; break; }
      }
    }
    if (behind > BEHIND_S) video.playbackRate = FASTER;
    else if (behind < NEAR_S) video.playbackRate = 1;
  }
}

function done(buffer) {
  if (!buffer.updating) return Promise.resolve();
  return new Promise((finished, failed) => {
    const ended = new AbortController();
    const { signal } = ended;
    buffer.addEventListener("updateend", () => { ended.abort(); finished(); }, { signal });
    buffer.addEventListener("error", () => { ended.abort(); failed(new Error("refused")); }, { signal });
  });
}
