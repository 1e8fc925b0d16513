"""The live camera of these tests: a hall in which people walk, by RTSP, with a password."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import av.video.stream

from server.media.demo.clip import FPS, make_clip
from server.media.demo.scene import HEIGHT, WIDTH
from server.vision.weights import DEMO_ADMIRAL, DEMO_ASTRONAUT
from tests.assets import asset
from tests.media.rtsp import RtspServer, video

USER, PASSWORD = "door", "hall-secret"
SIZE, RATE = (WIDTH, HEIGHT), FPS
ROUNDS = 25
"""How often the clip is played: longer than any test runs."""
MIDDLE = 0.5
"""Everybody walks through the middle of the picture."""


def make_stream(directory: Path) -> Path:
    """The demo clip over and over, as an MPEG transport stream."""
    clip, stream = directory / "demo.mp4", directory / "hall.ts"
    make_clip(clip, asset(DEMO_ASTRONAUT), asset(DEMO_ADMIRAL))
    with av.open(str(stream), "w") as container:
        copy: av.video.stream.VideoStream | None = None
        shift = 0
        for _ in range(ROUNDS):
            with av.open(str(clip)) as given:
                source = given.streams.video[0]
                copy = copy or container.add_stream_from_template(source)
                for packet in given.demux(source):
                    if packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                        packet.stream = copy
                        container.mux(packet)
                shift += source.duration
    return stream


class Hall:
    """The camera: its address, and the switch on its cable."""

    def __init__(self, stream: Path) -> None:
        self._server = RtspServer({"/hall": video(stream)}, user=USER, password=PASSWORD)
        self.url = self._server.url("/hall", f"{USER}:{PASSWORD}")
        """With the password, as people type it."""

    def unplug(self) -> None:
        """Let it be gone."""
        self._server.kill()

    def plug_in(self) -> None:
        """Let it be back at the same address."""
        self._server.start()

    def __enter__(self) -> Hall:
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.close()
