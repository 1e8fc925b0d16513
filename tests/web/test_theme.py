"""The colours of theme.css, held to WCAG 2.1 AA by their numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import server.web

STATIC = Path(server.web.__file__).parent / "static"
GROUNDS = ("bg", "surface", "sunken", "accent-soft", "danger-soft", "good-soft", "warn-soft")
INKS = ("text", "quiet", "accent", "danger", "good", "warn")
ON_COLOURS = (
    ("accent-text", "accent"),
    ("accent-text", "accent-strong"),
    ("danger-text", "danger"),
    ("bar-text", "bar"),
    ("bar-text", "bar-hover"),
)
LINES = (
    *((ink, ground) for ink in ("focus", "field-line") for ground in GROUNDS),
    *((ink, ground) for ink in ("in", "out", "net") for ground in ("bg", "surface")),
    ("bar-mark", "bar"),
)


def themes() -> dict[str, dict[str, str]]:
    """Colours by name, of the light theme and of the dark one."""
    text = (STATIC / "theme.css").read_text()
    light, dark = (
        dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", text, re.DOTALL)
        if "--bg:" in block
    )
    return {"light": light, "dark": light | dark}


def contrast(one: str, other: str) -> float:
    """The ratio of two colours, 1 to 21, as WCAG defines it."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_measure_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_on_every_ground(theme: str) -> None:
    colours = themes()[theme]
    pairs = [(ink, ground) for ink in INKS for ground in GROUNDS] + list(ON_COLOURS)
    weak = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_lines_that_mean_something_stand_out(theme: str) -> None:
    colours = themes()[theme]
    weak = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in LINES}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 3} == {}


def test_every_colour_of_the_light_theme_has_a_dark_one() -> None:
    colours = themes()
    same = {name for name, value in colours["light"].items() if colours["dark"][name] == value}
    assert same <= {"bar-mark"}


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.css")), ids=lambda path: path.name)
def test_style_sheets_use_colours_of_the_theme_that_exist(path: Path) -> None:
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    known = set(re.findall(r"--([\w-]+):", (STATIC / "theme.css").read_text()))
    own = set(re.findall(r"--([\w-]+):", text))
    assert set(re.findall(r"var\(--([\w-]+)", text)) <= known | own
    if path.name != "theme.css":
        assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[^{]*[;}])", text) == []
