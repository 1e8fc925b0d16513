"""Events: all that is kept of what was seen."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Float, ForeignKey, Index, Integer, SmallInteger, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from server.extensions import db
from server.models.base import BigKey, UtcDateTime
from server.models.clip_import import ClipImport
from server.models.processor import Processor


class ProcessorEvent(db.Model):
    """Something that happened, as one processor saw it. The columns are those of `domain.events.Event`.

    `key` is the same whenever the same frames are analysed again, so an event cannot be stored twice.
    """

    __tablename__ = "processor_events"
    __table_args__ = (
        UniqueConstraint("processor_id", "key"),
        Index("ix_processor_events_processor_id_ts", "processor_id", "ts"),
        Index("ix_processor_events_ts", "ts"),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    processor_id: Mapped[int] = mapped_column(ForeignKey("processors.id", ondelete="CASCADE"))
    clip_import_id: Mapped[int | None] = mapped_column(
        ForeignKey("clip_imports.id", ondelete="CASCADE"), index=True
    )
    ts: Mapped[datetime] = mapped_column(UtcDateTime)
    key: Mapped[str] = mapped_column(String(80))
    direction: Mapped[str | None] = mapped_column(String(3))
    """"in" or "out", for kinds that have one."""
    passes: Mapped[int] = mapped_column(SmallInteger, default=0)
    """What it adds to the traffic: 0 or 1."""
    count: Mapped[int | None] = mapped_column(Integer)
    """Occupancy from this moment on."""
    track: Mapped[int | None] = mapped_column(Integer)
    zone: Mapped[str | None] = mapped_column(String(40))
    score: Mapped[float | None] = mapped_column(Float)
    """Detection score, 0..1."""
    data: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """What a further kind keeps."""

    crop_node: Mapped[str | None] = mapped_column(String(120))
    """The host that keeps the picture of it; empty where there is none."""

    processor: Mapped[Processor] = relationship()
    clip_import: Mapped[ClipImport | None] = relationship()
