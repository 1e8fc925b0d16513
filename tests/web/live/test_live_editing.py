"""Two people at work on one processor."""

from __future__ import annotations

import json

from tests.web.drawing import Easel, near
from tests.web.live.conftest import Joining
from tests.web.live.hall import Hall
from tests.web.live.system import System

LINE = [[[0.5, 1.0], [0.5, 0.0]]]
HERS = [[[0.25, 1.0], [0.25, 0.0]]]
ZONE = [(0.6, 0.2), (0.9, 0.2), (0.9, 0.8), (0.6, 0.8)]


def test_the_second_who_saves_is_told_and_loses_nothing(system: System, hall: Hall, join: Joining) -> None:
    with system.camera(hall.url) as camera:
        processor = system.processor(camera, name="Door", lines=LINE)
        system.await_watching(camera)
        ann, bob = join("administrator"), join("operator")
        for person in (ann, bob):
            person.page.goto(f"/admin/processor/edit/?id={processor}")

        easel = Easel(ann.page)
        easel.open_text()
        ann.page.get_by_label("Lines", exact=True).fill(json.dumps(HERS))
        ann.page.get_by_label("Confidence").fill("0.6")
        ann.save()
        ann.page.wait_for_url(lambda url: "/edit/" not in url)

        bob.page.get_by_label("Name", exact=True).fill("Back door")
        bob.page.get_by_label("Confidence").fill("0.7")
        easel = Easel(bob.page)
        easel.button("Turn line 1 round: swap in and out").click()
        easel.draw_zone(*ZONE)
        drawn = easel.shapes("lines"), easel.shapes("zones")
        bob.save()
        bob.page.get_by_text("Somebody else has changed this processor").wait_for()
        assert bob.page.get_by_label("Name", exact=True).input_value() == "Back door"
        assert bob.page.get_by_label("Confidence").input_value() == "0.7"
        easel = Easel(bob.page)
        assert (easel.shapes("lines"), easel.shapes("zones")) == drawn
        assert near(drawn[0][0], [(0.5, 0.0), (0.5, 1.0)]) and near(drawn[1][0], ZONE)
        assert system.row(processor).lines == HERS, "what she saved is not overwritten"

        # Saving again does not slip through; saying that it is meant does.
        bob.save()
        bob.page.get_by_text("Somebody else has changed this processor").wait_for()
        assert system.row(processor).lines == HERS
        bob.page.get_by_role("button", name="Save mine instead").click()
        bob.page.wait_for_url(lambda url: "/edit/" not in url)
        assert (system.row(processor).lines, system.row(processor).zones) == drawn
