"""Recordings that were analysed and saved."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from server.extensions import db
from server.models.base import UtcDateTime, utc_now


class ClipImport(db.Model):
    """One recording saved for a camera. The same file again replaces it."""

    __tablename__ = "clip_imports"
    __table_args__ = (UniqueConstraint("camera_id", "digest"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    camera_id: Mapped[int] = mapped_column(ForeignKey("cameras.id", ondelete="CASCADE"))
    digest: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the file."""
    file_name: Mapped[str] = mapped_column(String(255))
    start: Mapped[datetime] = mapped_column(UtcDateTime)
    stop: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
