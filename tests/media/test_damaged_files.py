"""Files whose times and packets are damaged still give a line that only grows, and end in order."""

from __future__ import annotations

import contextlib
import random
import threading
from itertools import pairwise
from pathlib import Path

import av
import pytest

from server.domain.video import Packet
from server.errors import SourceError
from server.media.file_source import JUMP_TICKS, FileSource
from tests.clips import make_clip
from tests.lies import TS_PACKET, retimed
from tests.media.httpd import remuxed
from tests.mutations import case, make_clips

FRAMES = 40


def _packets(path: Path) -> list[Packet]:
    source = FileSource(path)
    source.open()
    packets = [packet for part in source.parts(threading.Event()) for packet in part.packets]
    source.close()
    return packets


@pytest.fixture
def stream(tmp_path: Path) -> bytes:
    return remuxed(make_clip(tmp_path / "clip.mp4", frames=FRAMES), "mpegts")


@pytest.mark.parametrize("seed", range(4))
def test_times_at_random_move_nothing_far(stream: bytes, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    path = tmp_path / "clip.ts"
    path.write_bytes(retimed(stream, lambda number, ticks: dice.randrange(1 << 33)))
    packets = _packets(path)
    assert len(packets) >= FRAMES - 2
    assert all(a.dts < b.dts for a, b in pairwise(packets))
    assert all(0 <= packet.pts - packet.dts <= JUMP_TICKS for packet in packets)
    assert packets[-1].dts - packets[0].dts < len(packets) * JUMP_TICKS


def test_a_packet_that_comes_twice_comes_later_the_second_time(stream: bytes, tmp_path: Path) -> None:
    pieces = [stream[at : at + TS_PACKET] for at in range(0, len(stream), TS_PACKET)]
    path = tmp_path / "clip.ts"
    path.write_bytes(b"".join(piece for piece in pieces for _ in range(2)))
    packets = _packets(path)
    assert packets
    assert all(a.dts < b.dts for a, b in pairwise(packets))


@pytest.mark.parametrize("seed", [289, 527, 1859])
def test_a_stream_that_appears_while_reading_ends_the_file_in_order(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "damaged.ts"
    path.write_bytes(case(seed, make_clips(tmp_path)).files[0][1])
    with contextlib.suppress(SourceError):
        assert _packets(path)


def test_a_title_in_no_known_encoding_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with (
        av.open(str(make_clip(tmp_path / "plain.mp4", frames=FRAMES))) as source,
        av.open(str(path), "w") as sink,
    ):
        stream = source.streams.video[0]
        copy = sink.add_stream_from_template(stream)
        sink.metadata["title"] = "Tor am Tag"
        for packet in source.demux(stream):
            if packet.size:
                packet.stream = copy
                sink.mux(packet)
    path.write_bytes(path.read_bytes().replace(b"Tor am Tag", b"T\xe9r \xe9m T\xe9g"))
    assert len(_packets(path)) == FRAMES


def test_a_codec_that_nobody_knows_is_told_in_words(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", frames=FRAMES)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz1"))
    with pytest.raises(SourceError, match="of a kind that cannot be decoded here"):
        FileSource(path).open()
