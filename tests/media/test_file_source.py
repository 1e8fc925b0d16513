"""Files as sources: repeatable, resumable after any frame, looped without a seam."""

from __future__ import annotations

import os
import threading
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from server.domain.video import PART_MAX_TICKS, TICKS_PER_SECOND
from server.errors import SourceError
from server.media.file_source import FileSource
from tests.clips import H264, H265, MPEG4, make_clip
from tests.media.playing import luma, read, see

FRAMES = 60
FRAME_TICKS = TICKS_PER_SECOND // 25
JITTER = [number * 0.04 + (number * 7 % 5) * 0.006 + (0.4 if number > 20 else 0) for number in range(FRAMES)]
KINDS = ["h264", "h265", "jittery", "odd", "avi", "mkv", "open h264", "open avi"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    there = tmp_path_factory.mktemp("clips")
    return {
        "h264": make_clip(there / "h264.mp4", codec=H264),
        "h265": make_clip(there / "h265.mp4", codec=H265),
        "jittery": make_clip(there / "jittery.mp4", times=JITTER),
        "odd": make_clip(there / "odd.mp4", size=(127, 95)),
        "avi": make_clip(there / "mpeg4.avi", codec=MPEG4),
        "mkv": make_clip(there / "h264.mkv", codec=H264),
        "open h264": make_clip(there / "open.mp4", open_gop=True),
        "open avi": make_clip(there / "open.avi", codec=MPEG4, open_gop=True),
    }


@pytest.mark.parametrize("kind", ["h264", "h265", "mkv"])
def test_the_clips_are_sent_in_another_order_than_they_are_shown(clips: dict[str, Path], kind: str) -> None:
    shown = [packet.pts for part in read(clips[kind]) for packet in part.packets]
    assert shown != sorted(shown)


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_comes_once_in_order(clips: dict[str, Path], kind: str) -> None:
    with av.open(str(clips[kind])) as container:
        reference = [luma(frame) for frame in container.decode(video=0)]
    seen = see(read(clips[kind]))
    assert len(seen) == FRAMES
    assert [brightness for _, brightness, _ in seen] == reference
    times = [pts for pts, _, _ in seen]
    assert times[0] == 0
    assert all(a < b for a, b in pairwise(times))


def test_frames_keep_the_times_of_a_variable_frame_rate(clips: dict[str, Path]) -> None:
    times = [pts for pts, _, _ in see(read(clips["jittery"]))]
    assert np.abs(np.array(times) - np.array(JITTER) * TICKS_PER_SECOND).max() <= TICKS_PER_SECOND // 1000


@pytest.mark.parametrize("kind", KINDS)
def test_decode_times_grow_and_no_picture_is_shown_before_it_is_decoded(
    clips: dict[str, Path], kind: str
) -> None:
    packets = [packet for part in read(clips[kind]) for packet in part.packets]
    assert all(a.dts < b.dts for a, b in pairwise(packets))
    assert all(packet.pts >= packet.dts for packet in packets)


@pytest.mark.parametrize("kind", KINDS)
def test_no_part_is_longer_than_half_a_second(clips: dict[str, Path], kind: str) -> None:
    parts = read(clips[kind], loop=True, limit=20)
    assert all(part.end - part.start <= PART_MAX_TICKS for part in parts if len(part.packets) > 1)
    assert any(len(part.packets) > 1 for part in parts)


@pytest.mark.parametrize("kind", KINDS)
def test_segments_start_at_keyframes(clips: dict[str, Path], kind: str) -> None:
    starts = [part for part in read(clips[kind]) if part.starts_segment]
    assert len(starts) >= 3
    assert all(part.packets[0].keyframe and part.independent for part in starts)


@pytest.mark.parametrize("kind", KINDS)
def test_reading_again_gives_the_same_parts(clips: dict[str, Path], kind: str) -> None:
    assert read(clips[kind]) == read(clips[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_resuming_after_a_frame_gives_exactly_the_frames_after_it(clips: dict[str, Path], kind: str) -> None:
    whole = see(read(clips[kind]))
    for known in range(0, FRAMES, 10):
        after = whole[known][0]
        resumed = see(read(clips[kind], after=after))
        assert [frame for frame in resumed if frame[0] > after] == whole[known + 1 :]


def test_resuming_late_does_not_read_from_the_start(clips: dict[str, Path]) -> None:
    whole = see(read(clips["h264"]))
    first = read(clips["h264"], after=whole[-5][0])[0]
    assert first.independent
    assert first.start > TICKS_PER_SECOND


@pytest.mark.parametrize("kind", ["h264", "h265", "jittery"])
def test_a_looped_file_repeats_its_pictures_on_one_time_line(clips: dict[str, Path], kind: str) -> None:
    seen = see(read(clips[kind], loop=True, limit=18))
    assert len(seen) > 2 * FRAMES
    pictures = [rest for _, *rest in seen]
    assert pictures[FRAMES : 2 * FRAMES] == pictures[:FRAMES]
    steps = np.diff([pts for pts, _, _ in seen])
    assert steps.min() > 0
    assert steps[FRAMES - 1] <= 2 * steps[: FRAMES - 1].max()


@pytest.mark.parametrize("kind", ["h264", "h265", "jittery"])
def test_a_looped_file_resumes_across_the_seam(clips: dict[str, Path], kind: str) -> None:
    whole = see(read(clips[kind], loop=True, limit=30))
    for known in (5, FRAMES - 12, FRAMES - 1, FRAMES, FRAMES + 1, FRAMES + 30, 2 * FRAMES - 3, 2 * FRAMES):
        after = whole[known][0]
        resumed = see(read(clips[kind], loop=True, after=after, limit=10))
        later = [frame for frame in resumed if frame[0] > after]
        assert len(later) > 20
        # The last frames of a cut-off read may lack those before them in decode order.
        expected = whole[known + 1 :][: len(later)]
        assert later[: len(expected) - 4] == expected[: len(expected) - 4]


def test_wall_time_is_the_anchor_plus_the_media_time(clips: dict[str, Path]) -> None:
    source = FileSource(clips["h264"], anchor_us=1_700_000_000_000_000)
    source.open()
    parts = list(source.parts(threading.Event()))
    source.close()
    assert parts[0].start_us - 1_700_000_000_000_000 == parts[0].start * 100 // 9
    assert parts[-1].end_us - parts[0].start_us == pytest.approx(FRAMES / 25 * 1e6, abs=1)


class FakeClock:
    """Time passes only by waiting."""

    def __init__(self, now_us: int) -> None:
        self.us = now_us
        self.waits: list[float] = []

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.us / 1e6

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        self.us += round(seconds * 1e6)
        return stop.is_set()


def test_with_a_clock_no_part_is_handed_on_before_its_time(clips: dict[str, Path]) -> None:
    clock = FakeClock(5_000_000)
    source = FileSource(clips["h264"], anchor_us=5_000_000, clock=clock)
    source.open()
    for part in source.parts(threading.Event()):
        assert clock.us >= part.end_us
    source.close()
    assert sum(clock.waits) == pytest.approx(FRAMES / 25, abs=0.2)


def test_a_late_reader_is_not_held_up(clips: dict[str, Path]) -> None:
    clock = FakeClock(100_000_000)
    source = FileSource(clips["h264"], clock=clock)
    source.open()
    assert len(list(source.parts(threading.Event()))) > 3
    source.close()
    assert clock.waits == []


def test_stopping_ends_an_endless_file(clips: dict[str, Path]) -> None:
    source = FileSource(clips["h264"], loop=True)
    source.open()
    stop = threading.Event()
    taken = 0
    for _ in source.parts(stop):
        taken += 1
        if taken == 12:
            stop.set()
    source.close()
    assert taken == 12


def test_only_a_looped_file_is_live(clips: dict[str, Path]) -> None:
    assert FileSource(clips["h264"], loop=True).live
    assert not FileSource(clips["h264"]).live


def test_the_format_of_the_video_comes_with_every_part(clips: dict[str, Path]) -> None:
    h264, h265, odd = (read(clips[kind])[0].video for kind in ("h264", "h265", "odd"))
    assert (h264.codec, h264.width, h264.height, h264.rate) == ("h264", 128, 96, 25.0)
    assert h265.codec == "hevc"
    assert (odd.width, odd.height) == (127, 95)


def refusal(path: Path) -> SourceError:
    source = FileSource(path)
    with pytest.raises(SourceError) as caught:
        source.open()
    source.close()
    assert path.name in str(caught.value)
    assert str(path.parent) not in str(caught.value)
    return caught.value


def test_a_missing_file_is_told_in_words_and_worth_another_try(tmp_path: Path) -> None:
    error = refusal(tmp_path / "gone.mp4")
    assert "there is no such file" in str(error)
    assert error.retryable


def test_what_is_no_video_is_told_in_words(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("not a video\n" * 100)
    error = refusal(text)
    assert "not a video that can be read" in str(error)
    assert not error.retryable


def test_an_empty_file_is_told_in_words(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert "not a video that can be read" in str(refusal(empty)) or "empty" in str(refusal(empty))


def test_a_directory_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "clips.mp4").mkdir()
    assert "directory" in str(refusal(tmp_path / "clips.mp4"))


def test_sound_alone_is_told_in_words(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    error = refusal(path)
    assert "there is no video in it" in str(error)
    assert not error.retryable


def test_a_file_that_is_cut_off_ends_there(clips: dict[str, Path], tmp_path: Path) -> None:
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(clips["mkv"].read_bytes())
    os.truncate(cut, cut.stat().st_size // 2)
    whole = see(read(clips["mkv"]))
    source = FileSource(cut)
    source.open()
    packets = [packet for part in source.parts(threading.Event()) for packet in part.packets]
    source.close()
    assert 0 < len(packets) < len(whole)


def test_a_file_that_vanishes_between_open_and_reading_is_a_source_error(
    clips: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "short-lived.mp4"
    path.write_bytes(clips["h264"].read_bytes())
    source = FileSource(path)
    source.open()
    path.unlink()
    with pytest.raises(SourceError, match="there is no such file"):
        list(source.parts(threading.Event()))
    source.close()


def test_it_shows_that_it_is_working_where_no_part_comes_for_long(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    signs: list[int] = []
    source = FileSource(clip, working=lambda: signs.append(1))
    source.open()
    source.survey()
    assert signs
    source.close()
