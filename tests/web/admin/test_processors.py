from __future__ import annotations

import re
from datetime import datetime, timezone
from html import unescape
from typing import Any

import pytest

from server.extensions import db
from server.models import Camera, CameraShot, Processor
from tests.databases import every_database
from tests.factories import NOON, camera, event, processor, save
from tests.web.browser import Browser, error_at

pytestmark = pytest.mark.usefixtures("session")
NEW = "/admin/processor/new/"


@pytest.fixture
def door() -> Camera:
    """A camera without processors."""
    return camera(name="Door")


def fields(on: Camera, **change: Any) -> dict[str, Any]:
    values = {"camera": on.id, "name": "Line", "kind": "traffic", "enabled": "y", "confidence": "0.5"}
    return values | {"zones": "", "lines": "[[[0, 0.5], [1, 0.5]]]", "options": ""} | change


def stored() -> list[Processor]:
    db.session.rollback()
    return db.session.query(Processor).order_by(Processor.id).all()


@every_database
def test_a_processor_is_made_on_its_camera(admin: Browser, door: Camera) -> None:
    response = admin.send(NEW, **fields(door, options='{"labels": ["person", "car"]}'))
    assert response.status_code == 302
    (one,) = stored()
    assert (one.camera_id, one.kind, one.enabled, one.confidence) == (door.id, "traffic", True, 0.5)
    assert one.lines == [[[0, 0.5], [1, 0.5]]] and one.zones == []
    assert one.options == {"labels": ["person", "car"]}
    assert one.camera.revision == 2
    text = admin.get("/admin/processor/").text
    assert "Line" in text and "Door" in text and "traffic" in text
    details = unescape(admin.get(f"/admin/processor/details/?id={one.id}").text)
    assert "[[[0, 0.5], [1, 0.5]]]" in details
    assert f"/traffic -H 'Authorization: Bearer TOKEN' -d '{{\"proc_id\": {one.id}" in details


@pytest.mark.parametrize(
    "change, field",
    [
        ({"name": ""}, "name"),
        ({"camera": ""}, "camera"),
        ({"camera": "99"}, "camera"),
        ({"camera": "x"}, "camera"),
        ({"kind": ""}, "kind"),
        ({"kind": "nonsense"}, "kind"),
        ({"confidence": "2"}, "confidence"),
        ({"confidence": "nan"}, "confidence"),
        ({"confidence": ""}, "confidence"),
        ({"zones": "[[[0,0],[1,1"}, "zones"),
        ({"zones": "[[[0,0],[1,1],[1,0],[0,1]]]"}, "zones"),
        ({"zones": "[[[0,0],[NaN,1],[1,0]]]"}, "zones"),
        ({"zones": "{}"}, "zones"),
        ({"zones": "7"}, "zones"),
        ({"zones": "null"}, "zones"),
        ({"zones": "[" * 50_000}, "zones"),
        ({"lines": "[[[0, 0.5], [1.5, 0.5]]]"}, "lines"),
        ({"lines": '"text"'}, "lines"),
        ({"lines": ""}, "zones"),
        ({"kind": "persons"}, "lines"),
        ({"options": "[]"}, "options"),
        ({"options": '{"colour": 1}'}, "options"),
        ({"options": '{"labels": ["dragon"]}'}, "options"),
    ],
)
def test_an_error_stands_at_its_field_and_what_was_typed_stays(
    admin: Browser, door: Camera, change: dict[str, str], field: str
) -> None:
    response = admin.send(NEW, **fields(door, **change))
    assert response.status_code == 200
    assert error_at(response, field)
    text = unescape(response.text)
    for name, typed in fields(door, **change).items():
        if name in ("zones", "lines", "options"):
            assert re.search(rf'<textarea[^>]*name="{name}"[^>]*>\s*{re.escape(typed)}</textarea>', text)
    assert stored() == []


@every_database
def test_an_edit_keeps_camera_and_kind_and_tells_the_watcher(admin: Browser, door: Camera) -> None:
    admin.send(NEW, **fields(door))
    edit = f"/admin/processor/edit/?id={stored()[0].id}"
    other = camera()
    seen = admin.hidden(edit, "seen")
    change = fields(other, kind="persons", name="New", zones="[[[0,0],[1,0],[1,1]]]", enabled="", seen=seen)
    change.pop("enabled")
    assert admin.send(edit, **change).status_code == 302
    (one,) = stored()
    assert (one.camera_id, one.kind, one.name, one.enabled) == (door.id, "traffic", "New", False)
    assert one.zones == [[[0, 0], [1, 0], [1, 1]]]
    assert (one.revision, one.camera.revision) == (2, 3)
    late = admin.send(edit, **(change | {"name": "Late"}))
    assert "Somebody else" in late.text and stored()[0].name == "New"


def test_the_form_shows_zones_one_a_line(admin: Browser, door: Camera) -> None:
    one = processor("persons", door, zones=[[[0, 0], [1, 0], [1, 1]], [[0, 0], [0.5, 0], [0.5, 1]]])
    text = admin.get(f"/admin/processor/edit/?id={one.id}").text
    assert "[[[0, 0], [1, 0], [1, 1]],\n [[0, 0], [0.5, 0], [0.5, 1]]]" in text


def test_a_new_processor_is_offered_the_camera_it_was_asked_for(admin: Browser, door: Camera) -> None:
    other = camera(name="A camera that sorts first")
    text = admin.get(f"{NEW}?camera={door.id}").text
    assert f'<option selected value="{door.id}">Door' in text
    assert f'<option value="{other.id}">' in text


@every_database
def test_the_list_is_searched_filtered_and_sorted(admin: Browser, door: Camera) -> None:
    processor("traffic", door, name="Line")
    processor("persons", camera(name="Room"), name="Zone", enabled=False)

    def names(query: str) -> list[str]:
        text = admin.get(f"/admin/processor/{query}").text
        return re.findall(r'class="col-name">(?:<a [^>]*>)?\s*([^<]*?)\s*<', text)

    assert names("") == ["Line", "Zone"]
    assert names("?search=room") == ["Zone"]
    assert names(f"?flt0_0={door.id}") == ["Line"]
    assert names("?flt1_1=persons") == ["Zone"]
    assert names("?flt2_2=0") == ["Zone"]
    assert names("?sort=2&desc=1") == ["Zone", "Line"]
    for nonsense in ("?flt0_0=abc", "?flt0_0=99999999999999", "?flt1_1=x"):
        assert admin.get(f"/admin/processor/{nonsense}").status_code == 200


def test_a_processor_is_deleted(admin: Browser, door: Camera) -> None:
    one = processor("traffic", door)
    admin.send("/admin/processor/delete/", page="/admin/processor/new/", id=one.id)
    assert stored() == []


@every_database
def test_names_of_zones_and_lines_are_kept(admin: Browser, door: Camera) -> None:
    zones = '[{"name": "Tür", "points": [[0, 0], [1, 0], [1, 1]]}, [[0, 0], [0.5, 0], [0.5, 1]]]'
    assert admin.send(NEW, **fields(door, zones=zones)).status_code == 302
    (one,) = stored()
    assert one.zones[0] == {"name": "Tür", "points": [[0, 0], [1, 0], [1, 1]]}
    details = unescape(admin.get(f"/admin/processor/details/?id={one.id}").text)
    assert "Tür, zone 2" in details
    assert '{"name": "Tür", "points"' in unescape(admin.get(f"/admin/processor/edit/?id={one.id}").text)
    same = (
        '[{"name": "Door", "points": [[0, 0.5], [1, 0.5]]}, {"name": "Door", "points": [[0, 0.6], [1, 0.6]]}]'
    )
    wrong = admin.send(NEW, **fields(door, name="Other", lines=same))
    assert error_at(wrong, "lines") == 'Number 2, "Door": line 1 has this name too; each needs its own.'


@pytest.mark.parametrize(
    "sent, options",
    [
        ({"labels": ["", "person"], "anchor": "centre"}, {}),
        ({"labels": ["", "car", "person"], "anchor": "centre"}, {"labels": ["car", "person"]}),
        ({"labels": ["", "person"], "anchor": "foot"}, {"anchor": "foot"}),
        ({"options": '{"anchor": "foot"}'}, {"anchor": "foot"}),
    ],
)
def test_what_is_ticked_becomes_options_unless_it_is_the_default(
    admin: Browser, door: Camera, sent: dict[str, Any], options: dict[str, Any]
) -> None:
    assert admin.send(NEW, **fields(door, **sent)).status_code == 302
    assert stored()[0].options == options


@pytest.mark.parametrize(
    "sent, field, words",
    [
        ({"labels": [""]}, "labels", "Tick at least one."),
        ({"labels": ["", "dragon"]}, "options", "some of person"),
        ({"labels": ["", "car"], "options": '{"labels": ["car"]}'}, "options", "leave it out here"),
        ({"anchor": "foot", "options": '{"anchor": "foot"}'}, "options", "leave it out here"),
        ({"anchor": "head"}, "anchor", "Not a valid choice"),
        ({"preview": "perhaps"}, "preview", "Not a valid choice"),
    ],
)
def test_ticks_that_make_no_sense_are_refused(
    admin: Browser, door: Camera, sent: dict[str, Any], field: str, words: str
) -> None:
    response = admin.send(NEW, **fields(door, **sent))
    assert words in error_at(response, field)
    assert stored() == []


def test_the_form_shows_stored_options_where_they_are_asked_for(admin: Browser, door: Camera) -> None:
    one = processor("traffic", door, options={"labels": ["car"], "anchor": "foot"}, preview="off")
    text = admin.get(f"/admin/processor/edit/?id={one.id}").text
    assert re.search(r'<input checked[^>]*value="car"', text)
    assert not re.search(r'<input checked[^>]*value="person"', text)
    assert '<option selected value="foot">' in text and '<option selected value="off">' in text
    assert re.search(r'<textarea[^>]*name="options"[^>]*>\s*</textarea>', text)


@every_database
def test_a_late_save_may_be_put_in_the_place_of_the_one_that_is_shown(admin: Browser, door: Camera) -> None:
    one = processor("traffic", door, name="Old", lines=[[[0, 0.5], [1, 0.5]]])
    edit = f"/admin/processor/edit/?id={one.id}"
    sent = fields(door, name="Mine", seen=admin.hidden(edit, "seen"))
    admin.send(edit, **fields(door, name="Hers", seen=admin.hidden(edit, "seen")))
    late = admin.send(edit, **sent)
    match = re.search(r'name="instead_of" value="([^"]+)"', late.text)
    assert match is not None and stored()[0].name == "Hers"
    admin.send(edit, **fields(door, name="Third", seen=admin.hidden(edit, "seen")))
    assert "Somebody else" in admin.send(edit, **sent, instead_of=match[1]).text
    assert stored()[0].name == "Third", "a further change is noticed again"
    again = re.search(r'name="instead_of" value="([^"]+)"', admin.send(edit, **sent).text)
    assert again is not None
    assert admin.send(edit, **sent, instead_of=again[1]).status_code == 302
    assert stored()[0].name == "Mine"


def test_the_picture_to_draw_on_says_how_old_it_is(admin: Browser, door: Camera) -> None:
    address = f"/admin/processor/picture?camera={door.id}"
    nothing = admin.get(address).get_json()
    assert nothing["shot"] is None and nothing["note"].startswith("There is no picture of this camera yet.")
    save(CameraShot(camera_id=door.id, ts=NOON, width=2, height=2, jpeg=b"x"))
    old = admin.get(address).get_json()
    assert old["shot"] == f"/admin/camera/shot/{door.id}.jpg"
    assert old["note"].startswith("Last seen 2026-03-27 12:00.")
    for nonsense in ("", "99", "x", "-1", "9" * 30):
        assert admin.get(f"/admin/processor/picture?camera={nonsense}").status_code == 404


def test_the_numbers_of_a_processor_are_those_of_today(admin: Browser, viewer: Browser, door: Camera) -> None:
    one = processor("traffic", door, lines=[[[0, 0.5], [1, 0.5]]])
    now = datetime.now(timezone.utc)
    for direction in ("in", "in", "out"):
        event(one, now, direction=direction, passes=1)
    address = f"/admin/processor/numbers?id={one.id}"
    found = {number["what"]: number["value"] for number in admin.get(address).get_json()}
    assert found == {"passed today": "3", "in today": "2", "out today": "1"}
    persons = processor("persons", door)
    (number,) = admin.get(f"/admin/processor/numbers?id={persons.id}").get_json()
    assert number == {"what": "there now", "value": "–"}
    for nonsense in ("", "x", "99"):
        assert admin.get(f"/admin/processor/numbers?id={nonsense}").status_code == 404
