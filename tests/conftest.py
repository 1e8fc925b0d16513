"""Fixtures that tests share: an application over a fresh, migrated database."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import scoped_session

from server import create_app
from server.config import INSTANCE_VARIABLE, Settings
from server.extensions import db
from tests.databases import SECRET, Databases

AppMaker = Callable[..., Flask]


class OwnContextClient(FlaskClient):
    """Each request in an application context of its own, as when it comes over a wire: it must not see
    the test's database session with what that has read already."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request."""
        with self.application.app_context():
            return super().open(*args, **kwargs)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the shell that runs the tests are not the tests' settings."""
    for name in [INSTANCE_VARIABLE, *(field.name for field in dataclasses.fields(Settings))]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Where empty databases come from."""
    made = Databases(tmp_path_factory.mktemp("databases"))
    yield made
    made.close()


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    """An instance directory without a config.py."""
    directory = tmp_path / "instance"
    directory.mkdir()
    return directory


@pytest.fixture
def database(request: pytest.FixtureRequest, databases: Databases, instance: Path) -> str:
    """Address of an empty, migrated database: SQLite, unless the test is marked `every_database`."""
    kind = getattr(request, "param", "sqlite")
    return databases.sqlite(instance) if kind == "sqlite" else databases.on_server(kind)


@pytest.fixture
def make_app(instance: Path, database: str) -> Iterator[AppMaker]:
    """Makes applications over the test's database, with settings by name."""
    made: list[Flask] = []

    def make(**overrides: object) -> Flask:
        values = {"SECRET_KEY": SECRET, "SQLALCHEMY_DATABASE_URI": database, **overrides}
        app = create_app(instance, values)
        app.testing = True
        app.test_client_class = OwnContextClient
        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def app(make_app: AppMaker) -> Flask:
    """An application whose API answers without a token."""
    return make_app(API_ANONYMOUS=True)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Talks HTTP to `app`, as a browser without cookies."""
    return app.test_client()


@pytest.fixture
def session(app: Flask) -> Iterator[scoped_session]:
    """The database session of an application context that lasts as long as the test."""
    with app.app_context():
        yield db.session
