"""Who may see what, in a running system: a viewer at an administrator's doors, and with one camera of two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.fleet import await_
from tests.web.live.conftest import Joining
from tests.web.live.hall import Hall
from tests.web.live.people import Person
from tests.web.live.system import SEEN, UP, System

LINE = [[[0.5, 1.0], [0.5, 0.0]]]
FORBIDDEN = ("/admin/user/", "/admin/user/new/", "/admin/token/", "/admin/token/new/", "/admin/audit/")


def test_a_viewer_is_told_in_words_that_a_page_is_not_theirs(join: Joining) -> None:
    person = join("viewer")
    person.refusals = {403, 404}
    for path in (*FORBIDDEN, "/admin/camera/new/", "/admin/processor/new/"):
        answer = person.page.goto(path)
        assert answer.status in (403, 404), path
        words = person.main()
        assert "administrator" in words or "no such page" in words.lower(), f"{path}: {words}"
        assert person.page.get_by_role("link").count() > 0, "there is a way back"
    person.page.goto("/admin/")
    menu = person.page.get_by_role("navigation", name="Main").inner_text()
    assert "Cameras" in menu
    assert all(name not in menu for name in ("Users", "API tokens", "Audit log"))


def test_a_viewer_with_one_camera_finds_nothing_of_the_other(
    system: System, hall: Hall, stream: Path, join: Joining
) -> None:
    with (
        Hall(stream) as other,
        system.camera(hall.url, name="Theirs") as theirs,
        system.camera(other.url, name="Hidden") as hidden,
    ):
        door = system.processor(theirs, name="Open door", lines=LINE)
        vault = system.processor(hidden, name="Vault", lines=LINE)
        for id_ in (theirs, hidden):
            system.await_watching(id_)
        await_(lambda: system.events(door) and system.events(vault), SEEN, system.logs)
        open_ones = pages_of(theirs, door, system.first_event(door))
        closed_ones = pages_of(hidden, vault, system.first_event(vault))
        person = join(name=system.user("viewer", [theirs]))
        sees_only_theirs(person)
        assert_status(person, open_ones, 200)
        assert_status(person, closed_ones, 404)
        assert_status(person, [f"/admin/camera/edit/?id={theirs}"], 403)

        assert_status(join("viewer"), closed_ones, 200)


def sees_only_theirs(person: Person) -> None:
    """In every list, and in what the pages ask for by themselves."""
    person.await_(lambda: "watching" in person.main(), UP)
    for path in ("/admin/", "/admin/camera/", "/admin/processor/", "/admin/event/", "/admin/chart/"):
        person.page.goto(path)
        assert "Theirs" in person.main(), path
        content = person.page.content()
        assert "Hidden" not in content and "Vault" not in content, path
    told = person.page.request.get("/admin/dashboard.json").text()
    assert "Theirs" in told and "Hidden" not in told


def pages_of(camera: int, processor: int, event: int) -> list[str]:
    """All that belongs to a camera."""
    return [
        f"/admin/camera/details/?id={camera}",
        f"/admin/camera/shot/{camera}.jpg",
        f"/admin/camera/{camera}/live.json",
        f"/admin/processor/details/?id={processor}",
        f"/admin/processor/picture?camera={camera}",
        f"/admin/processor/numbers?id={processor}",
        f"/admin/event/details/?id={event}",
        f"/admin/event/crop/{event}.jpg",
        f"/admin/preview/{processor}/index.m3u8?say=1",
        f"/admin/chart/?processor={processor}",
        f"/admin/chart/data.json?processor={processor}",
        f"/admin/chart/data.csv?processor={processor}",
    ]


def assert_status(person: Person, paths: list[str], wanted: int) -> None:
    """What the server answers to each, asked with the person's cookies."""
    asked: Any = person.page.request
    assert {path: asked.get(path).status for path in paths} == dict.fromkeys(paths, wanted)
