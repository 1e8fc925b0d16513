"""Encodes the demo clip."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import av.error

from server.errors import StorageError
from server.media.demo.choreography import DURATION
from server.media.demo.cutout import cut_all
from server.media.demo.scene import HEAD, HEIGHT, WIDTH, Scene

FPS = 15
KEYFRAME_SECONDS = 2
_TEMPORARY = ".drawing-"


def make_clip(
    path: Path, astronaut: Path, admiral: Path, progress: Callable[[float], None] = lambda _share: None
) -> None:
    """Draw the demo clip and encode it as H.264 in MP4, once: what is there already stays.

    astronaut, admiral: the two pictures. progress: called with the share that is done, 0..1. Raises
    ModelError for unusable pictures and StorageError where the file cannot be written; then nothing
    is left behind.
    """
    if path.exists():
        return
    scene = Scene(cut_all(astronaut, admiral, HEAD))
    with _writing(path) as unfinished, av.open(str(unfinished), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {
            "preset": "veryfast",
            "crf": "22",
            "g": str(FPS * KEYFRAME_SECONDS),
            "sc_threshold": "0",
        }
        frames = round(DURATION * FPS)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(scene.picture(number / FPS), format="bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
            progress((number + 1) / frames)
        container.mux(stream.encode())


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[Path]:
    """A file that becomes `path` when the block ends well, and vanishes otherwise."""
    unfinished: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f"{_TEMPORARY}*"):
            left.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=path.parent)
        os.close(handle)
        unfinished = Path(name)
        yield unfinished
        unfinished.chmod(0o644)
        unfinished.replace(path)
    except (OSError, av.error.FFmpegError) as error:
        if error.errno == errno.ENOSPC:
            raise StorageError(
                f"the disk of {path.parent} is full: make room and run ./start again"
            ) from error
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
