"""Which ffmpeg there is, and what it can do."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import imageio_ffmpeg

from server.errors import ConfigError

_ASK_SECONDS = 20.0
_FLAG = re.compile(r"^\s+([a-z0-9_]+)\s+(?:-?\d+\s+)?E\.", re.MULTILINE)
_OPTION = re.compile(r"^\s+-([a-z0-9_]+)\s+<", re.MULTILINE)


def ffmpeg_binary(configured: str) -> str:
    """The ffmpeg to run: the one of FFMPEG_BINARY, else the one on PATH, else that of imageio-ffmpeg.

    Raises ConfigError where there is none.
    """
    if configured:
        found = shutil.which(configured)
        if found is None:
            raise ConfigError(f"FFMPEG_BINARY: {configured} is no program that can be run here")
        return found
    found = shutil.which("ffmpeg")
    if found is not None:
        return found
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise ConfigError(
            "there is no ffmpeg: install it, or name one in FFMPEG_BINARY; previews need it"
        ) from error


def hls_abilities(binary: str) -> frozenset[str]:
    """Options and flags of this ffmpeg's HLS muxer, by name. They came one by one over the versions.

    Raises ConfigError where it cannot be run, or cannot write H.264 or fMP4.
    """
    try:
        changed = Path(binary).stat().st_mtime_ns
    except OSError as error:
        raise ConfigError(f"{binary} cannot be read: {error.strerror}") from error
    return _abilities(binary, changed)


@lru_cache(maxsize=8)
def _abilities(binary: str, _changed: int) -> frozenset[str]:
    muxer = _ask(binary, "muxer=hls")
    found = frozenset(_FLAG.findall(muxer)) | frozenset(_OPTION.findall(muxer))
    if "fmp4" not in found:
        raise ConfigError(f"{binary} cannot write HLS in fMP4: it needs to be ffmpeg 3.4 or newer")
    if "Encoder libx264" not in _ask(binary, "encoder=libx264"):
        raise ConfigError(f"{binary} has no libx264, which previews are encoded with")
    return found


def _ask(binary: str, topic: str) -> str:
    try:
        done = subprocess.run(
            [binary, "-hide_banner", "-h", topic],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_ASK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"{binary} cannot be run: {error}") from error
    return done.stdout.decode("utf-8", "replace")
