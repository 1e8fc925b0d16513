"""Streams over HTTP: every kind comes through, nothing else is let in, and all of it ends in time."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from server.clock import Clock, SystemClock
from server.domain.video import Part
from server.errors import SourceError
from server.media.http_source import HttpSource
from tests.clips import H265, make_clip
from tests.media.httpd import (
    Answer,
    StepClock,
    WebServer,
    dripping,
    mjpeg,
    remuxed,
    silent,
    status,
    stream,
    whole,
)
from tests.media.playing import luma, see

LOOPBACK = frozenset({"loopback"})
FRAMES = 60
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
KINDS = {
    "mpegts": ("mpegts", {}, "video/mp2t"),
    "flv": ("flv", {}, "video/x-flv"),
    "matroska": ("matroska", {"live": "1"}, "video/x-matroska"),
    "mp4": ("mp4", FRAGMENTED, "video/mp4"),
}


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=FRAMES)


def source_of(address: str, *, clock: Clock | None = None, after: int | None = None) -> HttpSource:
    clock = clock or StepClock()
    return HttpSource(address, anchor_us=clock.now_us(), after=after, clock=clock, networks=LOOPBACK)


def play(
    source: HttpSource, check: Callable[[list[Part]], bool] = lambda parts: False
) -> tuple[list[Part], str]:
    """(all parts, or until `check` says that it is enough; why it ended)."""
    stop = threading.Event()
    parts: list[Part] = []
    try:
        source.open()
        for part in source.parts(stop):
            parts.append(part)
            if check(parts):
                stop.set()
    except SourceError as error:
        return parts, str(error)
    finally:
        source.close()
    return parts, ""


def pieces(content: bytes, size: int = 1500) -> Answer:
    return stream(lambda: (content[at : at + size] for at in range(0, len(content), size)), "video/any")


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_comes_in_order_and_the_end_is_told(web: WebServer, clip: Path, kind: str) -> None:
    container, options, _ = KINDS[kind]
    web.answers["/a"] = pieces(remuxed(clip, container, **options))
    parts, why = play(source_of(web.url("/a")))
    with av.open(str(clip)) as reference:
        expected = [luma(frame) for frame in reference.decode(video=0)]
    seen = see(parts)
    assert [brightness for _, brightness, _ in seen] == expected
    steps = np.diff([pts for pts, _, _ in seen])
    assert np.abs(steps - 3600).max() <= 90
    assert why == f"127.0.0.1:{web.port}: ended the connection"
    assert parts[0].video.template is not None


def test_h265(web: WebServer, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "h265.mp4", codec=H265)
    web.answers["/a"] = pieces(remuxed(clip, "mpegts"))
    parts, _ = play(source_of(web.url("/a")))
    assert parts[0].video.codec == "hevc"
    assert len(see(parts)) == FRAMES


def test_a_stream_that_begins_in_the_middle_of_a_packet(web: WebServer, clip: Path) -> None:
    content = remuxed(clip, "mpegts", rounds=3)
    web.answers["/a"] = pieces(content[len(content) // 3 + 50 :])
    parts, _ = play(source_of(web.url("/a")))
    assert sum(len(part.packets) for part in parts) > FRAMES


def test_a_stream_joined_long_before_its_next_keyframe_begins_there(web: WebServer, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "long.mp4", frames=300, gop=250)
    content = remuxed(clip, "mpegts")
    web.answers["/a"] = pieces(content[len(content) // 10 :])
    source = source_of(web.url("/a"))
    parts, why = play(source)
    assert "ended the connection" in why
    assert parts[0].independent
    assert len(see(parts)) == 50


def test_a_resolution_that_changes_is_another_format(web: WebServer, clip: Path, tmp_path: Path) -> None:
    other = make_clip(tmp_path / "other.mp4", size=(160, 120))
    web.answers["/a"] = pieces(remuxed(clip, "mpegts") + remuxed(other, "mpegts"))
    parts, _ = play(source_of(web.url("/a")))
    assert [(part.video.width, part.starts_segment) for part in parts if part.independent] == [
        (128, True),
        (128, True),
        (128, True),
        (160, True),
        (160, True),
        (160, True),
    ]
    assert len(see([part for part in parts if part.video.width == 160])) == FRAMES


def test_pictures_in_parts_are_timed_by_their_arrival(web: WebServer) -> None:
    web.answers["/a"] = mjpeg(30, pause=0.05)
    began = time.time_ns() // 1000
    parts, why = play(source_of(web.url("/a"), clock=SystemClock()))
    assert "ended" in why
    assert parts[0].video.codec == "mjpeg"
    times = [packet.pts for part in parts for packet in part.packets]
    assert len(times) >= 28
    assert all(a < b for a, b in pairwise(times))
    took = (time.time_ns() // 1000 - began) / 1e6
    assert (times[-1] - times[0]) / 90_000 == pytest.approx(took, rel=0.3)
    assert len(see(parts)) == len(times)


def test_an_endless_stream_goes_on_until_stopped(web: WebServer, clip: Path) -> None:
    content = remuxed(clip, "mpegts", rounds=20)

    def endless() -> Iterator[bytes]:
        while True:
            yield content

    web.answers["/a"] = stream(endless)
    parts, why = play(source_of(web.url("/a"), clock=SystemClock()), lambda parts: len(parts) > 1000)
    assert why == ""
    packets = [packet for part in parts for packet in part.packets]
    assert all(a.dts < b.dts for a, b in pairwise(packets))


def test_stopping_ends_a_wait_for_a_silent_camera(web: WebServer, clip: Path) -> None:
    content = remuxed(clip, "mpegts", rounds=40)
    web.answers["/a"] = dripping(b"HTTP/1.1 200 OK\r\n\r\n" + content, b"")
    source = source_of(web.url("/a"), clock=SystemClock())
    source.open()
    stop = threading.Event()
    threading.Timer(1.5, stop.set).start()
    began = time.monotonic()
    parts = list(source.parts(stop))
    assert time.monotonic() - began < 3
    assert len(parts) > 50
    source.close()


def test_a_camera_that_falls_silent_is_given_up(web: WebServer, clip: Path) -> None:
    content = remuxed(clip, "mpegts", rounds=3)
    web.answers["/a"] = dripping(b"HTTP/1.1 200 OK\r\n\r\n" + content, b"")
    source = source_of(web.url("/a"), clock=SystemClock())
    source._client._limits.read_seconds = 0.5
    parts, why = play(source)
    assert "has sent nothing for 0.5 s" in why
    assert sum(len(part.packets) for part in parts) >= 3 * FRAMES - 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (whole(b"<!doctype html><p>Sign in", "text/html"), "page for browsers"),
        (whole(b"\xff\xd8\xff\xe0" + bytes(2000), "image/jpeg"), "single picture"),
        (whole(b"", "video/mp2t"), "nothing at all"),
        (whole(b"hello" * 500, "video/mp2t"), "not a video"),
        (whole(b"ffconcat version 1.0\nfile '/etc/passwd'\n"), "not a video"),
        (whole(b"v=0\r\nm=video 5000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"), "not a video"),
        (whole(b"<?xml version='1.0'?><MPD><BaseURL>file:///etc/</BaseURL></MPD>"), "page for browsers"),
        (
            whole(b"--x\r\nContent-Type: text/plain\r\n\r\nhello", "multipart/mixed; boundary=x"),
            "ended the connection",
        ),
        (whole(b"G" + bytes(187)), "127.0.0.1"),
        (status(401), "asks for a user name"),
        (status(404), "no such stream"),
        (silent, "does not answer within"),
    ],
)
def test_what_is_no_video_is_told_in_words(web: WebServer, answer: Answer, words: str) -> None:
    web.answers["/a"] = answer
    source = source_of(web.url("/a", user="admin:hidden"))
    source._client._limits.read_seconds = 0.5
    parts, why = play(source)
    assert parts == []
    assert words in why or (words.startswith("asks") and "refuses the user name" in why)
    assert "hidden" not in why


def test_sound_alone_is_told_in_words(web: WebServer, tmp_path: Path) -> None:
    path = tmp_path / "sound.ts"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("mp2", rate=44100, layout="mono")
        for number in range(40):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 44100, number * 1152
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    web.answers["/a"] = whole(path.read_bytes())
    assert "there is no video in it" in play(source_of(web.url("/a")))[1]


def test_a_forbidden_network_is_not_connected_to(web: WebServer) -> None:
    web.answers["/a"] = whole(b"x")
    source = HttpSource(
        web.url("/a"), anchor_us=0, after=None, clock=StepClock(), networks=frozenset({"public"})
    )
    assert "allowed" in play(source)[1]
    assert web.requests == []


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_streams_end_in_words(web: WebServer, clip: Path, kind: str) -> None:
    container, options, content_type = KINDS[kind]
    intact = remuxed(clip, container, **options)
    for seed in range(12):
        dice = random.Random(seed)
        damaged = bytearray(intact)
        for _ in range(dice.randrange(1, 400)):
            damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        at, length = dice.randrange(len(damaged)), dice.randrange(3000)
        del damaged[at : at + length]
        web.answers["/a"] = whole(bytes(damaged), content_type)
        parts, why = play(source_of(web.url("/a")))
        assert why.startswith("127.0.0.1")
        packets = [packet for part in parts for packet in part.packets]
        assert all(a.dts < b.dts for a, b in pairwise(packets))


def test_nothing_is_left_behind(web: WebServer, clip: Path) -> None:
    web.answers["/good"] = pieces(remuxed(clip, "mpegts"))
    web.answers["/bad"] = whole(b"hello")

    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    play(source_of(web.url("/good")))
    before = open_files()
    for _ in range(10):
        play(source_of(web.url("/good")))
        play(source_of(web.url("/bad")))
        play(source_of(web.url("/gone")))
    deadline = time.monotonic() + 5
    while open_files() > before and time.monotonic() < deadline:
        time.sleep(0.02)  # The server closes its own ends a moment later.
    assert open_files() <= before
