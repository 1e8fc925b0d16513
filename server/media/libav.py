"""The one place that knows libav's exceptions and units."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import av
import av.container
import av.error
import av.logging
import av.video.stream

from server.domain.video import TICKS_PER_SECOND, VideoFormat
from server.errors import SourceError

# libav logs through Python by default, which can deadlock between its threads and ours.
av.logging.set_level(None)

TICK = Fraction(1, TICKS_PER_SECOND)
MOST_PIXELS = 40_000_000
"""A picture that claims to be larger is refused before memory is taken for it: 8K has 33 million."""
LIMITS = {"max_pixels": str(MOST_PIXELS)}
"""Options for all that is opened, since libav decodes a little to learn what a stream is."""

_TEXTS = frozenset({"ansi", "bintext", "idf", "xbin"})
"""What libav draws letters with: it takes any text file for a film of them."""

_REASONS: tuple[tuple[type[Exception], str, bool], ...] = (
    (FileNotFoundError, "there is no such file", True),
    (PermissionError, "the server may not read it", True),
    (IsADirectoryError, "this is a directory, not a video file", False),
    (av.error.InvalidDataError, "this is not a video that can be read", False),
    (av.error.EOFError, "the file is empty or cut off before its first picture", False),
)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn libav's errors into a SourceError that begins with `what` and says the reason in words."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        for kind, reason, retryable in _REASONS:
            if isinstance(error, kind):
                raise SourceError(f"{what}: {reason}", retryable=retryable) from error
        raise SourceError(f"{what}: {error.strerror or type(error).__name__}") from error


def first_video_stream(container: av.container.InputContainer, what: str) -> av.video.stream.VideoStream:
    """The stream to watch. Raises SourceError where there is none that can be decoded."""
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not streams:
        raise SourceError(f"{what}: there is no video in it", retryable=False)
    context = streams[0].codec_context
    if context is None:
        raise SourceError(f"{what}: its video is of a kind that cannot be decoded here")
    if context.name in _TEXTS:
        raise SourceError(f"{what}: this is a text and not a video that can be read", retryable=False)
    if context.width * context.height > MOST_PIXELS:
        raise SourceError(
            f"{what}: its picture claims to be {context.width} x {context.height}; "
            f"more than {MOST_PIXELS // 1_000_000} megapixels are not watched"
        )
    return streams[0]


def video_format(stream: av.video.stream.VideoStream, rotation: int) -> VideoFormat:
    """What the decoder needs to know of a stream."""
    context = stream.codec_context
    return VideoFormat(
        codec=context.codec.name,
        extradata=context.extradata or b"",
        width=context.width,
        height=context.height,
        rate=float(stream.average_rate or stream.guessed_rate or 0),
        rotation=rotation,
        template=stream,
    )


def _is_cover(stream: av.video.stream.VideoStream) -> bool:
    """A picture attached to a sound file is no video."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)
