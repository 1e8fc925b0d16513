"""Pictures in, HLS out, by an ffmpeg of its own process that can die or hang without anybody noticing.

The directory holds `index.m3u8`, an init file and segments of a second in fMP4. All names but that of the
playlist begin anew with every ffmpeg, so that nothing old is ever taken for something new.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cv2
import ffmpeg
import numpy as np
import numpy.typing as npt

from server.clock import Clock
from server.domain.video import Picture
from server.errors import ConfigError
from server.log import CameraLogger, redact
from server.media.ffmpeg import ffmpeg_binary, hls_abilities
from server.media.pacing import Pacer

PLAYLIST = "index.m3u8"
FILE_NAME = re.compile(r"index\.m3u8|init-\d{1,20}\.mp4|\d{1,20}-\d{1,20}\.m4s")
"""Every name that somebody may ask for."""
TROUBLE = "trouble.txt"
"""Why there is no picture, for the pages; there only while it is so."""
_OURS = re.compile(rf"(?:{FILE_NAME.pattern})(?:\.tmp)?|trouble\.txt")

SEGMENT_SECONDS = 1
FIRST_SECONDS = 0.6
"""The first segments are shorter, until the list is full: some players begin with the third. Half a second
would be rounded down, to a target duration of 0."""
LIST_SIZE = 8
"""Segments in the playlist; as many again are kept for whoever has read it just before."""
STUCK_SECONDS = 10.0
"""An ffmpeg that has taken nothing for so long hangs and is killed."""
STOP_SECONDS = 2.0
"""How long somebody waits for the end of a preview."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Pauses before another ffmpeg is started after one has died; in seconds, doubling."""
HEALTHY_SECONDS = 30.0
"""Pauses begin from the first again after an ffmpeg has run for so long."""
NICENESS = 10
"""How far an ffmpeg stands behind the analysis when the CPU is short; 0 would be side by side."""
_PIPE_BYTES = 1 << 20
_SAID_LINES, _SAID_LENGTH = 8, 300
_SPEAKER = re.compile(r"^\[[^\]]* @ 0x[0-9a-f]+\] ")
_FLAGS = ("delete_segments", "independent_segments", "program_date_time", "temp_file", "omit_endlist")
"""HLS flags that are set where this ffmpeg knows them; none of them came with its first version."""

Draw = Callable[[], Picture]
"""Makes the picture; called in the encoder's thread, and only if it is needed."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """Even width and height in pixels, pictures a second, thousands of bits a second."""

    width: int
    height: int
    fps: float
    kbps: int


class PreviewEncoder:
    """Encodes in a thread of its own. `offer` and `tend` never wait."""

    def __init__(
        self, configured: str, directory: Path, encoding: Encoding, clock: Clock, log: CameraLogger
    ) -> None:
        """configured: FFMPEG_BINARY. directory: made, and emptied of an earlier preview, when it begins;
        removed at the end."""
        self.encoding = encoding
        self._configured = configured
        self._directory = directory
        self._clock = clock
        self._log = log
        self._pacer = Pacer(encoding.fps)
        self._jobs: deque[tuple[int, Draw]] = deque(maxlen=max(8, round(encoding.fps)))
        self._lock = threading.Condition()
        self._stop = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._busy_since: float | None = None
        self._number = self._written = 0
        """The number of the first segment of this ffmpeg, and the pictures it was given."""
        self._thread = threading.Thread(target=self._run, name=f"preview {directory.name}", daemon=True)
        self.trouble = ""
        """Why there is no picture, in words; empty while all is well."""
        self.dropped = 0
        """Pictures that came faster than they were encoded, so far."""
        self.failures = 0
        """ffmpegs that died, and pictures that could not be drawn, so far."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def place(self, ts_us: int) -> int | None:
        """The place of a picture captured then; None where it is not needed. Ask once a picture."""
        return self._pacer.place(ts_us)

    def offer(self, place: int, draw: Draw) -> None:
        """Encode a picture. While ffmpeg does not keep up the oldest ones are dropped."""
        with self._lock:
            if len(self._jobs) == self._jobs.maxlen:
                self.dropped += 1
            self._jobs.append((place, draw))
            self._lock.notify()

    def tend(self) -> None:
        """Kill an ffmpeg that hangs. Call it about once a second."""
        with self._lock:
            process, since = self._process, self._busy_since
        if process is None or since is None:
            return
        if self._clock.monotonic() - since > STUCK_SECONDS:
            process.kill()

    def stop(self) -> None:
        """Let it end; `ended` says when it has."""
        self._stop.set()
        with self._lock:
            if self._process is not None:
                # Its thread may be waiting for it to take a picture.
                self._process.kill()
            self._lock.notify()

    @property
    def ended(self) -> bool:
        """Whether its thread, its ffmpeg and its files are gone."""
        return not self._thread.is_alive()

    def close(self) -> None:
        """End it, and wait for that, `STOP_SECONDS` at most."""
        self.stop()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            started = self._clock.monotonic()
            try:
                self._encode()
            except (OSError, ConfigError) as error:
                if self._stop.is_set():
                    break
                self.failures += 1
                if self._clock.monotonic() - started > HEALTHY_SECONDS:
                    pause = FIRST_PAUSE
                words = getattr(error, "strerror", None) or str(error)
                self._log.warning("preview: %s; trying again in %.0f s", words, pause)
                self._tell(redact(f"The preview cannot be encoded: {words}"))
                self._clock.wait(self._stop, pause)
                pause = min(LONGEST_PAUSE, 2 * pause)
        self._tell("")
        with contextlib.suppress(OSError):
            self._directory.rmdir()

    def _encode(self) -> None:
        """Run one ffmpeg until told to stop. Raises OSError, ConfigError where it cannot go on."""
        binary = ffmpeg_binary(self._configured)
        abilities = hls_abilities(binary)
        self._directory.mkdir(parents=True, exist_ok=True)
        _clear(self._directory, _OURS)
        run = self._clock.now_us() // 1000
        # Segments last a second, so numbers that begin with the second of the day we are in never go back:
        # neither after a restart nor with another worker. RFC 8216 demands it of a playlist.
        self._number = max(run // 1000, self._number + int(self._written / self.encoding.fps) + 2)
        self._written = 0
        said: deque[str] = deque(maxlen=_SAID_LINES)
        process = subprocess.Popen(
            command(binary, self.encoding, abilities, run, self._number),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=self._directory,
            bufsize=0,
            # Ctrl+C is for us: it is told by its input's end.
            start_new_session=True,
        )
        assert process.stdin is not None and process.stderr is not None
        with contextlib.suppress(OSError):
            # Where the CPU does not suffice, what is counted comes before what is shown.
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        listener = threading.Thread(target=self._listen, args=(process.stderr, said), daemon=True)
        listener.start()
        with self._lock:
            self._process = process
        try:
            self._pump(process.stdin)
        except (OSError, ValueError) as error:
            process.kill()
            listener.join(STOP_SECONDS)
            # The first complaint is the cause, the rest follows from it.
            raise OSError(said[0] if said else "ffmpeg has ended without a word") from error
        finally:
            self._finish(process)
            listener.join(STOP_SECONDS)
            _clear(self._directory, _OURS, run)

    def _pump(self, pipe: IO[bytes]) -> None:
        """Write pictures until told to stop. Raises OSError where the pipe breaks."""
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        last: tuple[int, npt.NDArray[np.uint8]] | None = None
        while (job := self._next()) is not None:
            place, draw = job
            try:
                packed = np.asarray(cv2.cvtColor(draw(), cv2.COLOR_BGR2YUV_I420), np.uint8)
            except Exception:  # noqa: BLE001 - logged and counted
                # The edge of the loop: one picture that cannot be drawn is no reason to end the preview.
                self.failures += 1
                self._log.exception("preview: a picture could not be drawn")
                continue
            if last is not None:
                # More are missing only if ffmpeg has stood still: then it goes on from here.
                for _ in range(min(place - last[0] - 1, round(self.encoding.fps))):
                    self._write(pipe, last[1])
            self._write(pipe, packed)
            last = place, packed
            if self.trouble:
                self._tell("")

    def _tell(self, trouble: str) -> None:
        self.trouble = trouble
        with contextlib.suppress(OSError):
            if trouble:
                self._directory.mkdir(parents=True, exist_ok=True)
                (self._directory / TROUBLE).write_text(trouble, "utf-8")
            else:
                (self._directory / TROUBLE).unlink(missing_ok=True)

    def _next(self) -> tuple[int, Draw] | None:
        with self._lock:
            while not self._jobs and not self._stop.is_set():
                self._lock.wait(1.0)
            return None if self._stop.is_set() else self._jobs.popleft()

    def _write(self, pipe: IO[bytes], packed: npt.NDArray[np.uint8]) -> None:
        left = packed.data.cast("B")
        self._busy_since = self._clock.monotonic()
        while left and not self._stop.is_set():
            left = left[pipe.write(left) :]
        self._busy_since = None
        self._written += 1

    def _finish(self, process: subprocess.Popen[bytes]) -> None:
        """Kill it: a last playlist of its own would only overwrite that of whoever comes next."""
        assert process.stdin is not None
        process.kill()
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.wait()
        with self._lock:
            self._process, self._busy_since = None, None

    def _listen(self, stderr: IO[bytes], said: deque[str]) -> None:
        with stderr:
            for line in stderr:
                words = redact(_SPEAKER.sub("", line.decode("utf-8", "replace").strip())[:_SAID_LENGTH])
                if words:
                    said.append(words)
                    self._log.debug("ffmpeg: %s", words)


def clear_leftovers(directory: Path) -> None:
    """Remove what a worker that was killed has left of a preview: pictures are not to lie about."""
    _clear(directory, _OURS)
    with contextlib.suppress(OSError):
        directory.rmdir()


def command(binary: str, encoding: Encoding, abilities: frozenset[str], run: int, number: int) -> list[str]:
    """The command line; it writes into the directory it runs in.

    run: when it starts, ms since 1970, for names. number: that of the first segment.
    """
    bits = encoding.kbps * 1000
    flags = [flag for flag in _FLAGS if flag in abilities]
    more: dict[str, float] = {"hls_delete_threshold": LIST_SIZE, "hls_init_time": FIRST_SECONDS}
    more = {name: value for name, value in more.items() if name in abilities}
    keyframes = f"n_forced*{SEGMENT_SECONDS}"
    if "hls_init_time" in more:
        later = LIST_SIZE * (SEGMENT_SECONDS - FIRST_SECONDS)
        keyframes = f"if(lt(n_forced,{LIST_SIZE}),n_forced*{FIRST_SECONDS},{keyframes}-{later:g})"
    source = ffmpeg.input(
        "pipe:0",
        format="rawvideo",
        pix_fmt="yuv420p",
        video_size=(encoding.width, encoding.height),
        framerate=encoding.fps,
        # There is nothing to find out, and looking would hold back the first eight pictures for good.
        probesize=32,
        analyzeduration=0,
    )
    output = source.output(
        PLAYLIST,
        vcodec="libx264",
        preset="veryfast",
        tune="zerolatency",
        pix_fmt="yuv420p",
        threads=1,
        g=max(1, round(encoding.fps * SEGMENT_SECONDS)) + 1,
        sc_threshold=0,
        force_key_frames=f"expr:gte(t,{keyframes})",
        video_bitrate=bits,
        maxrate=bits,
        bufsize=bits,
        # What OpenCV converts with; without a word players guess, and guess by size.
        **{
            "profile:v": "main",
            "x264-params": "colormatrix=smpte170m:colorprim=smpte170m:transfer=smpte170m",
        },
        format="hls",
        hls_segment_type="fmp4",
        hls_time=SEGMENT_SECONDS,
        hls_list_size=LIST_SIZE,
        hls_flags="+".join(flags),
        hls_fmp4_init_filename=f"init-{run}.mp4",
        hls_segment_filename=f"{run}-%d.m4s",
        start_number=number,
        **more,
    ).global_args("-hide_banner", "-nostats", "-nostdin", "-loglevel", "error")
    return [str(word) for word in output.compile(cmd=binary, overwrite_output=True)]


def _clear(directory: Path, names: re.Pattern[str], run: int | None = None) -> None:
    """Remove a preview's files, or those of one run alone.

    Another worker may have begun there meanwhile: its files stay.
    """
    with contextlib.suppress(OSError):
        for path in list(directory.iterdir()):
            own = (
                run is None or f"{run}" in path.name or (path.name.startswith(PLAYLIST) and _is_of(path, run))
            )
            if own and names.fullmatch(path.name):
                path.unlink(missing_ok=True)


def _is_of(playlist: Path, run: int) -> bool:
    """Whether a playlist, perhaps half written, is of no other run."""
    with contextlib.suppress(OSError):
        text = playlist.read_text("utf-8", "replace")
        return f"init-{run}.mp4" in text or "init-" not in text
    return False
