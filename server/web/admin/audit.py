"""The audit log: who signed in and who changed what, read only, for administrators."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterator
from typing import Any, ClassVar

from flask import url_for
from markupsafe import Markup
from sqlalchemy import select

from server.extensions import db
from server.models import AuditEntry, Camera, Processor, User
from server.services import audit
from server.web.admin.base import TableView
from server.web.admin.filters import ChoiceFilter, Choices, NumberFilter, TimeFilter
from server.web.admin.page import local_time

_EXPORT_ROWS = 2_000
_SHORT = 60
"""Characters of a value in the list; the entry's page shows all of it."""
_FEW = 4
"""Fields that the list shows of a change."""
_WORDS = {
    "stream_url": "stream URL",
    "rtsp_transport": "RTSP transport",
    "watch_fps": "analysed frames a second",
    "detection_grid": "detection grid",
    "masks": "picture masks",
    "preview": "preview",
    "preview_fps": "preview: pictures a second",
    "preview_kbps": "preview: kbit/s",
    "preview_width": "preview: width",
    "timezone": "time zone",
}
"""Fields whose names do not speak for themselves."""
_PAGES: dict[str, tuple[type[Any], str]] = {
    audit.CAMERA: (Camera, "camera.details_view"),
    audit.PROCESSOR: (Processor, "processor.details_view"),
    audit.ACCOUNT: (User, "user.details_view"),
}


def who_choices() -> Choices:
    """All accounts, and what acts without one. (Of an account that is gone the search finds the name.)"""
    names = db.session.scalars(select(User.name).order_by(User.name))
    others = (audit.COMMAND_LINE.name, audit.SYSTEM.name)
    return [(name, name) for name in (*names, *others)]


def _same(words: tuple[str, ...]) -> Choices:
    return [(word, word) for word in words]


class AuditView(TableView):
    """Entries, newest first. Nothing here changes them."""

    model_class = AuditEntry
    noun = "entry of the audit log"
    administrators_only = True
    changeable = False
    empty_message = "Nothing has been recorded yet: sign-ins and changes appear here."
    # The log grows without end, so nothing here counts all of it.
    simple_list_pager = True

    column_list = ("ts", "who", "action", "kind", "name", "changes", "address")
    column_details_list = ("ts", "who", "address", "action", "kind", "object_id", "name")
    column_export_list = (
        "id",
        "ts",
        "who",
        "address",
        "action",
        "kind",
        "object_id",
        "name",
        "before",
        "after",
    )
    column_labels: ClassVar = {
        "ts": "Time",
        "who": "Who",
        "action": "Did",
        "kind": "What",
        "object_id": "Its ID",
        "name": "Name",
        "changes": "Before → after",
        "address": "Address",
    }
    column_sortable_list = ("ts",)
    column_default_sort = ("ts", True)
    column_searchable_list = ("who", "name")
    column_filters = (
        ChoiceFilter(AuditEntry.who, "Who", who_choices),
        ChoiceFilter(AuditEntry.action, "Did", lambda: _same(audit.ACTIONS)),
        ChoiceFilter(AuditEntry.kind, "What", lambda: _same(audit.KINDS)),
        NumberFilter(AuditEntry.object_id, "Its ID", data_type="number"),
        TimeFilter(AuditEntry.ts, "From", operator.ge),
        TimeFilter(AuditEntry.ts, "Before", operator.lt),
    )
    column_formatters: ClassVar = {
        "ts": lambda view, context, row, name: local_time(row.ts),
        "changes": lambda view, context, row, name: view.in_short(row),
    }
    column_formatters_export: ClassVar[dict[str, Any]] = {}
    list_template = "hypersight/audit.html"
    details_template = "hypersight/audit_entry.html"

    def __init__(self) -> None:
        super().__init__("Audit log", "audit")

    def title_of(self, row: AuditEntry) -> str:
        """An entry in words."""
        if row.kind == audit.SESSION:
            return f"{row.action}: {row.who}"
        return f"{row.action} by {row.who}: {row.kind} {row.name}"

    def search_placeholder(self) -> str:
        """What the search looks at."""
        return "who, or name of what"

    def changes_in(self, row: AuditEntry) -> list[tuple[str, str | None, str | None]]:
        """Each field that differs, with its value before and after; None where there was none."""
        before, after = row.before or {}, row.after or {}
        names = [*before, *(name for name in after if name not in before)]
        return [
            (
                _WORDS.get(name, name.replace("_", " ")),
                in_words(before[name]) if name in before else None,
                in_words(after[name]) if name in after else None,
            )
            for name in names
        ]

    def in_short(self, row: AuditEntry) -> Markup:
        """The first fields of a change on one line each."""
        changes = self.changes_in(row)
        if row.action in (audit.CREATED, audit.DELETED):
            return Markup('<span class="reason">{} fields</span>').format(len(changes))
        lines = [
            Markup("<li>{}: {} → {}</li>").format(name, _cut(before), _cut(after))
            if before is not None and after is not None
            else Markup("<li>{}: {}</li>").format(name, _cut(after if after is not None else before))
            for name, before, after in changes[:_FEW]
        ]
        if len(changes) > _FEW:
            lines.append(Markup("<li>and {} more</li>").format(len(changes) - _FEW))
        return Markup('<ul class="changes">{}</ul>').format(Markup("").join(lines)) if lines else Markup("–")

    def page_of(self, row: AuditEntry) -> str | None:
        """The page of what the entry is about, if that is still there."""
        model, endpoint = _PAGES.get(row.kind, (None, ""))
        if model is None or row.object_id is None or db.session.get(model, row.object_id) is None:
            return None
        return url_for(endpoint, id=row.object_id)

    def export_rows(self) -> Iterator[AuditEntry]:
        """Entries, newest first, each page read from where the one before ended."""
        args = self._get_list_extra_args()
        query = self.get_query()
        if args.search:
            query, *_ = self._apply_search(query, None, {}, {}, args.search)
        for index, _, value in args.filters or ():
            flt = self._filters[index]
            query = flt.apply(query, flt.clean(value))
        query = query.order_by(AuditEntry.id.desc())
        last = None
        while True:
            rows = (query if last is None else query.filter(AuditEntry.id < last)).limit(_EXPORT_ROWS).all()
            yield from rows
            if len(rows) < _EXPORT_ROWS:
                return
            last = rows[-1].id
            db.session.rollback()
            db.session.expunge_all()


def in_words(value: Any) -> str:
    """A recorded value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value in (None, "", [], {}):
        return "none"
    if value == audit.HIDDEN:
        return "(not shown)"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value)


def _cut(text: str | None) -> str:
    text = text or "none"
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"
