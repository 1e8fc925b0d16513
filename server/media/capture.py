"""Cameras at this machine: Video4Linux devices."""

from __future__ import annotations

import errno
from pathlib import Path

import av
import av.container
import av.error

from server.clock import Clock
from server.errors import SourceError
from server.media.connection import OPEN_SECONDS, READ_SECONDS, LiveConnection
from server.media.libav import LIMITS

_ENCODED = ("mjpeg", "h264")
"""What devices can encode themselves, in the order to ask for it: every JPEG is a keyframe."""


class CaptureSource(LiveConnection):
    """A device such as /dev/video0 that gives MJPEG or H.264."""

    def __init__(self, device: Path, *, anchor_us: int, after: int | None, clock: Clock) -> None:
        self._device = device
        super().__init__(str(device), anchor_us=anchor_us, after=after, clock=clock)

    def _connect(self) -> av.container.InputContainer:
        for encoding in _ENCODED:
            try:
                container = self._open_as(encoding)
            except av.error.FFmpegError as error:
                if error.errno not in (errno.EINVAL, errno.ENOTSUP) and not isinstance(error, ValueError):
                    raise SourceError(f"{self._what}: {_why_not(error)}") from error
                continue
            if container.streams.video and container.streams.video[0].codec_context.name == encoding:
                return container
            # Drivers take a format they do not have for the next best one.
            container.close()
        raise SourceError(
            f"{self._what}: gives raw pictures only; cameras that give MJPEG or H.264 can be watched",
            retryable=False,
        )

    def _open_as(self, encoding: str) -> av.container.InputContainer:
        return av.open(
            str(self._device),
            "r",
            format="v4l2",
            options=LIMITS,
            container_options={"input_format": encoding},
            timeout=(OPEN_SECONDS, READ_SECONDS),
        )

    def _why_it_stopped(self, error: Exception) -> str:
        if isinstance(error, OSError) and error.errno in (errno.ENODEV, errno.EIO, errno.ENXIO):
            return "the camera was unplugged"
        return super()._why_it_stopped(error)


def _why_not(error: av.error.FFmpegError) -> str:
    if isinstance(error, FileNotFoundError) or error.errno in (errno.ENODEV, errno.ENXIO):
        return "there is no such device; is the camera plugged in?"
    if isinstance(error, PermissionError):
        return "the server may not use it; add its user to the group video"
    if error.errno == errno.EBUSY:
        return "another program uses it"
    if error.errno == errno.ENOTTY:
        return "this is not a camera"
    return error.strerror or type(error).__name__
