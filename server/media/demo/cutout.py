"""Takes the people of the demo out of the backgrounds of their pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from server.domain.video import Picture
from server.errors import ModelError

_BAND = 9
"""Half the width, in pixels, of the band around the rough outline in which the real edge is looked for."""
_FEATHER = 1.1
"""Softness of the edge in pixels."""

Alpha = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Cutout:
    """A person without background: `colour` BGR and `alpha` 0..1, of the same height and width."""

    colour: Picture
    alpha: Alpha

    def mirrored(self) -> Cutout:
        """Facing the other way."""
        return Cutout(self.colour[:, ::-1].copy(), self.alpha[:, ::-1].copy())

    def scaled(self, height: int) -> Cutout:
        """`height` pixels high."""
        width = round(self.colour.shape[1] * height / self.colour.shape[0])
        size = (width, height)
        return Cutout(
            cv2.resize(self.colour, size, interpolation=cv2.INTER_AREA).astype(np.uint8),
            cv2.resize(self.alpha, size, interpolation=cv2.INTER_AREA).astype(np.float32),
        )


@dataclass(frozen=True, slots=True)
class _Outline:
    """A person in a picture: rough outline in pixels, and the bottom row that is still used."""

    points: tuple[tuple[int, int], ...]
    bottom: int
    head: int
    """From the top of the hair to the chin, in pixels: people are drawn to one scale by it."""


# Traced by hand on the two pictures, clockwise from the lower left.
_ASTRONAUT = _Outline(
    (
        (20, 520), (22, 440), (32, 350), (44, 290), (72, 256), (124, 234), (112, 190), (128, 166), (152, 152),
        (172, 150), (166, 122), (152, 85), (160, 55), (185, 30), (225, 15), (265, 22), (295, 50), (301, 90),
        (287, 125), (268, 142), (262, 175), (290, 200), (304, 236), (332, 266), (352, 300), (364, 352),
        (395, 345), (440, 352), (480, 390), (497, 450), (507, 520),
    ),
    bottom=470,
    head=175,
)  # fmt: skip
_ADMIRAL = _Outline(
    (
        (12, 610), (20, 520), (35, 430), (62, 380), (120, 352), (182, 335), (192, 300), (168, 275),
        (158, 240), (152, 195), (160, 160), (150, 140), (150, 105), (175, 85), (180, 55), (210, 30),
        (262, 22), (320, 35), (350, 70), (355, 90),
        (370, 100), (370, 140), (362, 175), (377, 200), (366, 260), (346, 300),
        (332, 320), (400, 350), (470, 385), (495, 430), (514, 480), (514, 610),
    ),
    bottom=600,
    head=255,
)  # fmt: skip
LOOKS: Mapping[str, tuple[str, int | None]] = {
    "admiral": ("admiral", None),
    "astronaut": ("astronaut", None),
    "astronaut in blue": ("astronaut", 108),
    "astronaut in green": ("astronaut", 70),
}
"""Name of a look: whose picture it is, and the hue of the suit (OpenCV's half degrees) if it is dyed."""


def cut_all(astronaut: Path, admiral: Path, head_height: int) -> dict[str, Cutout]:
    """All looks, with heads `head_height` pixels high. Raises ModelError for a picture that is unusable."""
    people = {
        "astronaut": _cut(_read(astronaut), _ASTRONAUT, head_height),
        "admiral": _cut(_read(admiral), _ADMIRAL, head_height),
    }
    return {
        look: people[who] if hue is None else Cutout(_dyed(people[who].colour, hue), people[who].alpha)
        for look, (who, hue) in LOOKS.items()
    }


def _read(path: Path) -> Picture:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ModelError(f"{path} is no picture: remove it and run ./start")
    return picture.astype(np.uint8)


def _cut(picture: Picture, outline: _Outline, head_height: int) -> Cutout:
    rough = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(rough, [np.array(outline.points, np.int32)], 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _BAND + 1, 2 * _BAND + 1))
    mask = np.where(rough == 1, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    mask[cv2.dilate(rough, disc) == 0] = cv2.GC_BGD
    mask[cv2.erode(rough, disc, borderValue=1) == 1] = cv2.GC_FGD
    cv2.setRNGSeed(1)
    cv2.grabCut(picture, mask, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    solid = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    solid = cv2.morphologyEx(solid, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(np.uint8)
    alpha = cv2.GaussianBlur(solid.astype(np.float32), (0, 0), _FEATHER).astype(np.float32)
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    top, left, right = rows[0], columns[0], columns[-1] + 1
    whole = Cutout(picture[top : outline.bottom, left:right], alpha[top : outline.bottom, left:right])
    return whole.scaled(round((outline.bottom - top) * head_height / outline.head))


def _dyed(colour: Picture, hue: int) -> Picture:
    """The picture with the suit's orange turned into another colour."""
    hsv = cv2.cvtColor(colour, cv2.COLOR_BGR2HSV)
    hues, saturation, value = cv2.split(hsv)
    # Orange to dark red, in OpenCV's half degrees. The face is of the same hue, but lies above the suit.
    suit = ((hues <= 18) | (hues >= 172)) & (saturation >= 110) & (value >= 30)
    suit[: round(0.36 * len(suit))] = False
    hsv[..., 0][suit] = hue
    hsv[..., 1][suit] = (hsv[..., 1][suit] * 0.6).astype(np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR).astype(np.uint8)
