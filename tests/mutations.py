"""Streams that no camera should send: small clips, each damaged in one of many ways, the same for a seed."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np

from tests.clips import H264, H265, make_clip, scene
from tests.damage import ANY, FRAMES, OF_CONTAINER, TS, Change, Clips, flip, playlist
from tests.media.httpd import mp4_segments, remuxed, ts_segments

SIZE = (64, 48)
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
_TYPES = {"mjpeg": "multipart/x-mixed-replace; boundary=frontier"}


@dataclass(frozen=True, slots=True)
class Case:
    """One stream. `files` by name; the first is what the camera's address names."""

    seed: int
    name: str
    files: tuple[tuple[str, bytes], ...]
    over_http: bool
    content_type: str = "video/any"
    endless: bytes = b""
    """Sent again and again after the first file, over HTTP."""


def make_clips(directory: Path) -> Clips:
    """Encode the clips."""
    whole: dict[tuple[str, str], bytes] = {("mjpeg", "mjpeg"): _mjpeg()}
    made = {}
    for codec, encoder in (("h264", H264), ("hevc", H265)):
        made[codec] = make_clip(directory / f"{codec}.mp4", codec=encoder, size=SIZE, frames=FRAMES, gop=12)
        whole[codec, "mp4"] = made[codec].read_bytes()
        whole[codec, "ts"] = remuxed(made[codec], "mpegts")
        whole[codec, "fmp4"] = remuxed(made[codec], "mp4", **_FRAGMENTED)
    whole["h264", "flv"] = remuxed(made["h264"], "flv")
    whole["h264", "mkv"] = remuxed(made["h264"], "matroska")
    segments = {"ts": (b"", ts_segments(made["h264"])), "fmp4": mp4_segments(made["h264"])}
    return Clips(whole, segments)


def _mjpeg() -> bytes:
    stream = b""
    for number in range(FRAMES // 2):
        _, encoded = cv2.imencode(".jpg", scene(number, *SIZE))
        jpeg = np.asarray(encoded).tobytes()
        stream += b"--frontier\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
        stream += jpeg + b"\r\n"
    return stream


def _strangers() -> dict[str, bytes]:
    """What is no video, or not the video it should be."""
    packed, sound = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("video.mp4", b"x" * 5000)
    with av.open(sound, "w", format="mpegts") as container:
        track = container.add_stream("mp2", rate=44100, layout="mono")
        for number in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 44100, number * 1152
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    _, jpeg = cv2.imencode(".jpg", scene(1, *SIZE))
    _, png = cv2.imencode(".png", scene(1, *SIZE))
    return {
        "nothing": b"",
        "one byte": b"G",
        "text": b"no video today\n" * 300,
        "a page": b"<!doctype html><html><body>Sign in</body></html>",
        "a JPEG": np.asarray(jpeg).tobytes(),
        "a PNG": np.asarray(png).tobytes(),
        "an archive": packed.getvalue(),
        "sound": sound.getvalue(),
        "noise": random.Random(1).randbytes(300_000),
        "zeros": bytes(300_000),
        "sync bytes": b"G" * 300_000,
        "a list of files": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        "a session description": b"v=0\r\nm=video 5000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
        "an endless chain of boxes": b"\x00\x00\x00\x08free" * 20_000,
        "start codes": b"\x00\x00\x01\x67" * 20_000,
    }


Recipe = Callable[[int, random.Random, Clips], Case]


def _plain(
    codec: str, container: str, change: Change | None, seed: int, dice: random.Random, clips: Clips
) -> Case:
    data = clips.whole[codec, container]
    over_http = container in ("fmp4", "flv", "mjpeg") or (container != "mp4" and dice.random() < 0.7)
    if change is not None:
        data = change(data, dice, clips)
    type_ = _TYPES.get(container, "video/any")
    return Case(seed, f"{codec} in {container}", ((f"clip.{container}", data),), over_http, type_)


def _hls(container: str, change: Change | None, seed: int, dice: random.Random, clips: Clips) -> Case:
    init, segments = clips.segments[container]
    segments = list(segments)
    head = '#EXT-X-MAP:URI="init"\n' if init else ""
    if change is not None:
        at = dice.randrange(len(segments))
        if init and dice.random() < 0.5:
            init = change(init, dice, clips)
        else:
            segments[at] = change(segments[at], dice, clips)
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{dice.randrange(5)}\n{head}"
    text += "".join(f"#EXTINF:0.8,\nlive{number}\n" for number in range(len(segments)))
    text += "#EXT-X-ENDLIST\n" * dice.randrange(2)
    files = [("live.m3u8", text.encode()), ("init", init)]
    files += [(f"live{number}", segment) for number, segment in enumerate(segments)]
    return Case(seed, f"HLS of {container}", tuple(files), over_http=True)


def _bad_playlist(container: str, seed: int, dice: random.Random, clips: Clips) -> Case:
    case = _hls(container, None, seed, dice, clips)
    text = playlist(case.files[0][1].decode(), dice)
    return replace(case, files=((case.files[0][0], text.encode("utf-8", "replace")), *case.files[1:]))


def _stranger(name: str, seed: int, dice: random.Random, clips: Clips) -> Case:
    return Case(seed, name, (("clip.ts", _STRANGERS[name]),), dice.random() < 0.6)


def _endless(codec: str, container: str, what: str, seed: int, dice: random.Random, clips: Clips) -> Case:
    """A good start, or none, and then no end."""
    data = clips.whole[codec, container] if dice.random() < 0.7 else b""
    good = clips.whole[codec, container]
    goes_on = {
        "noise": dice.randbytes(50_000),
        "zeros": bytes(50_000),
        "the same": flip(good, dice, clips, most=50),
    }
    return Case(
        seed,
        f"{codec} in {container}",
        ((f"clip.{container}", data),),
        over_http=True,
        content_type=_TYPES.get(container, "video/any"),
        endless=goes_on[what],
    )


_STRANGERS = _strangers()


def _recipes() -> dict[str, Recipe]:
    """All there is, by name; what comes first is intact."""
    pairs = [(codec, kind) for codec in ("h264", "hevc") for kind in ("ts", "fmp4", "mp4")]
    pairs += [("mjpeg", "mjpeg"), ("h264", "flv"), ("h264", "mkv")]
    made: dict[str, Recipe] = {f"{c} in {k}: intact": partial(_plain, c, k, None) for c, k in pairs}
    made |= {f"HLS of {kind}: intact": partial(_hls, kind, None) for kind in ("ts", "fmp4")}
    for codec, kind in pairs:
        changes = {**ANY, **OF_CONTAINER[kind]}
        made |= {
            f"{codec} in {kind}: {how}": partial(_plain, codec, kind, one) for how, one in changes.items()
        }
    for kind in ("ts", "fmp4"):
        changes = {**ANY, **(TS if kind == "ts" else {})}
        made |= {f"HLS of {kind}: {how}": partial(_hls, kind, one) for how, one in changes.items()}
        # Playlists have many ways of their own to be absurd: each comes up again with other dice.
        made |= {f"HLS of {kind}: playlist {n}": partial(_bad_playlist, kind) for n in range(12)}
    made |= {f"{name} for a stream": partial(_stranger, name) for name in _STRANGERS}
    for what in ("noise", "zeros", "the same"):
        for codec, kind in (("h264", "ts"), ("h264", "fmp4"), ("mjpeg", "mjpeg")):
            made[f"{codec} in {kind}: endless {what}"] = partial(_endless, codec, kind, what)
    return made


_RECIPES = _recipes()
INTACT = sum(name.endswith(": intact") for name in _RECIPES)
"""Seeds below this give streams with nothing wrong: one of each kind."""


def case(seed: int, clips: Clips) -> Case:
    """The stream of a seed: each way of damage in turn, with dice of its own."""
    names = list(_RECIPES)
    name = names[seed] if seed < INTACT else names[INTACT + (seed - INTACT) % (len(names) - INTACT)]
    made = _RECIPES[name](seed, random.Random(seed), clips)
    return replace(made, name=f"{name} ({'HTTP' if made.over_http else 'file'})")
