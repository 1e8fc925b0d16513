from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest

from server.extensions import db
from server.models import Camera, Processor
from tests.databases import every_database
from tests.factories import camera, processor
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
        return re.findall(r'class="col-name">([^<]*)<', admin.get(f"/admin/processor/{query}").text)

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
