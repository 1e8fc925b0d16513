"""What a watcher leaves behind: its claim on the camera, and where it has got to."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, ForeignKey, Integer, LargeBinary, String
from sqlalchemy.dialects.mysql import LONGBLOB
from sqlalchemy.orm import Mapped, mapped_column

from server.extensions import db
from server.models.base import UtcDateTime


class Lease(db.Model):
    """Who watches a camera. One row a camera, made with the first claim.

    `fence` grows with every claim; each transaction of a watcher begins with an UPDATE that names its
    fence, so a watcher that was given up cannot write. `expires_ms` is in the database's own clock,
    milliseconds since 1970.
    """

    __tablename__ = "leases"

    camera_id: Mapped[int] = mapped_column(ForeignKey("cameras.id", ondelete="CASCADE"), primary_key=True)
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    owner: Mapped[str | None] = mapped_column(String(120))
    node: Mapped[str | None] = mapped_column(String(120))
    expires_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    drain: Mapped[bool] = mapped_column(Boolean, default=False)
    """Asks the watcher to end: its worker is shutting down, or somebody wants a fresh start."""
    state: Mapped[str] = mapped_column(String(20), default="stopped")
    """starting, watching, blind (the detector does not answer), unreachable, ended, stopped."""
    reason: Mapped[str] = mapped_column(String(500), default="")
    """The state in a sentence, for people. Redacted."""
    revision: Mapped[int | None] = mapped_column(Integer)
    """The camera's revision that the watcher works by, or ended at."""
    since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    worker: Mapped[str | None] = mapped_column(String(120))
    """Name of the Celery worker that the watcher runs in."""
    strikes: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    """How often the part after the checkpoint has been begun without being finished."""


class Checkpoint(db.Model):
    """All that decides later events, as of the last committed part. Format: docs/adr/0003."""

    __tablename__ = "checkpoints"

    camera_id: Mapped[int] = mapped_column(ForeignKey("cameras.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    anchor_us: Mapped[int] = mapped_column(BigInteger)
    """Wall time of the source's tick 0, microseconds since 1970."""
    cursor: Mapped[int] = mapped_column(BigInteger)
    """Presentation time of the last analysed frame, in ticks of 1/90000 s."""
    watched_until: Mapped[datetime] = mapped_column(UtcDateTime)
    """Wall time up to which the observation goes."""
    serial: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """Grows with every commit of a part, so that one that arrives late is stored once."""
    state: Mapped[bytes] = mapped_column(LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb"))
    """Compressed JSON: source, tracker, processors."""
