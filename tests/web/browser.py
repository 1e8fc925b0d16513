"""A browser without a screen: keeps cookies, and sends forms with the token their page came with."""

from __future__ import annotations

import re
from functools import cache
from html import unescape
from typing import Any

from flask import Flask
from werkzeug.security import generate_password_hash
from werkzeug.test import TestResponse

from server.extensions import db
from server.models import User

COOKIE = "hypersight"
PASSWORD = "correct horse battery"


class Browser:
    """Visits pages of one application."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._client = app.test_client()

    def get(self, path: str, **options: Any) -> TestResponse:
        """Open a page, without following where it sends to."""
        return self._client.get(path, **options)

    def raw_post(self, path: str, data: dict[str, Any], **options: Any) -> TestResponse:
        """Send a form as another site would: without our token."""
        return self._client.post(path, data=data, **options)

    def send(self, path: str, page: str | None = None, **fields: Any) -> TestResponse:
        """Fill in the form of `page` (default: `path` itself) and send it to `path`."""
        token = self.token(page or path)
        return self._client.post(path, data={"csrf_token": token, **fields})

    def token(self, page: str) -> str:
        """The token that a page's forms carry."""
        match = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', self.get(page).text)
        assert match is not None, f"{page} has no form"
        return match[1]

    def hidden(self, page: str, name: str) -> str:
        """The value of a hidden field."""
        match = re.search(rf'name="{name}"[^>]*value="([^"]*)"', self.get(page).text)
        assert match is not None, f"{page} has no {name}"
        return unescape(match[1])

    def sign_in(self, name: str = "ann", password: str = PASSWORD, **options: Any) -> TestResponse:
        """Sign in."""
        return self.send("/admin/login", name=name, password=password, **options)

    def become(self, name: str, role: str) -> None:
        """Be signed in as a new account, without the time that passwords take."""
        with self.app.app_context():
            user = User(name=name, role=role, password_hash=_hash())
            db.session.add(user)
            db.session.commit()
            key = user.get_id()
        with self._client.session_transaction() as session:
            session["_user_id"], session["_fresh"] = key, True

    def session(self) -> str:
        """The cookie of this browser's session, for a real browser to go on with."""
        cookie = self._client.get_cookie(COOKIE)
        assert cookie is not None, "nobody has signed in"
        return str(cookie.value)


@cache
def _hash() -> str:
    return generate_password_hash(PASSWORD, "scrypt")


def error_at(response: TestResponse, field: str) -> str:
    """What the page says is wrong with a field; empty where nothing is."""
    match = re.search(rf'id="{field}-error">([^<]*)<', response.text)
    return unescape(match[1]) if match else ""
