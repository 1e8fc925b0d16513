"""A camera's page, its picture and its test over HTTP."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from flask import Flask

from server.extensions import db
from server.media import snapshot
from server.models import Camera, CameraShot, CameraState, User, UserCamera
from tests.clips import H264, make_clip
from tests.factories import camera, lease, processor, save
from tests.services.test_dashboard import NOW, numbers
from tests.web.admin.test_cameras import FIELDS
from tests.web.browser import Browser

pytestmark = pytest.mark.usefixtures("session")
JPEG = bytes(np.asarray(cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1]))


@pytest.fixture
def olga(app: Flask) -> Browser:
    """An operator who was given no camera yet."""
    browser = Browser(app)
    browser.become("olga", "operator")
    db.session.query(User).filter_by(name="olga").one().all_cameras = False
    db.session.commit()
    return browser


def give(camera_id: int) -> None:
    user = db.session.query(User).filter_by(name="olga").one()
    save(UserCamera(user_id=user.id, camera_id=camera_id))


def try_out(browser: Browser, address: str, **more: Any) -> Any:
    token = browser.token("/admin/")
    return browser.raw_post(
        "/admin/camera/test",
        {"stream_url": address, "rtsp_transport": "tcp", **more},
        headers={"X-CSRFToken": token},
    )


def test_the_page_says_how_the_camera_fares(app: Flask, admin: Browser) -> None:
    class Posted:
        away = False

        def numbers(self, ids: Any) -> Any:
            return {key: numbers(skipped=1.5) for key in ids}

        def shot_times(self, ids: Any) -> Any:
            return {}

        def shot_and_age(self, camera_id: int) -> None:
            return None

    one = camera(name="Door", stream_url="rtsp://user:secret@10.0.0.1/x", watch_fps=2.5)
    lease(one, 60, since=NOW)
    app.extensions["hypersight.live"] = Posted()
    text = admin.get(f"/admin/camera/details/?id={one.id}").text
    for words in ("1.5", "H.264", "128 × 96", "900", "Left out because", "2.5 frames a second", "since"):
        assert words in text, words
    assert "secret" not in text
    live = admin.get(f"/admin/camera/{one.id}/live.json").get_json()
    assert live["numbers"]["skipped"] == "1.5" and live["numbers"]["delay_s"] == "0.20"
    assert live["card"]["state"] == "watching" and "Analysis is behind" in live["card"]["reason"]


def test_where_nobody_watches_dashes_say_why(admin: Browser) -> None:
    one = camera()
    live = admin.get(f"/admin/camera/{one.id}/live.json").get_json()
    assert set(live["numbers"].values()) == {"–"}
    assert "not being watched" in live["numbers_note"]
    lease(one, 60, "unreachable")
    live = admin.get(f"/admin/camera/{one.id}/live.json").get_json()
    assert live["numbers_note"] == "Nothing is measured while the camera is unreachable."


def test_the_log_is_turned_page_by_page(admin: Browser) -> None:
    one = camera()
    for number in range(30):
        save(
            CameraState(
                camera_id=one.id,
                ts=NOW + timedelta(minutes=number),
                state="watching",
                reason=f"<{number}>",
                node="n",
            )
        )
    seen: list[str] = []
    page = f"/admin/camera/details/?id={one.id}"
    for _ in range(3):
        text = admin.get(page).text
        seen += [number for number in map(str, range(30)) if f"&lt;{number}&gt;" in text]
        older = [part.split("#")[0] for part in text.split('href="') if "before=" in part.split('"')[0]]
        page = older[0].replace("&amp;", "&") if older else ""
    assert sorted(seen, key=int) == [str(number) for number in range(30)] and page == ""
    assert admin.get(f"/admin/camera/details/?id={one.id}&before=nonsense").status_code == 200


def test_after_it_was_made_a_camera_says_what_comes_next(admin: Browser) -> None:
    made = admin.send("/admin/camera/new/", **FIELDS)
    text = admin.get(made.location).text
    assert "What next" in text and "/admin/processor/new/?camera=1" in text
    assert "What next" not in admin.get("/admin/camera/details/?id=1").text


def test_all_settings_are_saved_and_a_form_without_masks_keeps_them(admin: Browser) -> None:
    mask = [[[0, 0], [1, 0], [1, 1]]]
    more = {"preview_fps": "10", "preview_kbps": "500", "preview_width": "640", "masks": json.dumps(mask)}
    admin.send("/admin/camera/new/", **FIELDS, **more)
    one = db.session.query(Camera).one()
    assert (one.preview_fps, one.preview_kbps, one.preview_width, one.masks) == (10, 500, 640, mask)
    edit = f"/admin/camera/edit/?id={one.id}"
    admin.send(edit, **(FIELDS | {"watch_fps": "3"}))
    db.session.rollback()
    assert (one.watch_fps, one.preview_fps, one.masks) == (3, 10, mask)
    admin.send(edit, **FIELDS, masks="")
    db.session.rollback()
    assert one.masks == []


def test_a_picture_that_has_not_changed_is_not_sent_again(admin: Browser) -> None:
    one = camera()
    path = f"/admin/camera/shot/{one.id}.jpg"
    assert admin.get(path).status_code == 404
    save(CameraShot(camera_id=one.id, ts=NOW, width=64, height=48, jpeg=JPEG))
    response = admin.get(path)
    assert (response.status_code, response.mimetype, response.data) == (200, "image/jpeg", JPEG)
    assert response.headers["Cache-Control"] == "private, max-age=0, must-revalidate"
    again = admin.get(path, headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    db.session.get(CameraShot, one.id).jpeg = JPEG + b"\0"
    db.session.commit()
    assert admin.get(path, headers={"If-None-Match": response.headers["ETag"]}).status_code == 200


def test_nobody_sees_a_camera_they_were_not_given(olga: Browser, browser: Browser) -> None:
    one = camera(stream_url="/clips/none.mp4")
    save(CameraShot(camera_id=one.id, ts=NOW, width=64, height=48, jpeg=JPEG))
    paths = [f"/admin/camera/shot/{one.id}.jpg", f"/admin/camera/{one.id}/live.json"]
    for path in [*paths, f"/admin/camera/details/?id={one.id}"]:
        assert olga.get(path).status_code == 404
        assert browser.get(path).status_code == 302
    assert try_out(olga, "/clips/none.mp4", camera=one.id).status_code == 404
    give(one.id)
    for path in paths:
        assert olga.get(path).status_code == 200
    assert try_out(olga, "/clips/none.mp4", camera=one.id).status_code == 200


def test_a_test_answers_with_a_picture_and_facts(admin: Browser, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "door.mp4", codec=H264, frames=50)
    response = try_out(admin, str(clip))
    told = response.get_json()
    assert response.status_code == 200 and response.headers["Cache-Control"] == "no-store"
    head, _, body = told["picture"].partition(",")
    assert head == "data:image/jpeg;base64"
    assert cv2.imdecode(np.frombuffer(base64.b64decode(body), np.uint8), 1).shape == (96, 128, 3)
    facts = dict(told["facts"])
    assert facts["Picture"] == "128 × 96 pixels" and facts["Rate"] == "25 pictures a second"
    assert "H.264" in facts["Video"] and facts["Comes as"] == "a file"


@pytest.mark.parametrize(
    "address, more, field",
    [
        ("", {}, "stream_url"),
        ("gopher://x", {}, "stream_url"),
        ("/nowhere/door.mp4", {}, "stream_url"),
        ("/clips/a.mp4", {"masks": "[["}, "masks"),
        ("/clips/a.mp4", {"masks": "[[[0, 0], [1, 1]]]"}, "masks"),
        ("/clips/a.mp4", {"rtsp_transport": "pigeon"}, "rtsp_transport"),
    ],
)
def test_a_test_that_fails_names_the_field_and_what_to_do(
    admin: Browser, address: str, more: dict[str, str], field: str
) -> None:
    response = try_out(admin, address, **more)
    error = response.get_json()["error"]
    assert (response.status_code, error["field"]) == (200, field)
    assert error["message"].endswith((".", "?"))
    if address.startswith("/nowhere"):
        assert "on the server" in error["remedy"]


def test_a_third_test_at_once_is_told_to_wait(admin: Browser) -> None:
    taken = [snapshot._places.acquire(timeout=5) for _ in range(snapshot.MOST_AT_ONCE)]
    try:
        response = try_out(admin, "/clips/a.mp4")
    finally:
        for _ in taken:
            snapshot._places.release()
    assert response.status_code == 429 and response.headers["Retry-After"] == "5"
    assert "try again" in response.get_json()["error"]["message"]


def test_only_who_may_change_a_camera_may_test(admin: Browser, viewer: Browser, olga: Browser) -> None:
    one = camera(stream_url="/nowhere/a.mp4")
    give(one.id)
    assert try_out(olga, "/nowhere/a.mp4", camera=one.id).status_code == 200
    # An address of a camera that is not stored: who may not make cameras has no business with it.
    assert try_out(olga, "/nowhere/a.mp4").status_code == 403
    assert try_out(viewer, "/nowhere/a.mp4").status_code == 403
    assert try_out(viewer, "/nowhere/a.mp4", camera=one.id).status_code == 403
    assert admin.raw_post("/admin/camera/test", {"stream_url": "/nowhere/a.mp4"}).status_code == 400
    assert admin.get("/admin/camera/test").status_code == 405
    processor("traffic", one)
    assert "Edit" not in viewer.get(f"/admin/camera/details/?id={one.id}").text.partition("<main")[2]
