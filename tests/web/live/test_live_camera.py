"""A camera that dies and comes back, as the first page tells it."""

from __future__ import annotations

from pathlib import Path

from tests.web.live.conftest import Joining
from tests.web.live.hall import PASSWORD, Hall
from tests.web.live.system import UP, System


def test_a_dead_camera_comes_first_with_its_reason_and_comes_back_by_itself(
    system: System, hall: Hall, stream: Path, join: Joining
) -> None:
    with (
        Hall(stream) as other,
        system.camera(other.url, name="A fine one") as fine,
        system.camera(hall.url, name="The dying one") as dying,
    ):
        for id_ in (fine, dying):
            system.await_watching(id_)
        person = join("administrator")
        person.await_(lambda: person.main().count("watching") >= 2, UP)
        assert person.before("A fine one", "The dying one")

        hall.unplug()
        person.await_(lambda: "unreachable" in person.main(), UP)
        person.await_(lambda: person.before("The dying one", "A fine one"), UP)
        person.await_(lambda: "nothing listens there" in person.main(), UP, "the reason is not said")
        assert PASSWORD not in person.page.content()

        hall.plug_in()
        person.await_(lambda: "unreachable" not in person.main() and person.main().count("watching") >= 2, UP)
