from __future__ import annotations

import re
from html import unescape

import pytest
from flask import Flask

from server.extensions import db
from server.models import ApiToken, User
from server.services.accounts import authenticate, cameras_of
from server.services.tokens import token_is_valid, token_scopes
from tests.factories import camera
from tests.web.browser import PASSWORD, Browser, error_at

pytestmark = pytest.mark.usefixtures("session")
OTHER = "staple staple staple"


def ticked(text: str) -> set[str]:
    """Values of all boxes that are ticked, and of what is chosen."""
    boxes = re.findall(r'<input class="form-check-input"[^>]*>', text)
    return {re.search(r'value="([^"]*)"', box)[1] for box in boxes if "checked" in box}


def names() -> list[str]:
    db.session.rollback()
    return [user.name for user in db.session.query(User).order_by(User.id)]


def test_a_token_is_shown_once_and_works_until_it_is_revoked(app: Flask, admin: Browser) -> None:
    response = admin.send("/admin/token/new/", name="office", scopes=["metrics", "status"])
    assert response.status_code == 200
    token = unescape(re.search(r'<code id="token">([^<]+)<', response.text)[1])
    assert token_is_valid(token)
    listed = admin.get("/admin/token/").text
    assert "office" in listed and token not in listed and token[:9] in listed and "ann" in listed
    for kind in ("csv", "json"):
        text = admin.get(f"/admin/token/export/{kind}/").text
        assert "office" in text and token not in text
        assert db.session.query(ApiToken).one().digest not in text
    assert token_scopes(token) == {"metrics", "status"} and "metrics, status" in listed
    assert error_at(admin.send("/admin/token/new/", name="office", scopes="metrics"), "name")
    assert admin.send("/admin/token/revoke", page="/admin/token/", name="office").status_code == 302
    db.session.rollback()
    assert not token_is_valid(token)
    assert "Revoke</button>" not in admin.get("/admin/token/").text


def test_a_token_needs_a_name(admin: Browser) -> None:
    assert error_at(admin.send("/admin/token/new/", name=" ", scopes="metrics"), "name")


def test_a_token_is_good_for_something_known(admin: Browser) -> None:
    assert "at least one" in error_at(admin.send("/admin/token/new/", name="office"), "scopes")
    refused = admin.send("/admin/token/new/", name="office", scopes=["detect", "everything"])
    assert "everything" in error_at(refused, "scopes")
    assert 'value="office"' in refused.text and ticked(refused.text) == {"detect"}
    assert ticked(admin.get("/admin/token/new/").text) == {"metrics", "status", "detect"}
    assert db.session.query(ApiToken).count() == 0


def test_revoking_what_is_not_there_is_said(admin: Browser) -> None:
    admin.send("/admin/token/revoke", page="/admin/token/new/", name="nothing")
    assert "no token called" in unescape(admin.get("/admin/token/").text)


def test_an_account_is_made_changed_and_deleted(admin: Browser) -> None:
    fields = {"name": "bob", "role": "viewer", "active": "y", "password": OTHER}
    assert admin.send("/admin/user/new/", **fields).status_code == 302
    assert authenticate("bob", OTHER).role == "viewer"
    edit = f"/admin/user/edit/?id={authenticate('bob', OTHER).id}"
    assert "scrypt" not in admin.get(edit).text
    change = fields | {"role": "administrator", "password": ""}
    assert admin.send(edit, **change).status_code == 302
    db.session.rollback()
    assert authenticate("bob", OTHER).role == "administrator"
    key = authenticate("bob", OTHER).id
    assert admin.send("/admin/user/delete/", page=edit, id=key).status_code == 302
    assert names() == ["ann"]


def test_an_account_is_given_cameras_and_a_time_zone(admin: Browser) -> None:
    door, gate = camera(name="Door"), camera(name="Gate")
    fields = {"name": "bob", "role": "operator", "active": "y", "password": OTHER}
    given = {"cameras": [str(gate.id), "99", "x"], "timezone": "Asia/Tokyo"}
    assert admin.send("/admin/user/new/", **fields, **given).status_code == 302
    db.session.rollback()
    bob = authenticate("bob", OTHER)
    assert (bob.role, bob.timezone, cameras_of(bob)) == ("operator", "Asia/Tokyo", {gate.id})
    edit = f"/admin/user/edit/?id={bob.id}"
    text = admin.get(edit).text
    assert ticked(text) == {"operator", str(gate.id)} and 'name="all_cameras"' in text
    assert '<option selected value="Asia/Tokyo">' in text
    details = admin.get(f"/admin/user/details/?id={bob.id}").text
    assert "Gate" in details and "Door" not in details
    refused = admin.send(edit, **(fields | {"name": ""}), cameras=[str(door.id)], timezone="Mars/Olympus")
    assert ticked(refused.text) == {"operator", str(door.id)}
    refused = admin.send(edit, **fields, timezone="Mars/Olympus")
    assert "Mars/Olympus" in error_at(refused, "timezone")
    assert admin.send(edit, **fields, all_cameras="y", cameras=str(door.id), timezone="").status_code == 302
    db.session.rollback()
    bob = authenticate("bob", OTHER)
    assert (bob.timezone, cameras_of(bob)) == (None, "all")


@pytest.mark.parametrize(
    "change, field",
    [
        ({"name": ""}, "name"),
        ({"name": "ANN"}, "name"),
        ({"password": ""}, "password"),
        ({"password": "short"}, "password"),
        ({"role": "king"}, "role"),
    ],
)
def test_an_error_stands_at_its_field_and_no_password_comes_back(
    admin: Browser, change: dict[str, str], field: str
) -> None:
    fields = {"name": "bob", "role": "viewer", "active": "y", "password": OTHER} | change
    response = admin.send("/admin/user/new/", **fields)
    assert error_at(response, field)
    assert OTHER not in response.text
    assert names() == ["ann"]


def test_the_last_administrator_cannot_lock_everybody_out(admin: Browser) -> None:
    edit = "/admin/user/edit/?id=1"
    refused = admin.send(edit, name="ann", role="viewer", active="y")
    assert "last administrator" in error_at(refused, "role")
    refused = admin.send(edit, name="ann", role="administrator")
    assert "last administrator" in error_at(refused, "active")
    admin.send("/admin/user/delete/", page=edit, id=1)
    assert names() == ["ann"]
    assert authenticate("ann", PASSWORD) is not None


@pytest.mark.parametrize(
    "page",
    [
        "user/",
        "user/new/",
        "user/edit/?id=1",
        "token/",
        "token/new/",
        "user/export/csv/",
        "audit/",
        "audit/details/?id=1",
    ],
)
def test_accounts_and_tokens_are_for_administrators(viewer: Browser, page: str) -> None:
    response = viewer.get(f"/admin/{page}")
    assert response.status_code == 403
    menu = viewer.get("/admin/").text
    for closed in ("user", "token", "audit"):
        assert f'href="/admin/{closed}/"' not in menu


def test_a_viewer_can_revoke_and_make_nothing(viewer: Browser) -> None:
    token = viewer.token("/admin/password")
    for path in ("token/new/", "token/revoke", "user/new/", "user/delete/"):
        response = viewer.raw_post(f"/admin/{path}", {"csrf_token": token, "name": "x", "id": 1})
        assert response.status_code == 403
    assert names() == ["vic"]
