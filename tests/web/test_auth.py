from __future__ import annotations

import re

import pytest
from flask import Flask

from server.errors import ConfigError
from server.extensions import db
from server.models import AuditEntry
from server.services.accounts import create_user, delete_user, set_password, update_user
from tests.conftest import AppMaker
from tests.databases import every_database
from tests.web.browser import PASSWORD, Browser, error_at

OTHER = "staple staple staple"
PAGES = [
    "/admin/",
    "/admin/camera/",
    "/admin/camera/new/",
    "/admin/camera/edit/?id=1",
    "/admin/camera/details/?id=1",
    "/admin/camera/export/csv/",
    "/admin/processor/",
    "/admin/processor/new/",
    "/admin/event/",
    "/admin/event/export/json/",
    "/admin/token/",
    "/admin/token/new/",
    "/admin/user/",
    "/admin/user/new/",
    "/admin/password",
    "/admin/nothing",
]


def who(browser: Browser) -> int:
    return browser.get("/admin/").status_code


@pytest.mark.parametrize("page", PAGES)
def test_without_signing_in_every_page_leads_to_the_sign_in(browser: Browser, page: str) -> None:
    response = browser.get(page)
    assert response.status_code == 302
    assert response.location.startswith("/admin/login?next=")


@pytest.mark.parametrize(
    "path", ["/admin/camera/new/", "/admin/camera/delete/", "/admin/token/revoke", "/admin/user/edit/?id=1"]
)
def test_without_signing_in_nothing_can_be_sent(browser: Browser, path: str) -> None:
    response = browser.raw_post(path, {"id": 1})
    assert response.status_code == 302 and response.location == "/admin/login"


@every_database
def test_signing_in_leads_to_the_page_that_was_asked_for(app: Flask, browser: Browser) -> None:
    with app.app_context():
        create_user("ann", PASSWORD)
    asked = browser.get("/admin/event/?search=door").location
    response = browser.send(asked, name="Ann", password=PASSWORD)
    assert (response.status_code, response.location) == (302, "/admin/event/?search=door")
    assert who(browser) == 200


@pytest.mark.parametrize(
    "target",
    [
        "https://example.com/admin/",
        "//example.com/admin/",
        "/\\example.com",
        "\\\\example.com",
        "/admin\\..\\",
        "javascript:alert(1)",
        "/traffic",
        "/administrator",
        "admin/",
        "/admin/\nSet-Cookie: a=b",
        "http:/admin/",
        "",
    ],
)
def test_signing_in_never_leads_to_another_site(app: Flask, browser: Browser, target: str) -> None:
    with app.app_context():
        create_user("ann", PASSWORD)
    token = browser.token("/admin/login")
    response = browser.raw_post(
        "/admin/login",
        {"name": "ann", "password": PASSWORD, "csrf_token": token},
        query_string={"next": target},
    )
    assert (response.status_code, response.location) == (302, "/admin/")


@pytest.mark.parametrize("name, password", [("ann", OTHER), ("nobody", PASSWORD), ("ann", PASSWORD + "x")])
def test_a_wrong_name_and_a_wrong_password_are_told_the_same(
    app: Flask, browser: Browser, name: str, password: str
) -> None:
    with app.app_context():
        create_user("ann", PASSWORD)
    response = browser.sign_in(name, password)
    assert error_at(response, "password") == "Name or password is wrong."
    assert password not in response.text
    assert who(browser) == 302


def test_an_inactive_account_is_told_the_same_as_a_wrong_password(app: Flask, browser: Browser) -> None:
    with app.app_context():
        create_user("ann", PASSWORD, active=False)
    assert error_at(browser.sign_in(), "password") == "Name or password is wrong."


def test_attempts_are_limited_by_address_whatever_the_name(make_app: AppMaker) -> None:
    app = make_app(LOGIN_ATTEMPTS="3 per minute")
    with app.app_context():
        create_user("ann", PASSWORD)
    browser = Browser(app)
    for number in range(3):
        assert browser.sign_in(f"name {number}").status_code == 200
    refused = browser.sign_in()
    assert refused.status_code == 429
    assert "Too many attempts" in error_at(refused, "password")
    assert who(browser) == 302


def test_the_page_says_how_many_attempts_are_left_and_how_long_to_wait(make_app: AppMaker) -> None:
    app = make_app(LOGIN_ATTEMPTS="5 per 10 minutes")
    with app.app_context():
        create_user("ann", PASSWORD)
    browser = Browser(app)
    pages = [browser.sign_in("Ann", OTHER) for _ in range(5)]
    said = [error_at(page, "password") for page in pages]
    wrong = "Name or password is wrong."
    assert said[:2] == [wrong, wrong]
    assert said[2:4] == [
        f"{wrong} 2 more attempts, then you have to wait.",
        f"{wrong} 1 more attempt, then you have to wait.",
    ]
    assert re.fullmatch(
        re.escape(wrong) + r" That was the last .*: wait \d+ minutes, then try again\.", said[4]
    )
    late = browser.sign_in("Ann", PASSWORD)
    assert late.status_code == 429 and 0 < int(late.headers["Retry-After"]) <= 601
    assert re.fullmatch(r"Too many attempts\. Wait \d+ minutes, then try again\.", error_at(late, "password"))
    for page in (pages[4], late):
        assert "users password NAME" in page.text and 'value="Ann"' in page.text
        assert "autofocus" not in page.text and 'aria-invalid="true"' in page.text
    assert "users password NAME" not in pages[0].text
    with app.app_context():
        kept = [
            (one.action, one.name, one.after) for one in db.session.query(AuditEntry).order_by(AuditEntry.id)
        ]
    assert kept[1:] == [
        ("sign-in refused", "Ann", {"attempts": 5}),
        ("too many attempts", "Ann", {"attempts": 1}),
    ]


def test_attempts_are_limited_by_account_whatever_the_address(make_app: AppMaker) -> None:
    app = make_app(LOGIN_ATTEMPTS="3 per minute", TRUSTED_PROXIES=1)
    with app.app_context():
        create_user("ann", PASSWORD)
    browser = Browser(app)

    def attempt(address: str, name: str, password: str) -> int:
        fields = {"name": name, "password": password, "csrf_token": browser.token("/admin/login")}
        headers = {"X-Forwarded-For": address}
        return browser.raw_post("/admin/login", fields, headers=headers).status_code

    assert [attempt(f"192.0.2.{n}", " ANN"[n % 2 :], OTHER) for n in range(3)] == [200] * 3
    assert attempt("192.0.2.9", "ann", PASSWORD) == 429
    assert attempt("192.0.2.9", "bob", PASSWORD) == 200


def test_signing_in_rightly_is_not_an_attempt_that_counts(make_app: AppMaker) -> None:
    app = make_app(LOGIN_ATTEMPTS="2 per minute")
    with app.app_context():
        create_user("ann", PASSWORD)
    for _ in range(4):
        browser = Browser(app)
        assert browser.sign_in().status_code == 302


def test_a_limit_that_cannot_be_read_is_refused_at_the_start(make_app: AppMaker) -> None:
    with pytest.raises(ConfigError, match="LOGIN_ATTEMPTS"):
        make_app(LOGIN_ATTEMPTS="now and then")


@pytest.mark.parametrize(
    "page, path",
    [
        ("/admin/login", "/admin/login"),
        ("/admin/", "/admin/logout"),
        ("/admin/password", "/admin/password"),
        ("/admin/camera/new/", "/admin/camera/new/"),
        ("/admin/camera/new/", "/admin/camera/delete/"),
        ("/admin/camera/new/", "/admin/camera/action/"),
        ("/admin/token/new/", "/admin/token/revoke"),
        ("/admin/user/new/", "/admin/user/edit/?id=1"),
    ],
)
def test_a_form_from_another_site_is_refused(admin: Browser, page: str, path: str) -> None:
    for fields in ({"name": "x"}, {"name": "x", "csrf_token": "forged"}):
        response = admin.raw_post(path, fields)
        if path == "/admin/login":
            assert response.status_code == 302 and response.location == "/admin/login"
        else:
            assert response.status_code == 400
    assert who(admin) == 200


def test_signing_out_takes_a_form(admin: Browser) -> None:
    assert admin.get("/admin/logout").status_code == 405
    assert who(admin) == 200
    assert admin.send("/admin/logout", page="/admin/").location == "/admin/login"
    assert who(admin) == 302


@pytest.mark.parametrize("how", ["password", "inactive", "role", "deleted"])
def test_a_session_ends_when_its_account_changes(app: Flask, admin: Browser, how: str) -> None:
    with app.app_context():
        create_user("zoe", PASSWORD)
        if how == "password":
            set_password("ann", OTHER)
        elif how == "deleted":
            delete_user(1)
        else:
            update_user(
                1, name="ann", role="viewer" if how == "role" else "administrator", active=how == "role"
            )
    assert who(admin) == 302


def test_ones_own_password_is_changed_and_only_other_sessions_end(app: Flask, admin: Browser) -> None:
    elsewhere = Browser(app)
    elsewhere.sign_in()
    wrong = admin.send("/admin/password", current=OTHER, password=OTHER, repeat=OTHER)
    assert error_at(wrong, "current")
    differ = admin.send("/admin/password", current=PASSWORD, password=OTHER, repeat=PASSWORD)
    assert error_at(differ, "repeat")
    short = admin.send("/admin/password", current=PASSWORD, password="short", repeat="short")
    assert error_at(short, "password")
    assert who(elsewhere) == 200
    assert admin.send("/admin/password", current=PASSWORD, password=OTHER, repeat=OTHER).status_code == 302
    assert (who(admin), who(elsewhere)) == (200, 302)


def test_the_cookie_is_kept_from_scripts_and_other_sites(make_app: AppMaker) -> None:
    for secure in (False, True):
        app = make_app(SESSION_COOKIE_SECURE=secure)
        cookie = app.test_client().get("/admin/login", base_url="https://localhost").headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
        assert ("Secure" in cookie) is secure


def test_a_session_begun_before_signing_in_is_not_kept(app: Flask, browser: Browser) -> None:
    with app.app_context():
        create_user("ann", PASSWORD)
    before = browser.token("/admin/login")
    browser.sign_in()
    assert browser.raw_post("/admin/logout", {"csrf_token": before}).status_code == 400


def test_a_signed_in_session_does_not_open_the_api(make_app: AppMaker) -> None:
    app = make_app()
    with app.app_context():
        create_user("ann", PASSWORD)
    browser = Browser(app)
    browser.sign_in()
    assert who(browser) == 200
    assert browser.get("/statusWatch").status_code == 401


@pytest.mark.parametrize("cookie", ["garbage", "eyJhIjoxfQ.x.y", "", "." * 5000])
def test_a_forged_cookie_is_nobody(app: Flask, cookie: str) -> None:
    client = app.test_client()
    client.set_cookie("hypersight", cookie)
    assert client.get("/admin/").status_code == 302


@every_database
def test_a_zero_byte_is_refused_before_the_database_sees_it(admin: Browser) -> None:
    for page in ("/admin/camera/?search=%00", "/admin/event/?flt2_2=a%00", "/admin/login?next=%00"):
        assert admin.get(page).status_code == 400
    anonymous = Browser(admin.app)
    assert anonymous.sign_in("a\0b").status_code == 400
