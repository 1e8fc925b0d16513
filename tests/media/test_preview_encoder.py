"""The encoder with a real ffmpeg, and with programs that behave as a bad one."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from server.clock import SystemClock
from server.config import PROJECT_DIR
from server.domain.video import Picture
from server.log import CameraLogger
from server.media import preview_encoder
from server.media.ffmpeg import hls_abilities
from server.media.preview_encoder import (
    FILE_NAME,
    LIST_SIZE,
    PLAYLIST,
    TROUBLE,
    Encoding,
    PreviewEncoder,
    command,
)
from tests.clips import scene
from tests.hls_rules import check_playlist

SMALL = Encoding(width=160, height=90, fps=15, kbps=200)
WITHIN_S = 20.0
START_US = 1_800_000_000_000_000
Feed = Callable[..., None]


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for something that is bound to happen."""
    end = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "previews" / "7"


@contextlib.contextmanager
def running(directory: Path, encoding: Encoding = SMALL, binary: str = "") -> Iterator[PreviewEncoder]:
    """An encoder that is at work."""
    log = CameraLogger(logging.getLogger("test"), 1)
    encoder = PreviewEncoder(binary, directory, encoding, SystemClock(), log)
    encoder.start()
    try:
        yield encoder
    finally:
        encoder.close()
        assert encoder.ended


def feed(encoder: PreviewEncoder, start: float, stop: float, fps: float = 15) -> None:
    """Offer pictures captured from `start` to `stop` seconds, no faster than they are taken."""
    size = encoder.encoding.width, encoder.encoding.height
    for number in range(round(start * fps), round(stop * fps)):
        place = encoder.place(START_US + round(number / fps * 1e6))
        if place is not None:
            until(lambda: len(encoder._jobs) < 6, "it takes no more")
            encoder.offer(place, lambda number=number: scene(number, *size))


def playlist(directory: Path) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return (directory / PLAYLIST).read_bytes()
    return b""


def segments_in(directory: Path) -> int:
    return playlist(directory).count(b"#EXTINF")


def decode(path: Path, directory: Path) -> list[tuple[float, Picture]]:
    """The pictures of one segment, with their times, read with its init segment in front."""
    found = check_playlist(playlist(directory))
    whole = path.with_suffix(".whole.mp4")
    whole.write_bytes((directory / found.init).read_bytes() + path.read_bytes())
    with av.open(str(whole)) as container:
        return [
            (float(frame.time or 0), frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)
        ]


def test_the_playlist_keeps_to_the_rules_and_its_files_play(directory: Path, tmp_path: Path) -> None:
    with running(directory) as encoder:
        feed(encoder, 0, 4.5)
        until(lambda: segments_in(directory) >= 4, "no playlist")
        found = check_playlist(playlist(directory))
        assert found.target == 1 and found.independent and not found.ended
        assert all(duration == 0.6 for _, duration, _ in found.segments)
        assert all(date is not None for _, _, date in found.segments)
        assert all((directory / name).is_file() for name in (found.init, *(s[0] for s in found.segments)))
        assert all(FILE_NAME.fullmatch(name) for name in (found.init, *(s[0] for s in found.segments)))
        for number, (name, _, _) in enumerate(found.segments):
            copy = tmp_path / name
            copy.write_bytes((directory / name).read_bytes())
            pictures = decode(copy, directory)
            assert len(pictures) == 9
            assert pictures[0][1].shape == (90, 160, 3)
            assert pictures[0][0] == pytest.approx(number * 0.6)
        with av.open(str(next(tmp_path.glob("*.whole.mp4")))) as container:
            video = container.streams.video[0]
            assert video.codec_context.name == "h264"
            assert video.average_rate == 15
            assert video.codec_context.pix_fmt == "yuv420p"


def test_the_pictures_are_those_that_were_given_in_the_right_colours(directory: Path, tmp_path: Path) -> None:
    with running(directory) as encoder:
        feed(encoder, 0, 1.5)
        until(lambda: segments_in(directory) >= 1, "no playlist")
        name = check_playlist(playlist(directory)).segments[0][0]
        copy = tmp_path / name
        copy.write_bytes((directory / name).read_bytes())
        for number, (_, picture) in enumerate(decode(copy, directory)):
            assert float(np.abs(picture.astype(int) - scene(number, 160, 90)).mean()) < 8


def test_the_list_moves_on_and_old_segments_are_deleted(directory: Path) -> None:
    with running(directory) as encoder:
        feed(encoder, 0, 3.2)
        until(lambda: segments_in(directory) >= 3, "no playlist")
        first = check_playlist(playlist(directory))
        feed(encoder, 3.2, 2.5 * LIST_SIZE + 0.2)
        until(lambda: check_playlist(playlist(directory)).sequence >= first.sequence + 12, "it stands still")
        found = check_playlist(playlist(directory))
        assert len(found.segments) == LIST_SIZE
        assert found.segments[0][0] == f"{found.segments[0][0].split('-')[0]}-{found.sequence}.m4s"
        assert not (directory / first.segments[0][0]).exists()
        assert len(list(directory.glob("*.m4s"))) <= 2 * LIST_SIZE + 2


@pytest.mark.parametrize("fps", [1, 7.5, 12.5, 30])
def test_every_rate_gives_short_segments_first_and_then_some_of_a_second(directory: Path, fps: float) -> None:
    with running(directory, Encoding(160, 90, fps, 200)) as encoder:
        feed(encoder, 0, 2.2 if fps > 1 else 3, fps)
        until(lambda: segments_in(directory) >= 2, "no playlist")
        early = check_playlist(playlist(directory))
        assert early.target == 1
        assert early.segments[0][1] == pytest.approx(0.6 if fps > 1 else 1, abs=1 / fps - 0.001)
        feed(encoder, 2.2 if fps > 1 else 3, 12.3, fps)
        until(lambda: check_playlist(playlist(directory)).sequence >= early.sequence + 3, "it stands still")
        later = check_playlist(playlist(directory))
        assert later.target == 1
        assert later.segments[-1][1] == pytest.approx(1, abs=1 / fps)
        assert later.segments[-2][1] == pytest.approx(1, abs=1 / fps)


def test_a_slow_source_is_filled_up_and_a_fast_one_thinned_out(directory: Path, tmp_path: Path) -> None:
    for name, fps in (("slow", 5), ("fast", 50)):
        with running(directory / name) as encoder:
            feed(encoder, 0, 2.5, fps)
            until(lambda name=name: segments_in(directory / name) >= 2, "no playlist")
            segment = check_playlist(playlist(directory / name)).segments[1][0]
            copy = tmp_path / segment
            copy.write_bytes((directory / name / segment).read_bytes())
            pictures = decode(copy, directory / name)
            assert len(pictures) == 9
            changes = sum(
                float(np.abs(a.astype(int) - b).mean()) > 2 for (_, a), (_, b) in pairwise(pictures)
            )
            assert (changes <= 4) == (name == "slow")


def test_a_gap_is_skipped_and_the_list_goes_on(directory: Path) -> None:
    with running(directory) as encoder:
        feed(encoder, 0, 2.2)
        feed(encoder, 60, 62.2)
        until(lambda: segments_in(directory) >= 7, "no playlist")
        found = check_playlist(playlist(directory))
        assert sum(duration for _, duration, _ in found.segments) == pytest.approx(4.2)


def test_it_leaves_nothing_behind(directory: Path) -> None:
    with running(directory) as encoder:
        feed(encoder, 0, 1.5)
        until(lambda: segments_in(directory) >= 1, "no playlist")
        process = encoder._process
        assert process is not None
    assert not directory.exists()
    assert process.poll() is not None


def test_what_an_earlier_one_left_is_cleared_and_what_is_not_ours_stays(directory: Path) -> None:
    directory.mkdir(parents=True)
    for name in (PLAYLIST, "init-1.mp4", "1-1.m4s", "1-2.m4s.tmp"):
        (directory / name).write_text("old")
    (directory / "notes").write_text("mine")
    with running(directory) as encoder:
        until(lambda: not (directory / "1-1.m4s").exists(), "the old files stay")
        feed(encoder, 0, 1.5)
        until(lambda: segments_in(directory) >= 1, "no playlist")
        assert not (directory / "init-1.mp4").exists()
    assert [path.name for path in directory.iterdir()] == ["notes"]


def test_the_files_of_another_run_are_left_alone_at_the_end(directory: Path) -> None:
    with running(directory) as encoder:
        feed(encoder, 0, 1.5)
        until(lambda: segments_in(directory) >= 1, "no playlist")
        # Another worker has taken over, in the same directory.
        theirs = b'#EXTM3U\n#EXT-X-MAP:URI="init-99.mp4"\n'
        (directory / "init-99.mp4").write_text("theirs")
        (directory / PLAYLIST).write_bytes(theirs)
    assert (directory / "init-99.mp4").exists()
    assert playlist(directory) == theirs


def test_an_ffmpeg_that_is_killed_is_started_again(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview_encoder, "FIRST_PAUSE", 0.05)
    with running(directory) as encoder:
        feed(encoder, 0, 2.2)
        until(lambda: segments_in(directory) >= 2, "no playlist")
        before = check_playlist(playlist(directory))
        process = encoder._process
        assert process is not None
        process.kill()
        place = 2.2
        while encoder.failures == 0:
            feed(encoder, place, place + 0.1)
            place += 0.1
        until(lambda: encoder._process not in (None, process), "no second one is started")
        feed(encoder, place, place + 2.5)
        until(lambda: segments_in(directory) >= 1 and before.init.encode() not in playlist(directory), "none")
        after = check_playlist(playlist(directory))
        assert after.sequence > before.sequence
        assert not {name for name, _, _ in after.segments} & {name for name, _, _ in before.segments}
        assert encoder.failures == 1 and encoder.trouble == ""
        assert not (directory / TROUBLE).exists()


def bad_ffmpeg(path: Path, then: str) -> str:
    """A program that answers what it is asked about itself, as ffmpeg does, and then does `then`."""
    real = imageio_ffmpeg.get_ffmpeg_exe()
    path.write_text(f'#!/bin/sh\nif [ "$2" = -h ]; then exec {real} "$@"; fi\n{then}\n')
    path.chmod(0o755)
    return str(path)


def test_why_it_does_not_run_is_told_in_words(
    directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = bad_ffmpeg(tmp_path / "ffmpeg", "echo '[x @ 0x1] No space left on device' >&2; exit 1")
    with running(directory, binary=broken) as encoder:
        while not encoder.failures:
            encoder.offer(0, lambda: scene(0, 160, 90))
            time.sleep(0.01)
        until(lambda: (directory / TROUBLE).exists(), "nothing is told")
        assert encoder.trouble == "The preview cannot be encoded: No space left on device"
        assert (directory / TROUBLE).read_text() == encoder.trouble
    assert "No space left on device" in caplog.text
    assert not directory.exists()


def test_a_missing_ffmpeg_is_told_in_words(directory: Path) -> None:
    with running(directory, binary="/nowhere/ffmpeg") as encoder:
        until(lambda: (directory / TROUBLE).exists(), "nothing is told")
        assert "FFMPEG_BINARY" in encoder.trouble


def test_a_pipe_that_is_blocked_blocks_nobody_else_and_is_given_up(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview_encoder, "STUCK_SECONDS", 0.3)
    asleep = bad_ffmpeg(tmp_path / "ffmpeg", "exec sleep 1000")
    large = Encoding(1280, 720, 15, 800)
    with running(directory, large, asleep) as encoder:
        until(lambda: encoder._process is not None, "it is not started")
        process = encoder._process
        assert process is not None
        still = np.zeros((720, 1280, 3), np.uint8)
        for place in range(100):
            # Offered by this thread: were it to wait, the test would.
            encoder.offer(place, lambda: still)
        until(lambda: encoder._busy_since is not None, "it does not write")
        assert encoder.dropped > 0
        until(lambda: encoder.tend() or process.poll() is not None, "it is not killed")
        until(lambda: encoder.failures == 1, "its end is not noticed")


def test_one_that_hears_nothing_is_ended_too(directory: Path, tmp_path: Path) -> None:
    deaf = bad_ffmpeg(tmp_path / "ffmpeg", "trap '' TERM INT HUP; while :; do sleep 0.1; done")
    with running(directory, binary=deaf) as encoder:
        until(lambda: encoder._process is not None, "it is not started")
        process = encoder._process
    assert process is not None and process.poll() == -signal.SIGKILL


def test_a_picture_that_cannot_be_drawn_is_left_out(directory: Path) -> None:
    def broken() -> Picture:
        raise ValueError("no picture")

    with running(directory) as encoder:
        until(lambda: encoder._process is not None, "it is not started")
        encoder.offer(0, broken)
        until(lambda: encoder.failures == 1, "it is not counted")
        feed(encoder, 0, 1.5)
        until(lambda: segments_in(directory) >= 1, "no playlist")


def test_no_ffmpeg_outlives_a_worker_that_is_killed(directory: Path) -> None:
    program = textwrap.dedent(
        f"""
        import logging, sys, time, numpy as np
        from pathlib import Path
        from server.clock import SystemClock
        from server.log import CameraLogger
        from server.media.preview_encoder import Encoding, PreviewEncoder
        encoder = PreviewEncoder("", Path({str(directory)!r}), Encoding(160, 90, 15, 200), SystemClock(),
                                 CameraLogger(logging.getLogger(), 1))
        encoder.start()
        while encoder._process is None:
            time.sleep(0.01)
        encoder.offer(0, lambda: np.zeros((90, 160, 3), np.uint8))
        print(encoder._process.pid, flush=True)
        time.sleep(1000)
        """
    )
    worker = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=PROJECT_DIR)
    assert worker.stdout is not None
    with worker:
        pid = int(worker.stdout.readline())
        os.kill(pid, 0)
        worker.kill()
    until(lambda: not alive(pid), "ffmpeg lives on")


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and that nobody has asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_no_thread_is_left(directory: Path) -> None:
    before = threading.active_count()
    with running(directory) as encoder:
        feed(encoder, 0, 0.5)
    until(lambda: threading.active_count() <= before, "a thread is left")


def test_an_older_ffmpeg_gets_only_what_it_knows() -> None:
    older = frozenset({"fmp4", "delete_segments", "start_number", "hls_time"})
    words = command("ffmpeg", SMALL, older, 5_000_000, 5000)
    assert words[words.index("-hls_flags") + 1] == "delete_segments"
    assert "-hls_delete_threshold" not in words
    newer = command("ffmpeg", SMALL, hls_abilities(imageio_ffmpeg.get_ffmpeg_exe()), 5_000_000, 5000)
    flags = newer[newer.index("-hls_flags") + 1].split("+")
    assert {"delete_segments", "independent_segments", "program_date_time", "temp_file"} <= set(flags)
    assert newer[newer.index("-start_number") + 1] == "5000"
