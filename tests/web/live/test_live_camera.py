"""A camera that dies and comes back, as the first page tells it."""

from __future__ import annotations

from pathlib import Path

from tests.web.drawing import Easel, near
from tests.web.live.conftest import Joining
from tests.web.live.hall import PASSWORD, SIZE, Hall
from tests.web.live.people import Person
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

        draw_over_the_last_picture(join("operator"), dying)

        hall.plug_in()
        person.await_(lambda: "unreachable" not in person.main() and person.main().count("watching") >= 2, UP)


def draw_over_the_last_picture(person: Person, camera: int) -> None:
    """The editor has its last picture, says of when that is, and takes what is drawn on it."""
    page = person.page

    def told() -> bool:
        page.goto(f"/admin/processor/new/?camera={camera}")
        return "Last seen" in page.locator(".shape-note").first.inner_text()

    person.await_(told, UP, "an old picture is passed off as a new one")
    image = page.locator(".shape-stage img")
    image.evaluate("image => image.decode()")
    assert image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == list(SIZE)
    page.get_by_label("Name", exact=True).fill("Drawn meanwhile")
    page.get_by_label("Kind").select_option("traffic")
    easel = Easel(page)
    easel.draw_line((0.5, 0.9), (0.5, 0.1))
    assert near(easel.shapes("lines")[0], [(0.5, 0.9), (0.5, 0.1)])
    person.save()
    page.wait_for_url(lambda url: "/new/" not in url)
