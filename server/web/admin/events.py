"""Events: what was stored, read only."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, ClassVar

from flask import Response, abort, request, url_for
from flask_admin import expose
from markupsafe import Markup
from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import selectinload

from server.extensions import db
from server.models import Camera, Processor, ProcessorEvent
from server.services.event_pictures import picture_of_event
from server.services.node_media import NodeSilent
from server.web.admin import event_words as words
from server.web.admin.base import TableView
from server.web.admin.filters import (
    CameraFilter,
    ChoiceFilter,
    KindFilter,
    TimeFilter,
    camera_choices,
    kind_choices,
    processor_choices,
)
from server.web.admin.page import local_time
from server.web.auth import current_rights

_EXPORT_ROWS = 2_000
"""Rows read at once for an export."""
_RELATED = selectinload(ProcessorEvent.processor).joinedload(Processor.camera)
"""Not joined to the events: a join would keep the database from stopping after a page of an index."""

_KEPT_SECONDS = 365 * 86_400
"""How long a browser may keep a picture: it never changes."""


def _directions() -> list[tuple[str, str]]:
    return [("in", "in"), ("out", "out")]


def _link(endpoint: str, row: Camera | Processor) -> Markup:
    return Markup('<a href="{}">{}</a>').format(url_for(f"{endpoint}.details_view", id=row.id), row.name)


class EventView(TableView):
    """Events. The table is the one that grows without end, so nothing here counts or sorts all of it."""

    model_class = ProcessorEvent
    noun = "event"
    changeable = False
    empty_message = (
        "No event. Events appear when somebody passes a zone or a line, or when a number of people changes."
    )
    simple_list_pager = True
    column_auto_select_related = False

    list_template = "hypersight/events.html"
    details_template = "hypersight/event.html"
    column_list = ("picture", "ts", "what", "camera", "processor", "zone", "score")
    column_details_list = (
        "ts",
        "what",
        "camera",
        "processor",
        "kind",
        "zone",
        "passes",
        "count",
        "track",
        "score",
        "clip_import",
        "data",
        "id",
        "key",
    )
    column_export_list = (
        "id",
        "ts",
        "camera",
        "processor_id",
        "processor",
        "kind",
        "direction",
        "passes",
        "count",
        "zone",
        "track",
        "score",
        "data",
    )
    column_labels: ClassVar = {
        "id": "ID",
        "ts": "Time",
        "zone": "Where",
        "count": "People",
        "clip_import": "From the recording",
    }
    column_descriptions: ClassVar = {
        "zone": "Which zone or line",
        "passes": "What it adds to the traffic",
        "count": "How many there are from this moment on",
        "track": "Number of the track it is about",
        "score": "How sure the detector was, from 0 to 1",
    }
    column_sortable_list = ("ts",)
    column_default_sort = ("ts", True)
    column_searchable_list = ("zone",)
    column_filters = (
        CameraFilter(ProcessorEvent.processor_id, "Camera", camera_choices),
        ChoiceFilter(ProcessorEvent.processor_id, "Processor", processor_choices),
        KindFilter(ProcessorEvent.processor_id, "Kind", kind_choices),
        ChoiceFilter(ProcessorEvent.direction, "Direction", _directions),
        TimeFilter(ProcessorEvent.ts, "From", operator.ge),
        TimeFilter(ProcessorEvent.ts, "Before", operator.lt),
    )
    column_formatters: ClassVar = {
        "picture": lambda view, context, row, name: words.picture_cell(row),
        "ts": lambda view, context, row, name: local_time(row.ts),
        "what": lambda view, context, row, name: words.happened_cell(row),
        "camera": lambda view, context, row, name: _link("camera", row.processor.camera),
        "processor": lambda view, context, row, name: _link("processor", row.processor),
        "kind": lambda view, context, row, name: row.processor.kind,
        "clip_import": lambda view, context, row, name: row.clip_import and row.clip_import.file_name,
        "passes": lambda view, context, row, name: row.passes or "",
        "score": lambda view, context, row, name: "" if row.score is None else f"{row.score:.2f}",
    }
    column_formatters_detail: ClassVar = {
        **column_formatters,
        "ts": lambda view, context, row, name: local_time(row.ts, "milliseconds"),
    }
    column_formatters_export: ClassVar = {
        "camera": lambda view, context, row, name: row.processor.camera.name,
        "processor": lambda view, context, row, name: row.processor.name,
        "kind": lambda view, context, row, name: row.processor.kind,
    }

    def __init__(self) -> None:
        super().__init__("Events", "event")

    def get_query(self) -> Any:
        """Events with their processor and camera, in two statements."""
        return self._narrowed(db.session.query(ProcessorEvent).options(_RELATED))

    def only_visible(self) -> ColumnElement[bool] | None:
        """Events of the cameras that this person was given."""
        rights = current_rights()
        return None if rights.cameras is None else rights.visible_processors(ProcessorEvent.processor_id)

    def sees(self, row: ProcessorEvent) -> bool:
        """Whether it is one of those."""
        return current_rights().sees(row.processor.camera_id)

    def title_of(self, row: ProcessorEvent) -> str:
        """An event by its number."""
        return f"event {row.id}"

    def quick_filters(self) -> list[dict[str, Any]]:
        """Spans that are often wanted: name, address with the other filters kept, and whether it is on."""
        names = {flt.name: f"flt{index}_{index}" for index, flt in enumerate(self._filters)}
        start, end = names["From"], names["Before"]
        kept = {
            key: value for key, value in request.args.items() if value and key not in (start, end, "page")
        }
        now = (request.args.get(start, ""), request.args.get(end, ""))
        return [
            {
                "name": name,
                "url": self.get_url(
                    ".index_view", **kept, **{start: since}, **({end: until} if until else {})
                ),
                "on": (since, until) == now,
            }
            for name, since, until in words.quick_spans(datetime.now(timezone.utc))
        ]

    def about(self, row: ProcessorEvent) -> dict[str, Any]:
        """What the page of one event shows besides its columns."""
        return {
            "picture": words.picture_of(row, datetime.now(timezone.utc)),
            "seen": words.seen(row),
            "chart": words.chart_url(row),
            "earlier": self._beside(row, later=False),
            "later": self._beside(row, later=True),
        }

    def _beside(self, row: ProcessorEvent, *, later: bool) -> int | None:
        """The event of the same processor next to this one, found through the index."""
        ts, key = ProcessorEvent.ts, ProcessorEvent.id
        beyond = (
            and_(ts >= row.ts, or_(ts > row.ts, key > row.id))
            if later
            else and_(ts <= row.ts, or_(ts < row.ts, key < row.id))
        )
        order = (ts.asc(), key.asc()) if later else (ts.desc(), key.desc())
        query = select(key).where(ProcessorEvent.processor_id == row.processor_id, beyond)
        found: int | None = db.session.scalar(query.order_by(*order).limit(1))
        return found

    @expose("/crop/<int:key>.jpg")  # type: ignore[untyped-decorator]
    def crop_view(self, key: int) -> Response:
        """The picture of an event, from this node's disk or from that of the node that keeps it."""
        event = self.get_one(key)
        if event is None:
            abort(404)
        try:
            jpeg = picture_of_event(event)
        except NodeSilent as error:
            return Response(str(error), 503, mimetype="text/plain", headers={"Retry-After": "10"})
        if jpeg is None:
            abort(404)
        response = Response(jpeg, mimetype="image/jpeg")
        response.cache_control.private = True
        response.cache_control.max_age = _KEPT_SECONDS
        response.cache_control.immutable = True
        return response

    def search_placeholder(self) -> str:
        """What the search looks at."""
        return "camera or processor"

    def _apply_search(self, query: Any, count_query: Any, joins: Any, count_joins: Any, search: str) -> Any:
        """Names live in small tables: found there, the events come from their index."""
        found = (
            select(Processor.id)
            .join(Camera, Camera.id == Processor.camera_id)
            .where(
                or_(
                    Processor.name.icontains(search, autoescape=True),
                    Camera.name.icontains(search, autoescape=True),
                )
            )
        )
        return query.filter(ProcessorEvent.processor_id.in_(found)), count_query, joins, count_joins

    def export_rows(self) -> Iterator[ProcessorEvent]:
        """Events, oldest last, each read starting where the one before ended: not by an offset, which
        would read everything before it again."""
        args = self._get_list_extra_args()
        query = self.get_query()
        if args.search:
            query, *_ = self._apply_search(query, None, {}, {}, args.search)
        for index, _, value in args.filters or ():
            flt = self._filters[index]
            query = flt.apply(query, flt.clean(value))
        query = query.order_by(ProcessorEvent.ts.desc(), ProcessorEvent.id.desc())
        after = None
        while True:
            rows = (query if after is None else query.filter(after)).limit(_EXPORT_ROWS).all()
            yield from rows
            if len(rows) < _EXPORT_ROWS:
                return
            ts, key = rows[-1].ts, rows[-1].id
            after = and_(ProcessorEvent.ts <= ts, or_(ProcessorEvent.ts < ts, ProcessorEvent.id < key))
            db.session.rollback()
            db.session.expunge_all()
