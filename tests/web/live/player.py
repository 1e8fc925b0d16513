"""What a page's player really shows: measured at the <video>, not at what is written beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.web.live.people import Person
from tests.web.live.system import SEEN, UP

_LOOK = """
() => {
  const video = document.querySelector("video");
  if (!video || video.readyState < 2 || !video.videoWidth) {
    return null;
  }
  const canvas = document.createElement("canvas");
  canvas.width = 96;
  canvas.height = 54;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(video, 0, 0, canvas.width, canvas.height);
  const pixels = pen.getImageData(0, 0, canvas.width, canvas.height).data;
  return {
    time: video.currentTime,
    size: [video.videoWidth, video.videoHeight],
    native: !video.src.startsWith("blob:") && !video.srcObject,
    pixels: Array.from(pixels),
  };
}
"""
MOVED = 4.0
"""Mean difference of grey levels, in the sixteenth that differs most, from which on somebody has moved."""
_CELLS = 4


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the video. time: its clock, seconds. pixels: small, RGB. native: without Media Source."""

    time: float
    size: tuple[int, int]
    native: bool
    pixels: np.ndarray[Any, np.dtype[np.float32]]

    def differs(self, other: Look) -> float:
        """How much the two pictures differ where they differ most, in grey levels."""
        apart = np.abs(self.pixels - other.pixels).mean(axis=2)
        bands = np.array_split(apart, _CELLS)
        return max(float(cell.mean()) for band in bands for cell in np.array_split(band, _CELLS, axis=1))


def look(person: Person) -> Look | None:
    """What the page's video shows now; None while it shows nothing."""
    found = person.page.evaluate(_LOOK)
    if found is None:
        return None
    pixels = np.array(found["pixels"], np.float32).reshape(54, 96, 4)[:, :, :3]
    return Look(found["time"], tuple(found["size"]), found["native"], pixels)


def await_playing(person: Person, seconds: float = UP) -> Look:
    """Wait until the video's clock runs: two looks, the second a second of video later."""
    first = _await_look(person, seconds)
    found: list[Look] = []

    def runs() -> bool:
        now = look(person)
        if now is not None and now.time >= first.time + 1:
            found.append(now)
        return bool(found)

    person.await_(runs, seconds, "the clock of the video stands still")
    return found[0]


def await_moving(person: Person, seconds: float = SEEN) -> None:
    """Wait until the video shows that somebody has moved."""
    first = _await_look(person, seconds)

    def moved() -> bool:
        now = look(person)
        return now is not None and now.size == first.size and now.differs(first) > MOVED

    person.await_(moved, seconds, "the picture of the video stays the same")


def _await_look(person: Person, seconds: float) -> Look:
    found: list[Look] = []

    def shows() -> bool:
        now = look(person)
        if now is not None:
            found.append(now)
        return now is not None

    person.await_(shows, seconds, "the video shows nothing")
    return found[0]
