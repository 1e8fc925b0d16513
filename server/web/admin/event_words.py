"""Events in words and with their pictures, for the pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from flask import current_app, url_for
from markupsafe import Markup

from server.models import ProcessorEvent
from server.web.admin.page import local_time, settings, viewer_zone

_ARROWS = {"in": "↘", "out": "↗"}
"""Neither points to a side: which one is in, a line's own arrow tells."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What there is to see of an event: where its picture is, or in words why there is none.

    `missing` is also what is said where the picture turns out not to be there after all, and `why` the same
    at length.
    """

    url: str | None
    missing: str
    why: str = ""


def picture_of(event: ProcessorEvent, now: datetime) -> Picture:
    """The picture of an event, without asking any disk."""
    node, days = event.crop_node, settings().CROPS_KEEP_DAYS
    if not node:
        return Picture(None, "no picture")
    # Days are swept as a whole: in its last hours a picture may be there or not.
    if event.ts < now - timedelta(days=days + 1):
        return Picture(None, f"deleted after {days} days" if days else "deleted")
    url = url_for("event.crop_view", key=event.id)
    if node != settings().NODE_NAME:
        why = f"Kept on node {node}, which does not give it just now."
        return Picture(url, f"kept on {node}", why)
    return Picture(url, "deleted")


def picture_cell(event: ProcessorEvent) -> Markup:
    """The picture, small, as a link to its event. Its box is the same whether there is one or not."""
    found = picture_of(event, datetime.now(timezone.utc))
    link = url_for("event.details_view", id=event.id)
    if found.url is None:
        return Markup('<a class="crop" href="{}"><span class="no-crop">{}</span></a>').format(
            link, found.missing
        )
    return Markup(
        '<a class="crop" href="{}"><img src="{}" alt="{}" data-missing="{}" data-why="{}"'
        ' width="72" height="72" loading="lazy" decoding="async"></a>'
    ).format(link, found.url, seen(event), found.missing, found.why)


def happened(event: ProcessorEvent) -> str:
    """What happened, in a few words: "in", "4 people"."""
    if event.direction:
        return event.direction
    if event.count is not None:
        return "1 person" if event.count == 1 else f"{event.count} people"
    return "passed" if event.passes else ""


def happened_cell(event: ProcessorEvent) -> Markup:
    """The same with an arrow for the direction; the word says it to those who do not see the arrow."""
    if event.direction in _ARROWS:
        return Markup('<span class="{0}"><span aria-hidden="true">{1}</span> {0}</span>').format(
            event.direction, _ARROWS[event.direction]
        )
    return Markup("{}").format(happened(event))


def seen(event: ProcessorEvent) -> str:
    """What its picture shows: "in at Door, camera Entrance, 13:00:10"."""
    where = f" at {event.zone}" if event.zone else ""
    what = happened(event) or "what was seen"
    time = local_time(event.ts)[11:]
    return f"{what}{where}, camera {event.processor.camera.name}, {time}"


def quick_spans(now: datetime) -> list[tuple[str, str, str]]:
    """Spans of time that are often wanted: a name, from and before in the viewer's zone, as filters take
    them."""
    local = now.astimezone(viewer_zone())
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    day = timedelta(days=1)

    def form(moment: datetime) -> str:
        return moment.isoformat(timespec="seconds")

    hour_ago = (now - timedelta(hours=1)).astimezone(viewer_zone()).replace(microsecond=0, tzinfo=None)
    return [
        ("Last hour", form(hour_ago), ""),
        ("Today", form(midnight), form(midnight + day)),
        ("Yesterday", form(midnight - day), form(midnight)),
    ]


def chart_url(event: ProcessorEvent) -> str | None:
    """The chart of the whole hour around an event, in the viewer's zone."""
    if "chart.index" not in current_app.view_functions:
        return None
    start = event.ts.astimezone(viewer_zone()).replace(minute=0, second=0, microsecond=0, tzinfo=None)
    span: dict[str, Any] = {
        "from": start.isoformat(timespec="minutes"),
        "to": (start + timedelta(hours=1)).isoformat(timespec="minutes"),
    }
    return url_for("chart.index", processor=event.processor_id, period="custom", **span)
