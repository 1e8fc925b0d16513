from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from server.errors import StorageError


@pytest.mark.parametrize(
    "path", ["/nothing", "/traffic/", "/traffic/1", "/api/v1/cameras", "/Traffic", "/%00"]
)
def test_an_unknown_route_answers_in_json(client: FlaskClient, path: str) -> None:
    response = client.post(path, json={})
    assert response.status_code == 404
    assert response.get_json()["err"] is True


@pytest.mark.parametrize("method, path", [("GET", "/traffic"), ("PUT", "/objects"), ("POST", "/statusWatch")])
def test_a_wrong_method_answers_in_json_with_the_allowed_ones(
    client: FlaskClient, method: str, path: str
) -> None:
    response = client.open(path, method=method)
    assert response.status_code == 405
    assert response.get_json()["err"] is True
    assert response.headers["Allow"]


def test_a_database_that_is_away_answers_in_json_without_its_address(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise StorageError("the database does not answer: gone")

    monkeypatch.setitem(app.view_functions, "status.status_call", fail)
    response = client.get("/statusWatch")
    assert response.status_code == 503
    assert response.get_json() == {"err": True, "msg": "the database does not answer: gone"}
    assert response.headers["Retry-After"]


def test_a_mistake_of_ours_answers_in_json_without_its_details(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("secret detail")

    app.testing = False
    monkeypatch.setitem(app.view_functions, "status.status_call", fail)
    response = client.get("/statusWatch")
    assert response.status_code == 500
    assert response.get_json()["err"] is True
    assert "secret detail" not in response.text
    assert "secret detail" in caplog.text


def test_the_rest_of_a_refused_body_is_read_so_that_the_refusal_arrives(client: FlaskClient) -> None:
    class Upload:
        """A body as the web server hands it over: it ends by itself."""

        left = 10_000_000

        def read(self, size: int = -1) -> bytes:
            taken = self.left if size < 0 else min(size, self.left)
            self.left -= taken
            return b"x" * taken

    upload = Upload()
    environ = {"wsgi.input": upload, "wsgi.input_terminated": True, "CONTENT_LENGTH": "10000000"}
    response = client.post("/traffic", environ_overrides=environ)
    assert response.status_code == 400
    assert upload.left == 0
