"""Observations: when a camera was really being watched."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from server.extensions import db
from server.models.base import BigKey, UtcDateTime


class Observation(db.Model):
    """A span in which a processor (or, with no processor_id, the camera) saw every moment.

    `stop` moves with each committed part while `ended` is empty. What no span covers was not seen: a
    gap, never a zero.
    """

    __tablename__ = "observations"
    __table_args__ = (
        Index("ix_observations_processor_id_stop", "processor_id", "stop"),
        Index("ix_observations_camera_id_ended", "camera_id", "ended"),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    camera_id: Mapped[int] = mapped_column(ForeignKey("cameras.id", ondelete="CASCADE"))
    processor_id: Mapped[int | None] = mapped_column(ForeignKey("processors.id", ondelete="CASCADE"))
    clip_import_id: Mapped[int | None] = mapped_column(
        ForeignKey("clip_imports.id", ondelete="CASCADE"), index=True
    )
    start: Mapped[datetime] = mapped_column(UtcDateTime)
    stop: Mapped[datetime] = mapped_column(UtcDateTime)
    ended: Mapped[str | None] = mapped_column(String(40))
    """Why the span ended; empty while it goes on."""
