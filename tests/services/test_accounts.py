from __future__ import annotations

import pytest

from server.errors import InvalidInput, NotFound
from server.extensions import db
from server.models import User
from server.services import accounts
from tests.databases import every_database

pytestmark = pytest.mark.usefixtures("session")
PASSWORD = "correct horse battery"
OTHER = "staple staple staple"


def stored(user_id: int) -> User:
    db.session.rollback()
    user = db.session.get(User, user_id)
    assert user is not None
    return user


@every_database
def test_the_first_administrator_is_made_once_with_a_password_that_signs_in() -> None:
    password = accounts.ensure_first_admin()
    assert password is not None and len(password) >= 16
    assert accounts.authenticate("admin", password) is not None
    assert accounts.ensure_first_admin() is None


def test_two_first_administrators_never_have_the_same_password() -> None:
    assert len({accounts.generate_password() for _ in range(100)}) == 100


@every_database
def test_a_password_is_stored_as_a_slow_hash_and_checked() -> None:
    user_id = accounts.create_user("Ann", PASSWORD)
    assert stored(user_id).password_hash.startswith("scrypt:")
    assert PASSWORD not in stored(user_id).password_hash
    found = accounts.authenticate(" ann ", PASSWORD)
    assert found is not None and found.id == user_id
    assert accounts.authenticate("Ann", OTHER) is None
    assert accounts.authenticate("nobody", PASSWORD) is None
    assert accounts.authenticate("", "") is None


@every_database
def test_names_that_differ_in_case_only_are_the_same_name() -> None:
    ann = accounts.create_user("Ann", PASSWORD)
    accounts.create_user("Bob", PASSWORD)
    with pytest.raises(InvalidInput, match="taken") as caught:
        accounts.create_user("ANN", PASSWORD)
    assert caught.value.field == "name"
    with pytest.raises(InvalidInput, match="taken"):
        accounts.update_user(ann, name="bob", role="administrator", active=True)
    accounts.update_user(ann, name="ann", role="administrator", active=True)
    assert stored(ann).name == "ann"


@pytest.mark.parametrize(
    "name, password, role, field",
    [
        ("", PASSWORD, "viewer", "name"),
        ("   ", PASSWORD, "viewer", "name"),
        ("x" * 81, PASSWORD, "viewer", "name"),
        ("a\x00b", PASSWORD, "viewer", "name"),
        ("Ann", "short", "viewer", "password"),
        ("Ann", "", "viewer", "password"),
        ("Ann", "x" * 201, "viewer", "password"),
        ("Ann", PASSWORD, "king", "role"),
    ],
)
def test_what_does_not_make_an_account_is_refused_by_its_field(
    name: str, password: str, role: str, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        accounts.create_user(name, password, role)
    assert caught.value.field == field


@every_database
def test_the_last_administrator_who_can_sign_in_stays() -> None:
    ann = accounts.create_user("Ann", PASSWORD)
    accounts.create_user("Bob", PASSWORD, "viewer")
    accounts.create_user("Eve", PASSWORD, active=False)
    for change in ({"role": "viewer", "active": True}, {"role": "administrator", "active": False}):
        with pytest.raises(InvalidInput, match="last administrator"):
            accounts.update_user(ann, name="Ann", **change)
    with pytest.raises(InvalidInput, match="last administrator"):
        accounts.delete_user(ann)
    accounts.create_user("Zoe", PASSWORD)
    accounts.delete_user(ann)
    assert accounts.authenticate("Ann", PASSWORD) is None


@every_database
def test_an_inactive_account_does_not_sign_in() -> None:
    accounts.create_user("Ann", PASSWORD, active=False)
    assert accounts.authenticate("Ann", PASSWORD) is None


@every_database
def test_a_new_password_role_or_activity_ends_sessions_and_a_new_name_does_not() -> None:
    accounts.create_user("Zoe", PASSWORD)
    ann = accounts.create_user("Ann", PASSWORD)
    sessions = [stored(ann).get_id()]
    accounts.set_password("Ann", OTHER)
    sessions.append(stored(ann).get_id())
    accounts.change_own_password(ann, OTHER, PASSWORD)
    sessions.append(stored(ann).get_id())
    accounts.update_user(ann, name="Ann", role="administrator", active=True, password=OTHER)
    sessions.append(stored(ann).get_id())
    accounts.update_user(ann, name="Ann", role="viewer", active=True)
    sessions.append(stored(ann).get_id())
    assert len(set(sessions)) == 5
    accounts.update_user(ann, name="Anna", role="viewer", active=True)
    assert stored(ann).get_id() == sessions[-1]
    assert accounts.authenticate("Anna", OTHER) is not None


@every_database
def test_ones_own_password_is_changed_only_by_who_knows_it() -> None:
    ann = accounts.create_user("Ann", PASSWORD)
    with pytest.raises(InvalidInput) as caught:
        accounts.change_own_password(ann, OTHER, OTHER)
    assert caught.value.field == "current"
    with pytest.raises(InvalidInput) as caught:
        accounts.change_own_password(ann, PASSWORD, "short")
    assert caught.value.field == "password"
    assert accounts.authenticate("Ann", PASSWORD) is not None


@every_database
def test_an_account_that_is_gone_is_not_found() -> None:
    with pytest.raises(NotFound):
        accounts.set_password("nobody", PASSWORD)
    with pytest.raises(NotFound):
        accounts.change_own_password(99, PASSWORD, OTHER)
    with pytest.raises(NotFound):
        accounts.delete_user(99)


@every_database
def test_a_deleted_accounts_number_is_never_given_again() -> None:
    """A cookie names its account by it: that of somebody who is gone must not open another's."""
    accounts.create_user("Ann", PASSWORD)
    gone = accounts.create_user("Bob", PASSWORD)
    accounts.delete_user(gone)
    assert accounts.create_user("Cleo", PASSWORD) > gone
