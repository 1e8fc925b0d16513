"""Accounts: who may sign in at /admin."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from functools import cache
from typing import Any, Literal
from zoneinfo import available_timezones

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session
from werkzeug.security import check_password_hash, generate_password_hash

from server.errors import InvalidInput, NotFound
from server.extensions import db
from server.models import Camera, User, UserCamera
from server.services.audit import (
    ACCOUNT,
    CHANGED,
    CREATED,
    DELETED,
    REFUSED,
    SESSION,
    SIGNED_IN,
    SIGNED_OUT,
    Actor,
    acting,
    current_actor,
    if_possible,
    record,
    record_refusal,
)
from server.services.naming import clean_name, unique_name
from server.services.rights import ADMINISTRATOR, ROLES
from server.services.transactions import translated, writing

MIN_PASSWORD = 10
MAX_PASSWORD = 200
"""Characters. Longer ones would only cost time to hash."""
FIRST_ADMIN = "admin"

ALL: Literal["all"] = "all"
Cameras = Collection[int] | Literal["all"]
"""Ids of the cameras that an account sees, or ALL."""

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
        user = User(name=FIRST_ADMIN, password_hash=digest, role=ADMINISTRATOR)
        session.add(user)
        session.flush()
        record(session, CREATED, ACCOUNT, user.id, user.name, after=_fields(session, user))
    return password


def create_user(
    name: str,
    password: str,
    role: str = ADMINISTRATOR,
    *,
    active: bool = True,
    cameras: Cameras = ALL,
    timezone: str = "",
) -> int:
    """Make an account and return its id. Raises InvalidInput naming the field."""
    name = clean_name(name)
    _check_role(role)
    zone = clean_zone(timezone)
    digest = _hash(password)
    with unique_name(name), writing() as session:
        _refuse_namesake(session, name, None)
        user = User(name=name, password_hash=digest, role=role, active=active, timezone=zone)
        session.add(user)
        session.flush()
        _give(session, user, cameras)
        record(session, CREATED, ACCOUNT, user.id, user.name, after=_fields(session, user))
        return user.id


def update_user(
    user_id: int,
    *,
    name: str,
    role: str,
    active: bool,
    password: str | None = None,
    cameras: Cameras | None = None,
    timezone: str | None = None,
) -> None:
    """Change an account; without `password`, `cameras` or `timezone` those stay. Raises InvalidInput naming
    the field, NotFound.

    The last administrator who can sign in stays one.
    """
    name = clean_name(name)
    _check_role(role)
    zone = None if timezone is None else clean_zone(timezone)
    digest = _hash(password) if password else None
    with unique_name(name), writing() as session:
        _hold_administrators(session)
        user = _get(session, User.id == user_id)
        if (role != ADMINISTRATOR or not active) and _is_last_administrator(session, user):
            field = "active" if not active else "role"
            raise InvalidInput(field, "this is the last administrator who can sign in")
        _refuse_namesake(session, name, user_id)
        before = _fields(session, user)
        if digest is not None or role != user.role or active != user.active:
            user.session_version += 1
        user.name, user.role, user.active = name, role, active
        user.password_hash = digest or user.password_hash
        if timezone is not None:
            user.timezone = zone
        if cameras is not None:
            _give(session, user, cameras)
        record(session, CHANGED, ACCOUNT, user_id, name, before, _fields(session, user))


def delete_user(user_id: int) -> None:
    """Delete an account; the API tokens it made stay. Raises NotFound, InvalidInput for the last
    administrator."""
    with writing() as session:
        _hold_administrators(session)
        user = _get(session, User.id == user_id)
        if _is_last_administrator(session, user):
            raise InvalidInput("name", "this is the last administrator who can sign in")
        before = _fields(session, user)
        del before["password"]
        record(session, DELETED, ACCOUNT, user_id, user.name, before=before)
        session.execute(delete(User).where(User.id == user_id))


def set_password(name: str, password: str) -> None:
    """Give an account a new password and end its sessions. Raises NotFound, InvalidInput."""
    digest = _hash(password)
    with writing() as session:
        _store_password(session, _get(session, User.name == name), digest)


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
        _store_password(session, _get(session, User.id == user_id), digest)


def change_own_zone(user_id: int, timezone: str) -> None:
    """Choose the zone that one's times are shown in; empty: TIMEZONE. Raises InvalidInput, NotFound."""
    zone = clean_zone(timezone)
    with writing() as session:
        user = _get(session, User.id == user_id)
        before = _fields(session, user)
        user.timezone = zone
        record(session, CHANGED, ACCOUNT, user_id, user.name, before, _fields(session, user))


def sign_in(name: str, password: str) -> User | None:
    """`authenticate`, and the attempt in the audit log if that is possible."""
    user = authenticate(name, password)
    if user is None:
        with if_possible(REFUSED):
            record_refusal(REFUSED, name)
        return None
    actor = Actor(user.name, user.id, current_actor().address)
    with acting(actor), if_possible(SIGNED_IN), writing() as session:
        record(session, SIGNED_IN, SESSION, user.id, user.name)
    return user


def sign_out(user_id: int, name: str) -> None:
    """Put it into the audit log, if that is possible, that somebody has signed out."""
    with if_possible(SIGNED_OUT), writing() as session:
        record(session, SIGNED_OUT, SESSION, user_id, name)


@cache
def zones() -> tuple[str, ...]:
    """The names of the time zones that this host knows, sorted."""
    return tuple(sorted(available_timezones()))


def clean_zone(name: str) -> str | None:
    """The name of a time zone, None for an empty one. Raises InvalidInput("timezone", …)."""
    name = name.strip()
    if name and name not in zones():
        raise InvalidInput("timezone", f"{name[:64]!r} is no IANA time zone, such as Europe/Berlin")
    return name or None


def cameras_of(user: User) -> Cameras:
    """The cameras that were ticked for an account, or ALL."""
    if user.all_cameras:
        return ALL
    with translated():
        ids = db.session.scalars(select(UserCamera.camera_id).where(UserCamera.user_id == user.id))
        return frozenset(ids)


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


def _hold_administrators(session: Session) -> None:
    """Let two administrators who demote each other at the same moment do so one after the other."""
    held = select(User.id).where(User.role == ADMINISTRATOR).order_by(User.id).with_for_update()
    session.execute(held).all()


def _give(session: Session, user: User, cameras: Cameras) -> None:
    """Let an account see all cameras, or those of these that exist (still)."""
    user.all_cameras = cameras == ALL
    session.execute(delete(UserCamera).where(UserCamera.user_id == user.id))
    if cameras != ALL:
        there = session.scalars(select(Camera.id).where(Camera.id.in_(sorted(cameras)))).all()
        session.add_all(UserCamera(user_id=user.id, camera_id=key) for key in there)
    session.flush()


def _fields(session: Session, user: User) -> dict[str, Any]:
    """What the audit log keeps of an account. Of the password only whether it differs."""
    names = select(Camera.name).join(UserCamera, UserCamera.camera_id == Camera.id)
    mine = session.scalars(names.where(UserCamera.user_id == user.id).order_by(Camera.name))
    return {
        "name": user.name,
        "role": user.role,
        "active": user.active,
        "cameras": ALL if user.all_cameras else list(mine),
        "timezone": user.timezone or "",
        "password": user.password_hash,
    }


def _store_password(session: Session, user: User, digest: str) -> None:
    before = _fields(session, user)
    user.password_hash = digest
    user.session_version += 1
    record(session, CHANGED, ACCOUNT, user.id, user.name, before, _fields(session, user))


def _get(session: Session, condition: ColumnElement[bool]) -> User:
    user = session.scalar(select(User).where(condition))
    if user is None:
        raise NotFound("there is no such account")
    return user


@cache
def _nobody() -> str:
    """Checked for names nobody has, so that the time of an answer does not tell which names exist."""
    return generate_password_hash(secrets.token_urlsafe(), "scrypt")
