"""A running system, a live camera, and people: started once for all tests here."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from server.config import INSTANCE_VARIABLE, Settings
from server.errors import ModelError
from server.vision.weights import YOLOX_NANO
from tests.assets import asset
from tests.databases import Databases, migrate
from tests.fleet import await_
from tests.media.rtsp import why_not_here
from tests.web.live.hall import Hall, make_stream
from tests.web.live.people import Person
from tests.web.live.system import System

DATABASE = "TEST_LIVE_DATABASE"
"""Environment variable: sqlite (default), mariadb or postgresql."""
Joining = Callable[..., Person]


@pytest.fixture(scope="package", autouse=True)
def _needs() -> None:
    """Skip with a reason what cannot run here."""
    if reason := why_not_here():
        pytest.skip(reason)
    try:
        asset(YOLOX_NANO)
    except ModelError as error:
        pytest.skip(f"{error}; ./test fetches it")


@pytest.fixture(scope="package")
def stream(_needs: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the camera sends."""
    return make_stream(tmp_path_factory.mktemp("hall"))


@pytest.fixture(scope="package")
def system(_needs: None, chromium: Any, databases: Databases, tmp_path_factory: Any) -> Iterator[System]:
    """Everything that ./start runs. At the end nothing of it may be left."""
    kind = os.environ.get(DATABASE, "sqlite")
    instance = tmp_path_factory.mktemp("live") / "instance"
    instance.mkdir()
    with pytest.MonkeyPatch.context() as patch, databases.without_tables(kind, instance) as address:
        for name in [INSTANCE_VARIABLE, *(field.name for field in dataclasses.fields(Settings))]:
            patch.delenv(name, raising=False)
        migrate(instance, address)
        with System(instance, address) as made:
            made.up()
            yield made
        await_(lambda: not made.stray(), 10, lambda: f"still there: {made.stray()}")


@pytest.fixture
def hall(stream: Path) -> Iterator[Hall]:
    """The camera, switched on."""
    with Hall(stream) as made:
        yield made


@pytest.fixture
def join(chromium: Any, system: System) -> Iterator[Joining]:
    """Brings people: `join("administrator")` has signed in, `join()` has not.

    Afterwards no page may have asked another site for anything, or complained.
    """
    people: list[Person] = []

    def make(role: str = "", device: str = "desktop", name: str = "") -> Person:
        person = Person(chromium, system, device)
        people.append(person)
        if role or name:
            person.sign_in(name or system.user(role))
            person.page.get_by_role("navigation", name="Main").wait_for(state="attached")
        return person

    yield make
    for person in people:
        person.close()
    assert [url for person in people for url in person.strangers] == []
    assert [said for person in people for said in person.complaints] == []
