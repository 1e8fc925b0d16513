"""Kinds of processors: found by themselves, and exact about what they are given."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server import processors
from server.errors import InvalidInput
from server.processors import KINDS, create

ZONE = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]
LINE = [[0.1, 0.5], [0.9, 0.5]]

NEW_KIND = """
from server.domain.events import Event
from server.processors.base import BaseProcessor


class Knocks(BaseProcessor):
    kind = "knocks"
    title = "Knocks: one for every frame"

    def take_options(self, options):
        self.loud = options.pop("loud", False)

    def begin(self, ts_us):
        return []

    def process(self, ts_us, tracks):
        return [Event(ts_us=ts_us, key=str(ts_us), data={"loud": self.loud})]

    def forget(self):
        pass

    def state(self):
        return {}

    def restore(self, state):
        pass
"""


@pytest.mark.parametrize(
    ("kind", "values", "field", "words"),
    [
        ("nonesuch", {}, "kind", "'nonesuch' is not one of persons, traffic"),
        ("persons", {"zones": "all"}, "zones", "a list"),
        ("persons", {"zones": None}, "zones", "a list"),
        ("persons", {"zones": [ZONE, ZONE[:2]]}, "zones", "number 2: a zone needs at least three points"),
        ("traffic", {"lines": [ZONE]}, "lines", "number 1: a line needs exactly two points"),
        ("persons", {"lines": [LINE]}, "lines", "a persons processor has no lines"),
        (
            "traffic",
            {"zones": [{"name": "Door", "points": ZONE}], "lines": [{"name": "Door", "points": LINE}]},
            "lines",
            'number 1, "Door": zone 1 has this name too',
        ),
        ("persons", {"confidence": 1.5}, "confidence", "not a number from 0 to 1"),
        ("persons", {"confidence": "high"}, "confidence", "not a number from 0 to 1"),
        ("persons", {"confidence": True}, "confidence", "not a number from 0 to 1"),
        ("persons", {"confidence": float("nan")}, "confidence", "not a number from 0 to 1"),
        ("persons", {"options": ["labels"]}, "options", "an object"),
        ("persons", {"options": {"labels": "person"}}, "options", "labels: a list"),
        ("persons", {"options": {"labels": []}}, "options", "labels: a list"),
        ("persons", {"options": {"labels": ["cat"]}}, "options", "labels: a list of some of person"),
        ("persons", {"options": {"labels": [["person"]]}}, "options", "labels: a list"),
        ("persons", {"options": {"anchor": "head"}}, "options", "anchor: one of centre, foot"),
        ("persons", {"options": {"speed": 3}}, "options", "a persons processor has no option 'speed'"),
        ("traffic", {"lines": [LINE], "options": {"zz": 1, "a": 2}}, "options", "has no option 'a'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field(
    kind: str, values: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        create(kind, **values)
    assert refusal.value.field == field
    assert words in refusal.value.message


def test_options_that_were_given_are_not_changed() -> None:
    options = {"labels": ["car"], "anchor": "foot"}
    create("persons", options=options)
    assert options == {"labels": ["car"], "anchor": "foot"}


def test_every_kind_says_what_it_is() -> None:
    assert list(KINDS) == ["persons", "traffic"]
    assert {kind: cls.metric for kind, cls in KINDS.items()} == {"persons": "objects", "traffic": "traffic"}
    assert all(cls.title and cls.about and cls.undrawn for cls in KINDS.values())


@pytest.fixture
def with_new_kind(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "knocks.py").write_text(NEW_KIND)
    processors.__path__.append(str(tmp_path))
    importlib.invalidate_caches()
    found = dict(KINDS)
    KINDS.update(processors._find())
    yield
    KINDS.clear()
    KINDS.update(found)
    processors.__path__.remove(str(tmp_path))
    sys.modules.pop("server.processors.knocks", None)


@pytest.mark.usefixtures("with_new_kind")
def test_a_new_kind_in_one_file_is_found() -> None:
    processor = create("knocks", zones=[ZONE], options={"loud": True})
    assert [event.data for event in processor.process(5, [])] == [{"loud": True}]
    with pytest.raises(InvalidInput, match="has no option 'soft'"):
        create("knocks", options={"soft": 1})
