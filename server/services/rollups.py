"""Roll-ups of events and observations, by the quarter of an hour."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from server.models import Processor, Rollup

QUARTER = timedelta(minutes=15)
"""What a roll-up covers."""
SETTLED = timedelta(minutes=30)
"""A quarter is rolled up once its end lies this far back. Who stores or deletes something for a time
further back than this calls `spoil`."""


def spoil(session: Session, processor_ids: Collection[int], start: datetime, stop: datetime) -> None:
    """Throw away what was rolled up for start..stop (aware), in the transaction that changed what it was
    made of. A roll-up that is being made meanwhile is not stored: `Processor.late` has grown."""
    if not processor_ids:
        return
    session.execute(update(Processor).where(Processor.id.in_(processor_ids)).values(late=Processor.late + 1))
    session.execute(
        delete(Rollup).where(
            Rollup.processor_id.in_(processor_ids), Rollup.start > start - QUARTER, Rollup.start <= stop
        )
    )
