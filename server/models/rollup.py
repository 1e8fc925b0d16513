"""Roll-ups: what a quarter of an hour amounted to, so that a month is read in a moment."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Double, ForeignKey, Integer
from sqlalchemy.orm import Mapped, mapped_column

from server.extensions import db
from server.models.base import UtcDateTime


class Rollup(db.Model):
    """A processor's quarter of an hour from `start` (UTC, on the quarter).

    Made from events and observations once they have settled, and thrown away when something is stored
    or deleted for that time later on: nothing is known from here alone.
    """

    __tablename__ = "rollups"

    processor_id: Mapped[int] = mapped_column(
        ForeignKey("processors.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    start: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    passes: Mapped[int] = mapped_column(Integer, default=0)
    into: Mapped[int] = mapped_column(Integer, default=0)
    out: Mapped[int] = mapped_column(Integer, default=0)
    peak: Mapped[int | None] = mapped_column(Integer)
    """Most people at once; empty where nothing was observed. 0 for kinds without an occupancy."""
    person_s: Mapped[float] = mapped_column(Double, default=0.0)
    """Occupancy summed over the observed time, in person-seconds."""
    observed_s: Mapped[float] = mapped_column(Double, default=0.0)
    """How much of it was observed, in seconds, 0..900."""
