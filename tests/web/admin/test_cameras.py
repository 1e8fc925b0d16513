from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest

from server.extensions import db
from server.models import Camera
from tests.databases import every_database
from tests.factories import camera, lease
from tests.web.browser import Browser, error_at

pytestmark = pytest.mark.usefixtures("session")
FIELDS = {
    "name": "Entrance",
    "stream_url": "/clips/entrance.mp4",
    "enabled": "y",
    "watch_fps": "5",
    "detection_grid": "1",
}


def stored() -> list[Camera]:
    db.session.rollback()
    return db.session.query(Camera).order_by(Camera.id).all()


def send(admin: Browser, **change: Any) -> Any:
    return admin.send("/admin/camera/new/", **(FIELDS | change))


def test_without_cameras_the_first_page_says_what_to_do(admin: Browser, viewer: Browser) -> None:
    assert "Create a camera" in admin.get("/admin/").text
    assert "Create a camera" not in viewer.get("/admin/").text
    assert "No camera yet" in admin.get("/admin/camera/").text


def test_the_first_page_shows_every_camera_with_state_and_reason(admin: Browser) -> None:
    lease(camera(name="Door"), 60, "unreachable", reason="connection refused")
    text = admin.get("/admin/").text
    assert "Door" in text and "unreachable" in text and "connection refused" in text
    assert "Nothing is counted here yet" in text


@every_database
def test_a_camera_is_made_and_shown(admin: Browser) -> None:
    response = send(admin, watch_fps="2,5", loop="y")
    (one,) = stored()
    assert response.status_code == 302
    assert response.location == f"/admin/camera/details/?id={one.id}&new=1"
    assert (one.name, one.watch_fps, one.loop, one.enabled) == ("Entrance", 2.5, True, True)
    text = admin.get("/admin/camera/").text
    assert "Entrance" in text and "/clips/entrance.mp4" in text and "No worker is running" in text
    assert "Entrance" in admin.get(f"/admin/camera/details/?id={one.id}").text


@pytest.mark.parametrize(
    "change, field",
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 90}, "name"),
        ({"stream_url": ""}, "stream_url"),
        ({"stream_url": "gopher://example.com"}, "stream_url"),
        ({"watch_fps": ""}, "watch_fps"),
        ({"watch_fps": "fast"}, "watch_fps"),
        ({"watch_fps": "99"}, "watch_fps"),
        ({"watch_fps": "nan"}, "watch_fps"),
        ({"watch_fps": "1e999"}, "watch_fps"),
        ({"detection_grid": "9"}, "detection_grid"),
        ({"detection_grid": "1.5"}, "detection_grid"),
        ({"detection_grid": "9" * 30}, "detection_grid"),
    ],
)
def test_an_error_stands_at_its_field_and_what_was_typed_stays(
    admin: Browser, change: dict[str, str], field: str
) -> None:
    response = send(admin, **({"name": "My <b>camera</b>"} | change))
    assert response.status_code == 200
    assert error_at(response, field)
    typed = change[field]
    assert not typed or f'value="{typed}"' in response.text
    if field != "name":
        assert "My &lt;b&gt;camera&lt;/b&gt;" in response.text
    assert stored() == []


@every_database
def test_a_name_that_is_taken_is_an_error_at_the_name(admin: Browser) -> None:
    send(admin)
    assert "taken" in error_at(send(admin), "name")


def test_a_password_in_an_address_is_never_shown_and_survives_an_edit(admin: Browser) -> None:
    secret = "file://user:secret@localhost/clips/a.mp4?token=abc"
    one = camera(name="Door", stream_url=secret)
    edit = f"/admin/camera/edit/?id={one.id}"
    pages = ["/admin/", "/admin/camera/", edit, f"/admin/camera/details/?id={one.id}"]
    pages += ["/admin/camera/export/csv/", "/admin/camera/export/json/"]
    for page in pages:
        text = admin.get(page).text
        assert "secret" not in text and "abc" not in text, page
    shown = admin.hidden(edit, "stream_url")
    assert shown == "file://***@localhost/clips/a.mp4?token=***"
    fields = FIELDS | {"name": "Gate", "seen": admin.hidden(edit, "seen")}
    refused = admin.send(edit, **(fields | {"stream_url": shown.replace("a.mp4", "b.mp4")}))
    assert "password" in error_at(refused, "stream_url")
    assert stored()[0].stream_url == secret


@every_database
def test_an_edit_raises_the_revision_and_one_over_another_is_refused(admin: Browser) -> None:
    send(admin)
    edit = f"/admin/camera/edit/?id={stored()[0].id}"
    seen = admin.hidden(edit, "seen")
    assert admin.send(edit, **(FIELDS | {"watch_fps": "7", "seen": seen})).status_code == 302
    assert (stored()[0].watch_fps, stored()[0].revision) == (7, 2)
    late = admin.send(edit, **(FIELDS | {"watch_fps": "9", "seen": seen}))
    assert late.status_code == 200 and "Somebody else" in late.text
    assert 'value="9"' in late.text
    assert stored()[0].watch_fps == 7


def test_a_camera_is_deleted_by_a_form_only(admin: Browser) -> None:
    one = camera()
    assert admin.get(f"/admin/camera/delete/?id={one.id}").status_code == 405
    assert len(stored()) == 1
    response = admin.send("/admin/camera/delete/", page="/admin/camera/new/", id=one.id)
    assert response.status_code == 302
    assert stored() == []


@pytest.mark.parametrize("key", ["0", "99", "-1", "abc", "9" * 40, "1;2", "१", ""])
def test_a_camera_that_is_not_there_is_not_found(admin: Browser, key: str) -> None:
    for page in ("edit", "details"):
        response = admin.get(f"/admin/camera/{page}/", query_string={"id": key})
        assert response.status_code == 404 and "no such camera" in response.text
    response = admin.send("/admin/camera/delete/", page="/admin/camera/new/", id=key)
    assert response.status_code == 404


def test_a_viewer_sees_cameras_and_changes_nothing(app, viewer: Browser) -> None:
    one = camera(name="Door")
    text = viewer.get("/admin/camera/").text
    assert "Door" in text and "Delete" not in text and "Create" not in text
    assert viewer.get("/admin/camera/new/").status_code == 403
    assert viewer.get(f"/admin/camera/edit/?id={one.id}").status_code == 403
    token = viewer.token("/admin/password")
    for path in ("new/", f"edit/?id={one.id}", "delete/"):
        viewer.raw_post(f"/admin/camera/{path}", FIELDS | {"id": one.id, "csrf_token": token})
    assert [row.name for row in stored()] == ["Door"]


@every_database
def test_the_list_is_searched_filtered_and_sorted(admin: Browser) -> None:
    for name, enabled in (("Alpha", True), ("Beta", False), ("Gamma", True)):
        camera(name=name, enabled=enabled)

    def names(query: str) -> list[str]:
        text = admin.get(f"/admin/camera/{query}").text
        return re.findall(r'class="col-name">\s*(?:<a [^>]*>)?\s*([^<]*?)\s*<', text)

    assert names("") == ["Alpha", "Beta", "Gamma"]
    assert names("?search=ET") == ["Beta"]
    assert names("?search=nothing") == []
    assert names("?sort=1&desc=1") == ["Gamma", "Beta", "Alpha"]
    assert names("?flt0_0=1") == ["Alpha", "Gamma"]
    assert names("?flt0_0=") == ["Alpha", "Beta", "Gamma"]
    for nonsense in (
        "?page=99999999999999999999",
        "?sort=77",
        "?sort=-3",
        "?flt0_0=maybe",
        "?flt0_9=1",
        "?page=-1",
    ):
        assert admin.get(f"/admin/camera/{nonsense}").status_code == 200


def test_pages_hold_what_the_list_does_not(admin: Browser) -> None:
    for number in range(53):
        camera(name=f"Camera {number:02}")
    first, second = admin.get("/admin/camera/").text, admin.get("/admin/camera/?page=1").text
    assert "Page 1 of 2" in first and "Camera 49" in first and "Camera 50" not in first
    assert "Camera 50" in second and "Next" not in second


def test_the_export_holds_all_rows_and_runs_no_formula(admin: Browser) -> None:
    for number in range(60):
        camera(name=f"Camera {number:02}")
    camera(name="=HYPERLINK(1)")
    response = admin.get("/admin/camera/export/csv/")
    assert "attachment" in response.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert len(rows) == 61
    assert rows[0]["name"] == "'=HYPERLINK(1)"
    assert rows[1]["state"] == "stopped" and rows[1]["created_at"].endswith("+00:00")
    assert len(admin.get("/admin/camera/export/json/").get_json()) == 61
    assert admin.get("/admin/camera/export/xlsx/").status_code == 404
