"""How a camera looked and how it fared: its last shot, and the log of its states."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Integer, LargeBinary, String
from sqlalchemy.dialects.mysql import MEDIUMBLOB
from sqlalchemy.orm import Mapped, mapped_column

from server.extensions import db
from server.models.base import BigKey, UtcDateTime


class CameraShot(db.Model):
    """The last picture of a camera that was kept, masked, for when nobody watches it any more."""

    __tablename__ = "camera_shots"

    camera_id: Mapped[int] = mapped_column(
        ForeignKey("cameras.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    ts: Mapped[datetime] = mapped_column(UtcDateTime)
    """When it was captured."""
    width: Mapped[int] = mapped_column(Integer)
    """Pixels."""
    height: Mapped[int] = mapped_column(Integer)
    jpeg: Mapped[bytes] = mapped_column(LargeBinary().with_variant(MEDIUMBLOB(), "mysql", "mariadb"))


class CameraState(db.Model):
    """From `ts` on the camera was in this state."""

    __tablename__ = "camera_states"
    __table_args__ = (Index("ix_camera_states_camera_id_ts", "camera_id", "ts"),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    camera_id: Mapped[int] = mapped_column(ForeignKey("cameras.id", ondelete="CASCADE"))
    ts: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(20))
    """As in `Lease.state`."""
    reason: Mapped[str] = mapped_column(String(500), default="")
    node: Mapped[str] = mapped_column(String(120), default="")
    """The host that watched it."""
