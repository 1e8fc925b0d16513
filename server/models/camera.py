"""Cameras: a source and how it is worked."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, Boolean, Float, Integer, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from server.extensions import db
from server.models.base import NEVER_AGAIN, UtcDateTime, utc_now

if TYPE_CHECKING:
    from server.models.processor import Processor


class Camera(db.Model):
    """A video source and its settings. `revision` grows with every change that a watcher must notice."""

    __tablename__ = "cameras"
    __table_args__ = NEVER_AGAIN

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    stream_url: Mapped[str] = mapped_column(String(2000))
    """Where the video comes from. May hold credentials: show `redact(stream_url)` only."""
    loop: Mapped[bool] = mapped_column(Boolean, default=False)
    """Files only: begin again at the end."""
    rtsp_transport: Mapped[str] = mapped_column(String(3), default="tcp", server_default="tcp")
    """How RTSP cameras send: "tcp" or "udp"."""
    enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    watch_fps: Mapped[float] = mapped_column(Float, default=5.0)
    """Frames analysed a second."""
    detection_grid: Mapped[int] = mapped_column(Integer, default=1)
    """n: n x n frames are glued into one picture for a single detection."""
    masks: Mapped[list[Any] | None] = mapped_column(JSON, default=list)
    """Polygons that are blacked out before anything looks at a picture; as `Processor.zones`. None: none."""
    preview_fps: Mapped[float] = mapped_column(Float, default=15.0, server_default="15")
    """Pictures a second in previews."""
    preview_kbps: Mapped[int] = mapped_column(Integer, default=800, server_default="800")
    """Bitrate of previews, in thousands of bits a second."""
    preview_width: Mapped[int] = mapped_column(Integer, default=960, server_default="960")
    """Width of previews in pixels, at most; the height follows."""
    revision: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)

    processors: Mapped[list[Processor]] = relationship(
        back_populates="camera", cascade="all, delete-orphan", passive_deletes=True
    )

    def __str__(self) -> str:
        return self.name
