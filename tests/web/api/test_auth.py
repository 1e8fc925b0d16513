from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from server.services.tokens import create_token, revoke_token
from tests.conftest import AppMaker
from tests.databases import every_database

CALLS = [("POST", "/traffic"), ("POST", "/objects"), ("GET", "/statusWatch"), ("POST", "/detect")]


@pytest.fixture
def app(make_app: AppMaker) -> Flask:
    """An application that wants tokens, as is the default."""
    return make_app()


@pytest.mark.parametrize("method, path", CALLS)
@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "bearer \xff",
        "Basic dXNlcjpwYXNz",
        "wrong",
        "Bearer a b",
    ],
)
def test_without_a_valid_token_every_call_is_refused(
    client: FlaskClient, method: str, path: str, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    response = client.open(path, method=method, headers=headers, data=b"x")
    assert response.status_code == 401
    assert response.get_json()["err"] is True
    assert "token" in response.get_json()["msg"]
    assert response.headers["WWW-Authenticate"].lower().startswith("bearer")


@every_database
@pytest.mark.usefixtures("session")
def test_a_token_is_accepted_until_it_is_revoked(client: FlaskClient) -> None:
    token = create_token("office")
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get("/statusWatch", headers=headers).status_code == 200
    assert client.get("/statusWatch", headers={"Authorization": f"bearer {token}"}).status_code == 200
    assert client.get("/statusWatch", headers={"Authorization": f"Bearer {token}x"}).status_code == 401
    revoke_token("office")
    assert client.get("/statusWatch", headers=headers).status_code == 401


def test_an_anonymous_api_needs_none(make_app: AppMaker) -> None:
    client = make_app(API_ANONYMOUS=True).test_client()
    assert client.get("/statusWatch").status_code == 200


@every_database
@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("scope", ["metrics", "status", "detect"])
def test_a_token_opens_only_what_it_was_made_for(client: FlaskClient, scope: str) -> None:
    headers = {"Authorization": f"Bearer {create_token('office', scopes=[scope])}"}
    needed = {"/traffic": "metrics", "/objects": "metrics", "/statusWatch": "status", "/detect": "detect"}
    for method, path in CALLS:
        response = client.open(path, method=method, headers=headers, data=b"x")
        if needed[path] == scope:
            assert response.status_code in (200, 400)
        else:
            assert response.status_code == 403
            said = response.get_json()
            assert said["err"] is True
            assert f"lacks the scope {needed[path]}" in said["msg"] and f"has {scope}" in said["msg"]
