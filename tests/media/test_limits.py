"""Headers that claim absurd pictures are refused in words, before memory is taken for them."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from server.clock import SystemClock
from server.domain.video import Part, VideoFormat
from server.errors import SourceError
from server.media.decoder import Decoder
from server.media.file_source import FileSource
from server.media.http_source import HttpSource
from tests import lies
from tests.clips import H264, H265, make_clip
from tests.media.httpd import WebServer, remuxed, whole

HUGE = 16_000, 16_000
FRAME_BYTES = HUGE[0] * HUGE[1] * 3 // 2


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


@pytest.fixture(params=[H264, H265])
def clip(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", codec=request.param, frames=20, size=(64, 48))


def test_a_file_that_claims_a_huge_picture_is_refused(clip: Path) -> None:
    clip.write_bytes(lies.mp4_resized(clip.read_bytes(), *HUGE))
    before = _peak()
    source = FileSource(clip)
    with pytest.raises(SourceError, match=r"clip.mp4: its picture claims to be 16000 x 16000; more than 40"):
        source.open()
    source.close()
    assert _peak() - before < FRAME_BYTES / 2


def test_so_is_a_stream(clip: Path, web: WebServer) -> None:
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    web.answers["/a"] = whole(lies.mp4_resized(remuxed(clip, "mp4", **options), *HUGE))
    clock = SystemClock()
    source = HttpSource(web.url("/a"), anchor_us=0, after=None, clock=clock, networks=frozenset({"loopback"}))
    with pytest.raises(SourceError, match="16000 x 16000"):
        source.open()
    source.close()


def test_a_decoder_refuses_what_grows_huge_in_the_middle(clip: Path, tmp_path: Path) -> None:
    stream = tmp_path / "clip.ts"
    stream.write_bytes(remuxed(clip, "mpegts"))
    source = FileSource(stream)
    source.open()
    part, *_ = source.parts(threading.Event())
    codec = part.video.codec
    lying = [replace(p, data=lies.resized(codec, p.data, *HUGE)) for p in part.packets]
    before = _peak()
    decoder = Decoder(VideoFormat(codec, b"", 64, 48))
    frames = list(decoder.decode(Part(tuple(lying), part.video, 0, True, True), lambda packet: True))
    source.close()
    assert frames == []
    assert decoder.broken > 0
    assert _peak() - before < FRAME_BYTES / 2
