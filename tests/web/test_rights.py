"""Who may open and send what, over every route of /admin that there is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from werkzeug.routing import Rule

from server.extensions import db
from server.models import Camera, CameraShot, Processor, ProcessorEvent, User, UserCamera
from server.services import accounts
from tests.factories import NOON, camera, event, processor, save
from tests.web.browser import PASSWORD, Browser

SIGN_IN = {"auth.login", "admin.static"}
"""For everybody."""
OWN = {"auth.logout", "password.page", "profile.index", "admin.dismiss"}
"""About oneself: for everybody who has signed in."""
ADMINISTRATORS = ("user.", "token.", "audit.")
"""For administrators only, all of them."""
NEVER = {"ajax_lookup", "ajax_update", "action_view"}
"""Flask-Admin's routes for what our tables do not do."""
LISTS = {
    "admin.index",
    "admin.refresh",
    "camera.index_view",
    "camera.export",
    "processor.index_view",
    "processor.export",
    "event.index_view",
    "event.export",
    "chart.index",
}
"""Show what somebody sees, of all cameras."""
CREATE = {"camera.create_view", "processor.create_view", "event.create_view"}


@dataclass(frozen=True)
class Given:
    """How a route is told which row it is about: in its path, its query or its form, by which name."""

    place: str
    name: str
    model: type[Any]
    changes: bool = False
    asks_for_more: bool = False
    """Whether there may be nothing even for who may see it, such as a picture."""


BY_ID = {
    "camera.details_view": Given("query", "id", Camera),
    "camera.edit_view": Given("query", "id", Camera, changes=True),
    "camera.delete_view": Given("form", "id", Camera, changes=True),
    "camera.live": Given("path", "key", Camera),
    "camera.shot": Given("path", "key", Camera),
    "camera.test": Given("form", "camera", Camera, changes=True),
    "processor.details_view": Given("query", "id", Processor),
    "processor.edit_view": Given("query", "id", Processor, changes=True),
    "processor.delete_view": Given("form", "id", Processor, changes=True),
    "processor.camera_picture": Given("query", "camera", Camera),
    "processor.now": Given("query", "id", Processor),
    "event.details_view": Given("query", "id", ProcessorEvent),
    "event.crop_view": Given("path", "key", ProcessorEvent, asks_for_more=True),
    "event.edit_view": Given("query", "id", ProcessorEvent, changes=True, asks_for_more=True),
    "event.delete_view": Given("form", "id", ProcessorEvent, changes=True, asks_for_more=True),
    "preview.file": Given("path", "processor_id", Processor, asks_for_more=True),
    "chart.index": Given("query", "processor", Processor),
    "chart.data": Given("query", "processor", Processor),
    "chart.table": Given("query", "processor", Processor),
}
"""Routes about one row that belongs to a camera. A new one has to be entered here."""


@pytest.fixture
def rows(app: Flask) -> dict[str, dict[type[Any], int]]:
    """Two cameras with what belongs to them: "door", which the accounts here see, and "quay"."""
    found: dict[str, dict[type[Any], int]] = {}
    with app.app_context():
        for name in ("door", "quay"):
            one = camera(name=f"the {name}", stream_url=f"/clips/{name}.mp4")
            rule = processor(on=one, name=f"line of the {name}", lines=[[[0, 0.5], [1, 0.5]]])
            kept = event(rule, NOON, passes=1, direction="in", zone=f"zone of the {name}")
            save(CameraShot(camera_id=one.id, ts=NOON, width=2, height=2, jpeg=b"\xff\xd8\xff\xd9"))
            found[name] = {Camera: one.id, Processor: rule.id, ProcessorEvent: kept.id}
    return found


def person(app: Flask, role: str, *cameras: int) -> Browser:
    """A browser in which somebody has signed in who sees these cameras."""
    browser = Browser(app)
    browser.become(f"{role} {cameras}", role)
    with app.app_context():
        user = db.session.query(User).filter_by(name=f"{role} {cameras}").one()
        user.all_cameras = False
        db.session.add_all(UserCamera(user_id=user.id, camera_id=key) for key in cameras)
        db.session.commit()
    return browser


def routes(app: Flask) -> list[Rule]:
    """All of /admin."""
    return [rule for rule in app.url_map.iter_rules() if f"{rule.rule}/".startswith("/admin/")]


def filled(rule: Rule, **given: Any) -> str:
    """The route's address."""
    values = {"export_type": "csv", "name": "index.m3u8", "filename": "x"} | given
    return re.sub(r"<(?:\w+(?:\([^)]*\))?:)?(\w+)>", lambda match: str(values.get(match[1], 1)), rule.rule)


def ask(browser: Browser, rule: Rule, method: str, given: Given | None = None, key: int = 0) -> Any:
    """Open or send it about the row of this id."""
    query, form = {}, {}
    if method == "POST":
        form = {"csrf_token": browser.token("/admin/password")}
    if given is not None and given.place != "path":
        (query if given.place == "query" else form)[given.name] = key
    path = filled(rule, **({given.name: key} if given is not None and given.place == "path" else {}))
    if method == "POST":
        return browser.raw_post(path, form, query_string=query)
    return browser.get(path, query_string=query)


def asked(rule: Rule) -> list[str]:
    """The methods it answers to, as browsers use them."""
    return sorted(rule.methods & {"GET", "POST"})


def test_every_route_is_known_here(app: Flask) -> None:
    for rule in routes(app):
        known = rule.endpoint in SIGN_IN | OWN | LISTS | CREATE | BY_ID.keys()
        known |= rule.endpoint.startswith(ADMINISTRATORS) or rule.endpoint.partition(".")[2] in NEVER
        assert known, f"{rule.rule} ({rule.endpoint}): say in this file who may open it"


def test_who_has_not_signed_in_is_asked_to(app: Flask, browser: Browser) -> None:
    for rule in routes(app):
        if rule.endpoint not in SIGN_IN:
            for method in asked(rule):
                path = filled(rule)
                response = browser.get(path) if method == "GET" else browser.raw_post(path, {"id": 1})
                assert response.status_code == 302, rule.rule
                assert response.location.startswith("/admin/login"), rule.rule


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_what_was_not_given_to_somebody_is_not_there(
    app: Flask, rows: dict[str, dict[type[Any], int]], role: str
) -> None:
    browser = person(app, role, rows["door"][Camera])
    for rule in routes(app):
        given = BY_ID.get(rule.endpoint)
        for method in asked(rule) if given is not None else ():
            assert given is not None
            response = ask(browser, rule, method, given, rows["quay"][given.model])
            assert response.status_code == 404, (method, rule.rule)
            assert "quay" not in response.text, (method, rule.rule)
            if method == "GET" and not given.changes and not given.asks_for_more:
                seen = ask(browser, rule, method, given, rows["door"][given.model])
                assert seen.status_code == 200, (method, rule.rule)
    with app.app_context():
        assert db.session.query(Camera).count() == 2 and db.session.query(Processor).count() == 2


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_no_page_names_what_was_not_given(
    app: Flask, rows: dict[str, dict[type[Any], int]], role: str
) -> None:
    browser = person(app, role, rows["door"][Camera])
    everybody = person(app, "administrator")
    for rule in routes(app):
        pages: list[str] = []
        if rule.endpoint in LISTS:
            pages = (
                [filled(rule), filled(rule, export_type="json")] if "export" in rule.rule else [filled(rule)]
            )
        elif rule.endpoint == "processor.create_view" and role == "operator":
            pages = [rule.rule, f"{rule.rule}?camera={rows['quay'][Camera]}"]
        for page in pages:
            response = browser.get(page)
            assert response.status_code == 200, page
            assert "quay" not in response.text, page
            assert "door" in response.text, page
            assert "quay" in everybody.get(page).text, page
    for query in ("search=quay", f"flt0_0={rows['quay'][Camera]}", f"flt1_1={rows['quay'][Processor]}"):
        assert "zone of the" not in browser.get(f"/admin/event/?{query}").text


def test_a_viewer_is_refused_whatever_would_change_something(
    app: Flask, rows: dict[str, dict[type[Any], int]]
) -> None:
    browser = person(app, "viewer", rows["door"][Camera])
    for rule in routes(app):
        given = BY_ID.get(rule.endpoint)
        if given is not None and given.changes:
            wanted = 404 if rule.endpoint.startswith("event.") else 403
            for method in asked(rule):
                response = ask(browser, rule, method, given, rows["door"][given.model])
                assert response.status_code == wanted, (method, rule.rule)
        elif rule.endpoint in CREATE or rule.endpoint.startswith(ADMINISTRATORS):
            wanted = 404 if rule.endpoint.startswith("event.") else 403
            for method in asked(rule):
                assert ask(browser, rule, method).status_code == wanted, (method, rule.rule)
    assert browser.send("/admin/camera/test", page="/admin/password").status_code == 403


def test_an_operator_changes_what_was_given_and_makes_no_cameras(
    app: Flask, rows: dict[str, dict[type[Any], int]]
) -> None:
    door, quay = rows["door"], rows["quay"]
    browser = person(app, "operator", door[Camera])
    edit = f"/admin/camera/edit/?id={door[Camera]}"
    numbers = {"watch_fps": "7", "detection_grid": "1", "rtsp_transport": "tcp"}
    numbers |= {"preview_fps": "15", "preview_kbps": "800", "preview_width": "960"}
    fields = {"name": "the door", "stream_url": "/clips/door.mp4", "seen": browser.hidden(edit, "seen")}
    assert browser.send(edit, **fields, **numbers).status_code == 302
    new = {"name": "Room", "kind": "persons", "confidence": "0.5", "enabled": "y", "preview": "watched"}
    page = "/admin/processor/new/"
    assert browser.send(page, **new, camera=quay[Camera]).status_code == 200
    assert browser.send(page, **new, camera=door[Camera]).status_code == 302
    token = browser.token("/admin/password")
    for path in ("/admin/camera/new/", "/admin/camera/delete/", "/admin/user/new/", "/admin/token/new/"):
        fields = {"csrf_token": token, "id": door[Camera], "name": "x", "stream_url": "/clips/x.mp4"}
        assert browser.raw_post(path, fields).status_code == 403, path
    assert (
        browser.send("/admin/processor/delete/", page="/admin/password", id=door[Processor]).status_code
        == 302
    )
    with app.app_context():
        assert db.session.get(Camera, door[Camera]).watch_fps == 7
        left = {row.name: row.camera_id for row in db.session.query(Processor)}
        assert left == {"Room": door[Camera], "line of the quay": quay[Camera]}


def test_rights_that_are_taken_are_gone_at_once(app: Flask, rows: dict[str, dict[type[Any], int]]) -> None:
    door = rows["door"][Camera]
    browser = person(app, "operator", door)
    details, edit = f"/admin/camera/details/?id={door}", f"/admin/camera/edit/?id={door}"
    assert browser.get(edit).status_code == 200
    with app.app_context():
        accounts.create_user("ann", PASSWORD)
        user = db.session.query(User).filter(User.role == "operator").one()
        key, name = user.id, user.name
        accounts.update_user(key, name=name, role="operator", active=True, cameras=[])
    assert browser.get(details).status_code == 404
    with app.app_context():
        accounts.update_user(key, name=name, role="operator", active=True, cameras=[door])
    assert browser.get(details).status_code == 200
    with app.app_context():
        accounts.update_user(key, name=name, role="viewer", active=True)
    assert browser.get(edit).status_code == 302
