"""A preview begins when somebody looks, ends when nobody does, and comes back after a killed worker."""

from __future__ import annotations

import sys

import pytest

from tests.fleet import await_
from tests.web.live.conftest import Joining
from tests.web.live.hall import Hall
from tests.web.live.people import Person
from tests.web.live.player import await_moving, await_playing
from tests.web.live.system import UP, System

LINE = [[[0.5, 1.0], [0.5, 0.0]]]


@pytest.mark.timeout(300)
def test_a_preview_begins_with_the_first_look_and_ends_after_the_last(
    system: System, hall: Hall, join: Joining
) -> None:
    with system.camera(hall.url) as camera:
        door = system.processor(camera, lines=LINE)
        system.await_watching(camera)
        directory = system.preview(door)
        # Somebody may have looked at another test's a moment ago: its number may be this one's.
        await_(lambda: not directory.exists() and not system.encoders(), UP, system.logs)
        person = join("viewer")
        person.page.goto(f"/admin/processor/details/?id={door}&player=mse")
        began = person.await_(lambda: person.page.locator("video").evaluate("v => v.readyState >= 2"), UP)
        await_playing(person)
        assert (directory / "index.m3u8").exists() and len(system.encoders()) == 1
        person.page.goto("/admin/")
        ended = await_(lambda: not directory.exists() and not system.encoders(), UP, system.logs)
        sys.stdout.write(f"\nfirst picture after {began:.1f} s, gone {ended:.1f} s after the last look\n")


@pytest.mark.timeout(300)
def test_a_preview_comes_back_after_its_worker_was_killed(system: System, hall: Hall, join: Joining) -> None:
    with system.camera(hall.url) as camera:
        door = system.processor(camera, lines=LINE)
        system.await_watching(camera)
        people = [open_preview(join("viewer"), door, way) for way in ("mse", "native")]
        (before,) = system.encoders()
        system.kill("watchers")
        await_(lambda: before not in system.encoders(), UP, "its encoder lives on")
        system.run("watchers")
        await_(system.encoders, UP, system.logs)
        # The same pages, without being loaded again.
        for person in people:
            await_playing(person)
            await_moving(person)
        assert len(system.encoders()) == 1, "one is enough for all who look"


def open_preview(person: Person, processor: int, way: str) -> Person:
    person.page.goto(f"/admin/processor/details/?id={processor}&player={way}")
    await_playing(person)
    return person
