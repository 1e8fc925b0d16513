"""Processors: a rule on a camera."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, Boolean, Float, ForeignKey, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from server.extensions import db
from server.models.base import NEVER_AGAIN, UtcDateTime, utc_now

if TYPE_CHECKING:
    from server.models.camera import Camera


class Processor(db.Model):
    """What is looked for on a camera: the kind, where, and from which confidence on.

    `zones`: list of polygons, each `[[x, y], …]` or, with a name, `{"name": …, "points": [[x, y], …]}`;
    `lines`: the same with two points, `[[x1, y1], [x2, y2]]`; fractions of the frame. `options`: what else
    the kind knows, by name. `revision` grows with every change.
    """

    __tablename__ = "processors"
    __table_args__ = (UniqueConstraint("camera_id", "name"), NEVER_AGAIN)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    camera_id: Mapped[int] = mapped_column(ForeignKey("cameras.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    kind: Mapped[str] = mapped_column(String(40))
    enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    confidence: Mapped[float] = mapped_column(Float, default=0.5)
    """A track takes part once its best detection score has reached this, 0..1."""
    zones: Mapped[list[Any]] = mapped_column(JSON, default=list)
    lines: Mapped[list[Any]] = mapped_column(JSON, default=list)
    options: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    preview: Mapped[str] = mapped_column(String(10), default="watched", server_default="watched")
    """When its output is made as HLS: "watched" (only while somebody looks), "always" or "off"."""
    late: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    """Grows whenever something is stored or deleted for a time that may have been rolled up."""
    revision: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)

    camera: Mapped[Camera] = relationship(back_populates="processors")

    def __str__(self) -> str:
        return self.name
