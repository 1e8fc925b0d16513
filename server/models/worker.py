"""Workers: who can watch cameras, and how much room they have."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Float, Integer, String, false
from sqlalchemy.orm import Mapped, mapped_column

from server.extensions import db
from server.models.base import UtcDateTime


class Worker(db.Model):
    """A Celery worker that watches cameras, as it last reported itself.

    Columns that end in `_ms` are in the database's own clock, milliseconds since 1970.
    """

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(120), primary_key=True)
    """Its Celery node name, such as watchers@shop-1."""
    node: Mapped[str] = mapped_column(String(120))
    """The host it runs on: NODE_NAME."""
    queue: Mapped[str] = mapped_column(String(200))
    """The queue that it alone consumes."""
    media_url: Mapped[str] = mapped_column(String(200), default="", server_default="")
    """Where the web server of its host answers to those of others: MEDIA_URL. Empty: nowhere."""
    capacity: Mapped[int] = mapped_column(Integer)
    """Most cameras that it watches."""
    started: Mapped[datetime] = mapped_column(UtcDateTime)
    beat_ms: Mapped[int] = mapped_column(BigInteger)
    """When it last reported."""
    asked_ms: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """When it was sent the oldest message that it has not consumed; 0: it has consumed them all."""
    stuck: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    """Threads that a library holds and that were given up."""
    load: Mapped[float] = mapped_column(Float, default=0.0, server_default="0")
    """The host's load average over one minute, by CPU."""
    memory_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """Resident memory."""
    drain: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    """It takes no more cameras: it is shutting down, or no longer consumes its queue."""
