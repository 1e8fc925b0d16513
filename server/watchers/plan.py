"""A camera's settings as a watcher works by them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from server import processors
from server.domain.geometry import Polygon
from server.domain.masks import EVERYTHING, parse_masks
from server.errors import InvalidInput
from server.models import Camera, Processor
from server.services.analysis import Rule


@dataclass(frozen=True, slots=True)
class PreviewPlan:
    """A processor's preview. `when`: "watched", "always" or "off", as in `Processor.preview`."""

    processor_id: int
    name: str
    kind: str
    when: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A camera's settings as a watcher works by them."""

    camera_id: int
    revision: int
    enabled: bool
    address: str
    loop: bool
    transport: str
    watch_fps: float
    grid: int
    rules: tuple[Rule, ...]
    unusable: tuple[str, ...]
    """What is wrong with the stored settings: why a processor is left out, or all is masked."""
    masks: tuple[Polygon, ...] = ()
    """What nobody is to see, the detector included."""
    preview_fps: float = 15.0
    """Pictures a second in previews."""
    preview_kbps: int = 800
    """Thousands of bits a second."""
    preview_width: int = 960
    """Pixels, at most."""
    previews: tuple[PreviewPlan, ...] = ()
    """Those of the processors that work."""

    @property
    def source(self) -> str:
        """Tells sources apart: another one starts from its beginning, not from a checkpoint."""
        return hashlib.sha256(f"{self.loop} {self.address}".encode()).hexdigest()

    @property
    def connection(self) -> tuple[str, str]:
        """What cannot change without connecting anew."""
        return self.source, self.transport


def plan_of(session: Session, camera: Camera) -> Plan:
    """The plan for a camera, with its enabled processors."""
    rows = session.scalars(
        select(Processor).where(Processor.camera_id == camera.id, Processor.enabled).order_by(Processor.id)
    ).all()
    rules, left_out = _rules(rows)
    masks, trouble = _masks(camera.masks)
    working = {rule.id for rule in rules}
    return Plan(
        camera_id=camera.id,
        revision=camera.revision,
        enabled=camera.enabled,
        address=camera.stream_url,
        loop=camera.loop,
        transport=camera.rtsp_transport,
        watch_fps=camera.watch_fps,
        grid=camera.detection_grid,
        rules=rules,
        unusable=(*left_out, *trouble),
        masks=masks,
        preview_fps=camera.preview_fps,
        preview_kbps=camera.preview_kbps,
        preview_width=camera.preview_width,
        previews=tuple(
            PreviewPlan(row.id, row.name, row.kind, row.preview) for row in rows if row.id in working
        ),
    )


def _rules(rows: Sequence[Processor]) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    rules, unusable = [], []
    for row in rows:
        try:
            processor = processors.create(
                row.kind, zones=row.zones, lines=row.lines, options=row.options, confidence=row.confidence
            )
        except InvalidInput as error:
            unusable.append(f"processor {row.name}: {error}")
        else:
            rules.append(Rule(row.id, row.revision, processor))
    return tuple(rules), tuple(unusable)


def _masks(value: object) -> tuple[tuple[Polygon, ...], tuple[str, ...]]:
    """Masks that cannot be understood hide everything: what they were to hide is nobody's to see."""
    try:
        return parse_masks(value), ()
    except ValueError as error:
        return (EVERYTHING,), (f"its masks are wrong, so the whole picture is black: {error}",)
