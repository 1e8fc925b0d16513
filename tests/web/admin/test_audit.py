from __future__ import annotations

import json
import re
from html import unescape

import pytest
from flask import Flask

from server.extensions import db
from server.models import AuditEntry, Camera, User
from server.services import accounts, audit, cameras
from server.services.audit import Actor, acting
from server.services.cameras import CameraInput, ProcessorInput
from tests.databases import every_database
from tests.factories import NOON, at, camera, processor, save
from tests.web.browser import Browser

pytestmark = pytest.mark.usefixtures("session")


def entry(**values: object) -> AuditEntry:
    defaults = {
        "ts": NOON,
        "who": "ann",
        "action": "changed",
        "kind": "camera",
        "object_id": 1,
        "name": "Door",
    }
    return save(AuditEntry(**(defaults | values)))


def shown(browser: Browser, query: str = "") -> list[str]:
    """Names of what the listed entries are about."""
    text = browser.get(f"/admin/audit/{query}").text
    return re.findall(r'class="col-name">(?:<a [^>]*>)?\s*([^<]*?)\s*<', text)


@every_database
def test_the_log_is_listed_newest_first_searched_and_filtered(admin: Browser) -> None:
    with admin.app.app_context():
        db.session.query(AuditEntry).delete()
        db.session.commit()
    entry(name="old", ts=at(-60))
    entry(name="gone", ts=at(60), action="deleted", kind="processor", object_id=7, who="bob")
    entry(name="middle", ts=NOON)
    assert shown(admin) == ["gone", "middle", "old"]
    assert shown(admin, "?search=BOB") == ["gone"]
    assert shown(admin, "?search=mid") == ["middle"]
    assert shown(admin, "?flt0_0=ann") == ["middle", "old"]
    assert shown(admin, "?flt1_1=deleted") == ["gone"]
    assert shown(admin, "?flt2_2=camera&flt3_3=1") == ["middle", "old"]
    assert shown(admin, "?flt3_3=7") == ["gone"]
    assert shown(admin, "?flt4_4=2026-03-27T12:00:00") == ["gone", "middle"]
    assert shown(admin, "?flt5_5=2026-03-27T12:00:00") == ["old"]
    assert "no value to filter by" in admin.get("/admin/audit/?flt3_3=x").text
    rows = json.loads(admin.get("/admin/audit/export/json/?flt0_0=ann").text)
    assert [row["name"] for row in rows] == ["middle", "old"]
    assert rows[0]["ts"] == "2026-03-27T12:00:00.000000+00:00"


def test_a_change_is_shown_before_and_after(admin: Browser) -> None:
    before = {"enabled": True, "watch_fps": 5.0, "masks": [], "name": "<b>Door</b>"}
    after = {"enabled": False, "watch_fps": 10.0, "masks": [[[0, 0], [1, 0], [1, 1]]], "name": "Gate"}
    key = entry(before=before, after=after).id
    listed = unescape(admin.get("/admin/audit/").text)
    assert "enabled: yes → no" in listed and "analysed frames a second: 5 → 10" in listed
    text = admin.get(f"/admin/audit/details/?id={key}").text
    assert "picture masks" in text and "[[[0, 0], [1, 0], [1, 1]]]" in text
    assert "&lt;b&gt;Door&lt;/b&gt;" in text and "<b>Door</b>" not in text


def test_what_was_done_on_the_pages_is_found_with_who_and_from_where(admin: Browser) -> None:
    admin.send(
        "/admin/camera/new/", name="Door", stream_url="/clips/a.mp4", watch_fps="5", detection_grid="1"
    )
    db.session.rollback()
    made = db.session.query(AuditEntry).filter_by(action="created", kind="camera").one()
    assert (made.who, made.address, made.name) == ("ann", "127.0.0.1", "Door")
    page = admin.get(f"/admin/audit/details/?id={made.id}").text
    assert f'href="/admin/camera/details/?id={made.object_id}"' in page
    admin.send("/admin/camera/delete/", page="/admin/camera/new/", id=made.object_id)
    db.session.rollback()
    gone = db.session.query(AuditEntry).filter_by(action="deleted", kind="camera").one()
    assert (gone.who, gone.object_id) == ("ann", made.object_id)
    page = admin.get(f"/admin/audit/details/?id={gone.id}").text
    assert f'href="/admin/camera/details/?id={made.object_id}"' not in page and "/clips/a.mp4" in page
    assert audit.current_actor() == audit.SYSTEM


def test_administrators_are_led_from_a_page_to_the_changes_of_what_it_shows(
    admin: Browser, viewer: Browser
) -> None:
    rule = processor(on=camera(name="Door"))
    entry(object_id=rule.camera_id, name="the camera")
    entry(object_id=rule.id, kind="processor", name="the processor")
    pages = {
        f"/admin/camera/details/?id={rule.camera_id}": "the camera",
        f"/admin/processor/details/?id={rule.id}": "the processor",
    }
    for page, name in pages.items():
        link = re.search(r'href="/admin/audit/(\?[^"]+)"', admin.get(page).text)[1]
        assert shown(admin, unescape(link)) == [name]
        assert "/admin/audit/" not in viewer.get(page).text


def test_the_log_cannot_be_changed(admin: Browser) -> None:
    key = entry().id
    token = admin.token("/admin/password")
    for path in ("new/", f"edit/?id={key}", "delete/", "action/", "ajax/update/"):
        fields = {"csrf_token": token, "id": key, "rowid": key, "action": "delete", "who": "bob"}
        admin.raw_post(f"/admin/audit/{path}", fields)
    db.session.rollback()
    assert db.session.get(AuditEntry, key).who == "ann"


def test_a_long_log_is_exported_whole(admin: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.web.admin.audit._EXPORT_ROWS", 3)
    for number in range(8):
        entry(name=f"number {number}")
    rows = json.loads(admin.get("/admin/audit/export/json/?flt2_2=camera").text)
    assert [row["name"] for row in rows] == [f"number {number}" for number in reversed(range(8))]
    lines = admin.get("/admin/audit/export/csv/?flt2_2=camera").text.splitlines()
    assert len(lines) == 9


def test_times_are_read_and_shown_in_the_viewers_own_zone(app: Flask, admin: Browser) -> None:
    for name, seconds in (("before", -1), ("after", 1)):
        entry(name=name, ts=at(seconds))
    accounts.change_own_zone(1, "Asia/Tokyo")
    text = admin.get("/admin/audit/?flt2_2=camera").text
    assert "2026-03-27 21:00:01" in text and "Times in Asia/Tokyo" in text
    assert shown(admin, "?flt2_2=camera&flt4_4=2026-03-27T21:00") == ["after"]
    rows = json.loads(admin.get("/admin/audit/export/json/?flt2_2=camera").text)
    assert rows[0]["ts"] == "2026-03-27T21:00:01.000000+09:00"


SECRETS = ("hunter2", "swordfish", "tok3n", "correct horse", "staple staple", "sesame")


@every_database
def test_no_secret_ever_gets_into_the_log(app: Flask, browser: Browser) -> None:
    """Every form that takes a secret, right and wrong, and the services behind them."""
    accounts.create_user("ann", "correct horse battery")
    browser.sign_in("ann", "staple staple staple")
    browser.sign_in("ann", "correct horse battery")
    numbers = {"watch_fps": "5", "detection_grid": "1", "rtsp_transport": "tcp", "enabled": "y"}
    numbers |= {"preview_fps": "15", "preview_kbps": "800", "preview_width": "960"}
    address = "rtsp://joe:{}@192.0.2.1:554/live?token=tok3n"
    fields = {"name": "Door", "stream_url": address.format("hunter2"), **numbers}
    assert browser.send("/admin/camera/new/", **fields).status_code == 302
    db.session.rollback()
    camera_id = db.session.query(Camera.id).scalar()
    edit = f"/admin/camera/edit/?id={camera_id}"
    fields["stream_url"] = address.format("swordfish")
    assert browser.send(edit, **fields, seen=browser.hidden(edit, "seen")).status_code == 302
    fields["name"] = "http://sesame:sesame@example.com"
    assert browser.send(edit, **fields, seen=browser.hidden(edit, "seen")).status_code == 302
    user = {"name": "bob", "role": "viewer", "active": "y", "password": "staple staple staple"}
    assert browser.send("/admin/user/new/", **user).status_code == 302
    db.session.rollback()
    bob = db.session.query(User.id).filter_by(name="bob").scalar()
    user["password"] = "swordfish swordfish"
    assert browser.send(f"/admin/user/edit/?id={bob}", **user).status_code == 302
    made = browser.send("/admin/token/new/", name="office", scopes="detect").text
    token = re.search(r'<code id="token">([^<]+)<', made)[1]
    change = {"current": "correct horse battery", "password": "staple staple staple"}
    assert browser.send("/admin/password", **change, repeat=change["password"]).status_code == 302
    browser.send("/admin/token/revoke", page="/admin/token/", name="office")
    with acting(Actor("rtsp://joe:hunter2@x/")):
        key = cameras.create_processor(
            camera_id, "persons", ProcessorInput("http://joe:hunter2@x/", options={"labels": ["person"]})
        )
        cameras.delete_processor(key)
        cameras.create_camera(CameraInput("Gate", address.format("hunter2")))
    browser.send("/admin/camera/delete/", page="/admin/camera/new/", id=camera_id)
    browser.send("/admin/user/delete/", page="/admin/user/new/", id=bob)
    db.session.rollback()
    rows = db.session.query(AuditEntry).all()
    assert len(rows) >= 14
    kept = repr([(row.who, row.address, row.name, row.before, row.after) for row in rows])
    digests = [user.password_hash for user in db.session.query(User)]
    for secret in (*SECRETS, token, token[:9], *digests, "scrypt"):
        assert secret not in kept
    pages = browser.get("/admin/audit/").text + browser.get("/admin/audit/export/csv/").text
    for secret in (*SECRETS, token):
        assert secret not in unescape(pages)
