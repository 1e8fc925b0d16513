"""What is masked reaches nobody: it is black in every picture, and nothing is counted behind it."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from server.domain.video import Picture
from server.media.demo.choreography import DURATION, truth
from tests.fleet import await_
from tests.web.drawing import Easel
from tests.web.live.conftest import Joining
from tests.web.live.hall import Hall
from tests.web.live.people import Person
from tests.web.live.player import await_playing
from tests.web.live.system import SEEN, UP, System

LINE = [[[0.5, 1.0], [0.5, 0.0]]]
MASK = [(0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99)]
INSIDE = slice(24, -24)
"""Pixels that lie well within the mask, whatever its edges are rounded to."""
BLACK = 12.0
"""Grey level that black has at most, after JPEG."""
SETTLED = 5.0
"""Seconds after which nobody seen before the mask is still followed."""


def longest_pause() -> float:
    """Seconds in which nobody passes the middle of the hall, at most."""
    times = sorted(truth().rightward + truth().leftward)
    return max(later - earlier for earlier, later in pairwise([*times, times[0] + DURATION]))


@pytest.mark.timeout(300)
def test_what_is_masked_is_black_and_not_counted(system: System, hall: Hall, join: Joining) -> None:
    with system.camera(hall.url) as camera:
        door = system.processor(camera, lines=LINE)
        system.await_watching(camera)
        person = join("operator")
        person.await_(lambda: picture(person, camera) is not None, UP)
        assert not is_black(picture(person, camera))
        await_(lambda: system.events(door), SEEN, system.logs)

        edit(person, camera)
        easel = Easel(person.page)
        easel.button("Draw a mask").click()
        easel.tap(*MASK, MASK[0])
        save(person)
        person.await_(lambda: is_black(picture(person, camera)), UP)
        pass_time(person, camera, SETTLED)
        before = system.events(door)
        person.page.goto(f"/admin/processor/details/?id={door}")
        assert np.median(await_playing(person).pixels) < BLACK, "lines and numbers alone are drawn over it"
        pass_time(person, camera, 1.5 * longest_pause())
        assert system.events(door) == before

        edit(person, camera)
        Easel(person.page).button("Delete mask 1").click()
        save(person)
        person.await_(lambda: not is_black(picture(person, camera)), UP)
        await_(lambda: system.events(door) > before, SEEN, system.logs)


def edit(person: Person, camera: int) -> None:
    person.page.goto(f"/admin/camera/edit/?id={camera}")
    person.page.locator(".shape-stage img").evaluate("image => image.decode()")


def save(person: Person) -> None:
    person.save()
    person.page.wait_for_url(lambda url: "/edit/" not in url)


def picture(person: Person, camera: int) -> Picture | None:
    """The camera's picture as this person gets it."""
    answer = person.page.request.get(f"/admin/camera/shot/{camera}.jpg")
    if answer.status != 200:
        return None
    found = cv2.imdecode(np.frombuffer(answer.body(), np.uint8), cv2.IMREAD_COLOR)
    assert found is not None
    return np.asarray(found, np.uint8)


def is_black(shot: Picture | None) -> bool:
    return shot is not None and float(shot[INSIDE, INSIDE].max()) < BLACK


def pass_time(person: Person, camera: int, seconds: float) -> None:
    """Wait until so many seconds of the camera's video have been analysed."""

    def shown() -> float:
        told = person.page.request.get(f"/admin/camera/{camera}/live.json").json()
        return float(told["card"]["shot"].rpartition("t=")[2]) / 1e6

    begun = shown()
    person.await_(lambda: shown() >= begun + seconds, UP + seconds, "no newer pictures come")
