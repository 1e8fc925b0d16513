"""Two people at work on one processor."""

from __future__ import annotations

import json

from tests.web.live.conftest import Joining
from tests.web.live.hall import Hall
from tests.web.live.system import System

LINE = [[[0.5, 1.0], [0.5, 0.0]]]
HERS, HIS = [[[0.25, 1.0], [0.25, 0.0]]], [[[0.75, 1.0], [0.75, 0.0]]]


def test_the_second_who_saves_is_told_and_loses_nothing(system: System, hall: Hall, join: Joining) -> None:
    with system.camera(hall.url) as camera:
        processor = system.processor(camera, name="Door", lines=LINE)
        ann, bob = join("administrator"), join("administrator")
        address = f"/admin/processor/edit/?id={processor}"
        for person in (ann, bob):
            person.page.goto(address)

        ann.page.get_by_label("Lines", exact=True).fill(json.dumps(HERS))
        ann.page.get_by_label("Confidence").fill("0.6")
        ann.save()
        ann.page.wait_for_url(lambda url: "edit" not in url)

        bob.page.get_by_label("Name", exact=True).fill("Back door")
        bob.page.get_by_label("Lines", exact=True).fill(json.dumps(HIS))
        bob.page.get_by_label("Confidence").fill("0.7")
        bob.save()
        bob.page.get_by_text("changed").first.wait_for()
        assert bob.page.get_by_label("Name", exact=True).input_value() == "Back door"
        assert json.loads(bob.page.get_by_label("Lines", exact=True).input_value()) == HIS
        assert bob.page.get_by_label("Confidence").input_value() == "0.7"
        assert system.row(processor).lines == HERS, "what she saved is not overwritten"
