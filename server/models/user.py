"""Who may sign in, and which programs may call."""

from __future__ import annotations

from datetime import datetime

from flask_login import UserMixin
from sqlalchemy import Boolean, ForeignKey, Integer, String, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from server.extensions import db
from server.models.base import NEVER_AGAIN, UtcDateTime, utc_now


class User(UserMixin, db.Model):
    """Somebody who signs in at /admin."""

    __tablename__ = "users"
    __table_args__ = NEVER_AGAIN

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(20), default="administrator")
    active: Mapped[bool] = mapped_column(Boolean, default=True)
    all_cameras: Mapped[bool] = mapped_column(Boolean, default=True, server_default=true())
    """Whether the account may see every camera; else those of `user_cameras` only."""
    timezone: Mapped[str | None] = mapped_column(String(64))
    """IANA name of the zone that times are shown in; empty: TIMEZONE."""
    session_version: Mapped[int] = mapped_column(Integer, default=1)
    """Grows with every change of the password, which ends all sessions."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)

    @property
    def is_active(self) -> bool:
        """Whether this account may sign in."""
        return self.active

    def get_id(self) -> str:
        """What a session keeps: it ends with the version it was begun under."""
        return f"{self.id}.{self.session_version}"

    def __str__(self) -> str:
        return self.name


class UserCamera(db.Model):
    """A camera that an account without `all_cameras` may see."""

    __tablename__ = "user_cameras"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    camera_id: Mapped[int] = mapped_column(
        ForeignKey("cameras.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class ApiToken(db.Model):
    """A program's key to the API. Only its SHA-256 is kept; the token itself is shown once."""

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    prefix: Mapped[str] = mapped_column(String(12))
    """The first characters, to recognise it by."""
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[str] = mapped_column(
        String(200), default="metrics,status,detect", server_default="metrics,status,detect"
    )
    """Which calls it may make: some of metrics, status, detect, with commas."""
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    user: Mapped[User | None] = relationship()
