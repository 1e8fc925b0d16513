"""Accounts: who may sign in at /admin."""

from __future__ import annotations

import secrets
from functools import cache

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session
from werkzeug.security import check_password_hash, generate_password_hash

from server.errors import InvalidInput, NotFound
from server.extensions import db
from server.models import User
from server.services.naming import clean_name, unique_name
from server.services.rights import ADMINISTRATOR, ROLES
from server.services.transactions import translated, writing

MIN_PASSWORD = 10
MAX_PASSWORD = 200
"""Characters. Longer ones would only cost time to hash."""
FIRST_ADMIN = "admin"

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without characters that are taken for one another."""


def generate_password() -> str:
    """A password that can be read out: four groups of four, 80 random bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))


def ensure_first_admin() -> str | None:
    """Where nobody has an account, make `admin` and return its generated password, else None."""
    password = generate_password()
    digest = _hash(password)
    with writing() as session:
        if session.scalar(select(User.id).limit(1)) is not None:
            return None
        session.add(User(name=FIRST_ADMIN, password_hash=digest, role=ADMINISTRATOR))
    return password


def create_user(name: str, password: str, role: str = ADMINISTRATOR, *, active: bool = True) -> int:
    """Make an account and return its id. Raises InvalidInput naming the field."""
    name = clean_name(name)
    _check_role(role)
    digest = _hash(password)
    with unique_name(name), writing() as session:
        _refuse_namesake(session, name, None)
        user = User(name=name, password_hash=digest, role=role, active=active)
        session.add(user)
        session.flush()
        return user.id


def update_user(user_id: int, *, name: str, role: str, active: bool, password: str | None = None) -> None:
    """Change an account; without `password` that stays. Raises InvalidInput naming the field, NotFound.

    The last administrator who can sign in stays one.
    """
    name = clean_name(name)
    _check_role(role)
    digest = _hash(password) if password else None
    with unique_name(name), writing() as session:
        user = _get(session, User.id == user_id)
        if (role != ADMINISTRATOR or not active) and _is_last_administrator(session, user):
            field = "active" if not active else "role"
            raise InvalidInput(field, "this is the last administrator who can sign in")
        _refuse_namesake(session, name, user_id)
        if digest is not None or role != user.role or active != user.active:
            user.session_version += 1
        user.name, user.role, user.active = name, role, active
        user.password_hash = digest or user.password_hash


def delete_user(user_id: int) -> None:
    """Delete an account; the API tokens it made stay. Raises NotFound, InvalidInput for the last
    administrator."""
    with writing() as session:
        user = _get(session, User.id == user_id)
        if _is_last_administrator(session, user):
            raise InvalidInput("name", "this is the last administrator who can sign in")
        session.execute(delete(User).where(User.id == user_id))


def set_password(name: str, password: str) -> None:
    """Give an account a new password and end its sessions. Raises NotFound, InvalidInput."""
    digest = _hash(password)
    with writing() as session:
        user = _get(session, User.name == name)
        user.password_hash = digest
        user.session_version += 1


def change_own_password(user_id: int, current: str, new: str) -> None:
    """Change a password by its owner, which ends all sessions. Raises InvalidInput naming `current` or
    `password`, NotFound."""
    with translated():
        stored = db.session.scalar(select(User.password_hash).where(User.id == user_id))
    if stored is None:
        raise NotFound("there is no such account any more")
    if not check_password_hash(stored, current[:MAX_PASSWORD]):
        raise InvalidInput("current", "this is not your password")
    digest = _hash(new)
    with writing() as session:
        user = _get(session, User.id == user_id)
        user.password_hash = digest
        user.session_version += 1


def authenticate(name: str, password: str) -> User | None:
    """The account that signs in with this password, or None. Takes as long for a name nobody has."""
    with translated():
        user = db.session.scalar(select(User).where(func.lower(User.name) == name.strip().lower()))
    right = check_password_hash(user.password_hash if user else _nobody(), password[:MAX_PASSWORD])
    return user if user is not None and right and user.active else None


def get_user(user_id: int) -> User | None:
    """The account by id."""
    with translated():
        return db.session.get(User, user_id)


def _hash(password: str) -> str:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise InvalidInput("password", f"from {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    return generate_password_hash(password, "scrypt")


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise InvalidInput("role", f"{role!r} is not one of {', '.join(ROLES)}")


def _refuse_namesake(session: Session, name: str, own_id: int | None) -> None:
    """MariaDB takes names that differ in case only for the same, the others do not: none may."""
    others = select(User.id).where(func.lower(User.name) == name.lower(), User.id != (own_id or 0))
    if session.scalar(others) is not None:
        raise InvalidInput("name", f"{name!r} is taken already")


def _is_last_administrator(session: Session, user: User) -> bool:
    others = select(User.id).where(User.role == ADMINISTRATOR, User.active, User.id != user.id)
    return user.role == ADMINISTRATOR and user.active and session.scalar(others.limit(1)) is None


def _get(session: Session, condition: ColumnElement[bool]) -> User:
    user = session.scalar(select(User).where(condition))
    if user is None:
        raise NotFound("there is no such account")
    return user


@cache
def _nobody() -> str:
    """Checked for names nobody has, so that the time of an answer does not tell which names exist."""
    return generate_password_hash(secrets.token_urlsafe(), "scrypt")
