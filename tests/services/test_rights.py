from __future__ import annotations

import pytest
from sqlalchemy import select

from server.extensions import db
from server.models import Camera, Processor, User, UserCamera
from server.services.rights import EVERYTHING, NOTHING, Rights, rights_of
from tests.databases import every_database
from tests.factories import camera, processor, save

pytestmark = pytest.mark.usefixtures("session")


def account(role: str, *cameras: Camera, **values: object) -> User:
    values = {"name": role, "role": role, "password_hash": "x", "all_cameras": False, **values}
    user = save(User(**values))
    for one in cameras:
        save(UserCamera(user_id=user.id, camera_id=one.id))
    return user


def seen(rights: Rights) -> set[int]:
    return set(db.session.scalars(select(Camera.id).where(rights.visible(Camera.id))))


@every_database
def test_an_account_sees_the_cameras_it_was_given_and_what_belongs_to_them() -> None:
    door, gate = camera(), camera()
    line, room = processor(on=door), processor(on=gate)
    rights = rights_of(account("viewer", door))
    assert rights.sees(door.id) and not rights.sees(gate.id)
    assert seen(rights) == {door.id}
    found = select(Processor.id).where(rights.visible_processors(Processor.id))
    assert set(db.session.scalars(found)) == {line.id}
    assert seen(EVERYTHING) == {door.id, gate.id}
    found = select(Processor.id).where(EVERYTHING.visible_processors(Processor.id))
    assert set(db.session.scalars(found)) == {line.id, room.id}


@every_database
def test_without_a_camera_nothing_is_seen() -> None:
    camera()
    rights = rights_of(account("operator"))
    assert rights.cameras == frozenset() and seen(rights) == set() and seen(NOTHING) == set()
    assert not db.session.scalars(select(Processor.id).where(rights.visible_processors(Processor.id))).all()


@pytest.mark.parametrize(
    "role, operates, administrates",
    [("administrator", True, True), ("operator", True, False), ("viewer", False, False)],
)
def test_a_role_says_what_may_be_changed(role: str, operates: bool, administrates: bool) -> None:
    door, gate = camera(), camera()
    rights = rights_of(account(role, door))
    assert (rights.operates, rights.is_administrator) == (operates, administrates)
    assert rights.may_change(door.id) is operates
    assert rights.may_change(gate.id) is administrates
    everywhere = rights_of(account(role, name="all", all_cameras=True))
    assert everywhere.cameras is None and everywhere.may_change(gate.id) is operates


def test_an_administrator_sees_every_camera_whatever_is_ticked() -> None:
    gate = camera()
    assert rights_of(account("administrator")).sees(gate.id)


def test_who_may_not_sign_in_or_has_an_unknown_role_may_nothing() -> None:
    assert rights_of(account("administrator", active=False)) == NOTHING
    assert rights_of(account("king", all_cameras=True)) == NOTHING
    assert not NOTHING.operates and not NOTHING.sees(1)
