"""The audit log: who did what, and what it was before."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from server.extensions import db
from server.models.base import BigKey, UtcDateTime


class AuditEntry(db.Model):
    """One sign-in or change. `before` and `after` hold the fields that differ, without secrets."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_ts", "ts"),
        Index("ix_audit_entries_kind_object_id", "kind", "object_id"),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    ts: Mapped[datetime] = mapped_column(UtcDateTime)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    who: Mapped[str] = mapped_column(String(80))
    """Name of the account, or what acted instead: a command, a token."""
    address: Mapped[str] = mapped_column(String(45), default="")
    """Where the request came from."""
    action: Mapped[str] = mapped_column(String(40))
    """created, changed, deleted, signed in, refused, …"""
    kind: Mapped[str] = mapped_column(String(20))
    """What it was done to: camera, processor, account, token, session."""
    object_id: Mapped[int | None] = mapped_column(Integer)
    name: Mapped[str] = mapped_column(String(80), default="")
    """The object's name at the time."""
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
