"""The audit log: who signed in, and who changed what from what to what.

A service records inside the transaction that makes the change, so neither is there without the other.
Who acts is set once, around a request or a command.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from server.errors import StorageError
from server.extensions import db
from server.log import redact
from server.models import AuditEntry, User
from server.models.base import utc_now
from server.services.naming import NAME_LENGTH
from server.services.transactions import translated, writing

_log = logging.getLogger(__name__)

CREATED, CHANGED, DELETED, REVOKED = "created", "changed", "deleted", "revoked"
SIGNED_IN, SIGNED_OUT = "signed in", "signed out"
REFUSED, TOO_MANY = "sign-in refused", "too many attempts"
ACTIONS = (CREATED, CHANGED, DELETED, REVOKED, SIGNED_IN, SIGNED_OUT, REFUSED, TOO_MANY)
CAMERA, PROCESSOR, ACCOUNT, TOKEN, SESSION = "camera", "processor", "account", "token", "session"
KINDS = (CAMERA, PROCESSOR, ACCOUNT, TOKEN, SESSION)

SEVERAL = "several"
"""Name and address of refusals that are only counted, because there were too many to list."""
TOGETHER = timedelta(minutes=10)
"""Refusals of one name from one address within this time are one entry with a count."""
MAX_REFUSALS = 60
"""Entries of refusals in an hour; further ones are only counted. A year of attacks at this rate takes
some 100 MB."""
_MAX_VALUE = 10_000
"""Characters of a field that are kept; hundreds of masks would fill the log otherwise."""
HIDDEN = "***"
_SECRETS = ("password", "hash", "digest", "secret")
"""Words in the name of a field whose values are not kept: only that it differs."""
_BATCH = 5_000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. `user_id` where it is an account; `address` where the request came from."""

    name: str
    user_id: int | None = None
    address: str = ""


SYSTEM = Actor("system")
"""What happens by itself, such as the first account."""
COMMAND_LINE = Actor("command line")

_actor: ContextVar[Actor] = ContextVar("hypersight_actor", default=SYSTEM)


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """What is recorded within the block was done by `actor`."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def current_actor() -> Actor:
    """Who acts now."""
    return _actor.get()


def set_actor(actor: Actor) -> None:
    """The same until the next call in this thread: for requests, which have no block around them."""
    _actor.set(actor)


def record(
    session: Session,
    action: str,
    kind: str,
    object_id: int | None,
    name: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry to the session's transaction: of two sets of fields, those that differ.

    Where `before` and `after` are both given and equal, nothing has happened and nothing is recorded.
    Values are redacted; what goes by the name of a password never gets in.
    """
    if before is not None and after is not None:
        differing = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        if not differing:
            return
        before = {key: value for key, value in before.items() if key in differing}
        after = {key: value for key, value in after.items() if key in differing}
    actor = current_actor()
    # Asked for in the same statement: an account that is deleted meanwhile must not fail the change.
    still_there = select(User.id).where(User.id == actor.user_id).scalar_subquery()
    session.add(
        AuditEntry(
            ts=utc_now(),
            user_id=None if actor.user_id is None else still_there,
            who=_shown(actor.name),
            address=actor.address[:45],
            action=action,
            kind=kind,
            object_id=object_id,
            name=_shown(name),
            before=_clean(before),
            after=_clean(after),
        )
    )
    session.flush()


@contextmanager
def if_possible(what: str) -> Iterator[None]:
    """For signing in and out, which must work while the disk is full or the database takes no writes: what
    cannot be recorded within the block is written to the server's log."""
    try:
        yield
    except StorageError as error:
        _log.error("%s by %r is missing from the audit log: %s", what, current_actor().name, error)


def record_refusal(action: str, name: str) -> None:
    """Record a sign-in that was refused (REFUSED or TOO_MANY) with the name that was typed.

    Whoever tries for ever fills no disk: the same name from the same address is one entry with a count,
    and above MAX_REFUSALS entries an hour the rest is one entry with a count. Raises StorageError.
    """
    shown, now = _shown(name), utc_now()
    with writing() as session:
        actor = current_actor()
        entry = _entry_of(session, action, shown, actor.address, now)
        if entry is None and _refusals(session, now) >= MAX_REFUSALS:
            shown, actor = SEVERAL, Actor(SEVERAL, None, SEVERAL)
            entry = _entry_of(session, action, shown, actor.address, now)
        if entry is not None:
            entry.after = {"attempts": int((entry.after or {}).get("attempts", 1)) + 1}
            return
        with acting(Actor(shown, None, actor.address)):
            record(session, action, SESSION, None, shown, after={"attempts": 1})


def record_block(name: str) -> None:
    """Record that somebody is kept from trying further (TOO_MANY): once in a while for an address, and
    without writing anything in between, however fast they ask. Raises StorageError."""
    lately = (
        AuditEntry.ts > utc_now() - TOGETHER,
        AuditEntry.action == TOO_MANY,
        AuditEntry.address.in_((current_actor().address[:45], SEVERAL)),
    )
    with translated():
        known = db.session.scalar(select(AuditEntry.id).where(*lately).limit(1))
    if known is None:
        record_refusal(TOO_MANY, name)


def forget(engine: Engine, keep_days: int, now: datetime | None = None) -> int:
    """Delete entries older than `keep_days`, a batch a transaction; gives how many. Raises StorageError."""
    before = (now or utc_now()) - timedelta(days=keep_days)
    oldest = select(AuditEntry.id).where(AuditEntry.ts < before).order_by(AuditEntry.ts).limit(_BATCH)
    gone = 0
    while True:
        with writing(engine) as session:
            ids = list(session.scalars(oldest))
            session.execute(delete(AuditEntry).where(AuditEntry.id.in_(ids)))
        gone += len(ids)
        if len(ids) < _BATCH:
            return gone


def _entry_of(session: Session, action: str, name: str, address: str, now: datetime) -> AuditEntry | None:
    """The entry that a further refusal of the kind is counted in."""
    found: AuditEntry | None = session.scalar(
        select(AuditEntry)
        .where(
            AuditEntry.ts > now - TOGETHER,
            AuditEntry.action == action,
            AuditEntry.name == name,
            AuditEntry.address == address[:45],
        )
        .order_by(AuditEntry.ts.desc())
        .limit(1)
    )
    return found


def _refusals(session: Session, now: datetime) -> int:
    counted = select(func.count()).where(
        AuditEntry.ts > now - timedelta(hours=1), AuditEntry.action.in_((REFUSED, TOO_MANY))
    )
    return int(session.scalar(counted) or 0)


def _shown(text: str) -> str:
    """A name as it may be kept and shown: one line, redacted, cut."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return redact(" ".join(line.split()))[:NAME_LENGTH]


def _clean(fields: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if fields is None:
        return None
    return {name: _cleaned(name, value) for name, value in sorted(fields.items())}


def _cleaned(name: str, value: Any) -> Any:
    if any(word in name.lower() for word in _SECRETS):
        return HIDDEN
    shown = _redacted(value)
    text = shown if isinstance(shown, str) else json.dumps(shown)
    return shown if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}… ({len(text)} characters)"


def _redacted(value: Any) -> Any:
    """The value with every text in it redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {redact(str(key)): _redacted(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_redacted(item) for item in value]
    return value
