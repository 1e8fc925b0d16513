"""A real RTSP server for tests, GStreamer's, in a process of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import pytest

PYTHON = "/usr/bin/python3"
"""The one that Debian's GStreamer bindings are for."""
_SCRIPT = Path(__file__).with_name("rtsp_server.py")
_NEEDED = """
import gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
names = "tsdemux h264parse h265parse aacparse rtph264pay rtph265pay rtpmp4gpay rtppcmapay rtpjpegpay".split()
missing = [name for name in names if not Gst.ElementFactory.find(name)]
raise SystemExit(f"GStreamer lacks {', '.join(missing)}" if missing else 0)
"""
_missing: list[str] = []


def why_not_here() -> str:
    """What this machine lacks; empty if nothing."""
    if not _missing:
        _missing.append(_look())
    return _missing[0]


def _look() -> str:
    try:
        done = subprocess.run(
            [PYTHON, "-W", "ignore", "-c", _NEEDED], capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"GStreamer's RTSP server is not here: {error}"
    if done.returncode == 0:
        return ""
    last = (done.stderr.strip().splitlines() or ["?"])[-1]
    return f"GStreamer's RTSP server is not here (Debian: gir1.2-gst-rtsp-server-1.0): {last}"


def video(clip: Path, codec: str = "h264", audio: str = "") -> str:
    """A launch line that sends a clip in MPEG-TS. audio: "aac" (of the clip) or "pcma" (a tone)."""
    parse = {"h264": "h264parse", "h265": "h265parse"}[codec]
    line = (
        f"filesrc location={clip} ! tsdemux name=clip clip. ! queue ! {parse} config-interval=-1 "
        f"! valve name=valve ! rtp{codec}pay name=pay0 pt=96 "
    )
    if audio == "aac":
        line += "clip. ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 "
    elif audio == "pcma":
        line += (
            "audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 "
            "! alawenc ! rtppcmapay name=pay1 pt=8 "
        )
    return f"( {line})"


TONE = (
    "( audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay0 pt=8 )"
)
"""A launch line without any video."""


class RtspServer:
    """Sends launch lines by path. Skips the test where GStreamer is missing."""

    def __init__(
        self,
        mounts: Mapping[str, str],
        *,
        user: str = "",
        password: str = "",
        auth: str = "digest",
        port: int = 0,
    ) -> None:
        reason = why_not_here()
        if reason:
            pytest.skip(reason)
        self._config = {
            "mounts": dict(mounts), "user": user, "password": password, "auth": auth, "port": port,
        }  # fmt: skip
        self._process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        """Start it, again on the port it had before."""
        self._process = subprocess.Popen(
            [PYTHON, "-W", "ignore", str(_SCRIPT), json.dumps(self._config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self._out.readline()
        assert line.strip().isdigit(), "the RTSP server did not start"
        self.port = self._config["port"] = int(line)

    def url(self, path: str, user: str = "") -> str:
        """Address of a mount. user: "name:password"."""
        return f"rtsp://{f'{user}@' if user else ''}127.0.0.1:{self.port}{path}"

    def stall(self) -> None:
        """Send no more video, but keep connections."""
        self._command("stall")

    def resume(self) -> None:
        """Send video again."""
        self._command("resume")

    def kill(self) -> None:
        """End it as a power cut does; `start` brings it back."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None

    close = kill

    def __enter__(self) -> RtspServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _out(self) -> IO[str]:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout

    def _command(self, word: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        assert self._out.readline().strip() == word
