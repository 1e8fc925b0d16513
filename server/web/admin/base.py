"""What all tables of /admin have in common."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar

from flask import Response, abort, flash, request
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from flask_admin.helpers import is_form_submitted
from markupsafe import Markup
from sqlalchemy import ColumnElement
from wtforms import Form

from server.errors import HypersightError, InvalidInput, NotFound
from server.extensions import db
from server.services.clocktime import format_time
from server.web.admin.export import Exported, stream
from server.web.admin.filters import ChoiceFilter
from server.web.admin.page import Page, local_time, viewer_zone
from server.web.auth import is_administrator
from server.web.forms import put_invalid

_FILTER = re.compile(r"flt\d*_(\w+)")
_MAX_PAGE = 1_000_000
_MAX_ID = 2**63 - 1
_NEEDS = {"create_view": "can_create", "edit_view": "can_edit", "delete_view": "can_delete"}
"""What a page that changes something asks of a view."""
_OF_ONE_ROW = ("edit_view", "delete_view", "details_view")


def _json_cell(view: Any, value: Any, name: str) -> Markup:
    return Markup("<code>{}</code>").format(json.dumps(value)) if value else Markup("–")


class TableView(Page, ModelView):  # type: ignore[misc]
    """A table: list with search, filters and export, details, and forms that save through a service.

    A view sets `model`, `noun` and the columns; one that can be changed also overrides `save_new`,
    `save` and `remove`, whose InvalidInput is shown at its field. One whose rows belong to cameras overrides
    `only_visible` and `sees`: a row that somebody may not see is not there for them, on any page.
    """

    model_class: ClassVar[type[Any]]
    noun: ClassVar[str]
    empty_message: ClassVar[str] = "There is nothing here yet."
    changeable: ClassVar[bool] = True

    list_template = "hypersight/list.html"
    create_template = "hypersight/form.html"
    edit_template = "hypersight/form.html"
    details_template = "hypersight/details.html"
    can_view_details = True
    can_export = True
    export_types = ("csv", "json")
    page_size = 50
    action_disallowed_list = ("delete",)
    column_display_pk = True
    column_type_formatters: ClassVar = {
        bool: lambda view, value, name: "yes" if value else "no",
        datetime: lambda view, value, name: local_time(value),
        list: _json_cell,
        dict: _json_cell,
        type(None): lambda view, value, name: "",
    }
    column_type_formatters_detail = column_type_formatters

    def __init__(self, title: str, endpoint: str) -> None:
        super().__init__(self.model_class, db, name=title, endpoint=endpoint)

    @property
    def can_create(self) -> bool:
        """Whether this person may add rows."""
        return self.changeable and is_administrator()

    can_edit = can_create
    can_delete = can_create

    def only_visible(self) -> ColumnElement[bool] | None:
        """A WHERE clause for the rows that this person sees; None where everybody sees all."""
        return None

    def sees(self, row: Any) -> bool:
        """Whether this person sees the row; agrees with `only_visible`."""
        return True

    def _handle_view(self, name: str, **kwargs: Any) -> ResponseReturnValue | None:
        """Before each page: what one may not see is not there (404), nor may one change all that one sees."""
        refused: ResponseReturnValue | None = super()._handle_view(name, **kwargs)
        if refused is not None:
            return refused
        if not self.changeable and name in _NEEDS:
            abort(404)
        if name in _OF_ONE_ROW:
            given = request.form if name == "delete_view" else request.args
            if self.get_one(given.get("id", "")) is None:
                raise NotFound(
                    f"There is no such {self.noun}, or it is not among what you were given to see."
                )
        if name in _NEEDS and not getattr(self, _NEEDS[name]):
            abort(403, self.refusal())
        return None

    def refusal(self) -> str:
        """Why somebody who sees a row may not change it."""
        return f"Your account may look at this {self.noun} and not change it. Ask an administrator."

    def get_query(self) -> Any:
        """Rows that this person sees."""
        return self._narrowed(super().get_query())

    def get_count_query(self) -> Any:
        """How many those are."""
        return self._narrowed(super().get_count_query())

    def _narrowed(self, query: Any) -> Any:
        clause = self.only_visible()
        return query if clause is None else query.filter(clause)

    def title_of(self, row: Any) -> str:
        """A row in words."""
        return f"{self.noun} {row}"

    def delete_question(self, row: Any) -> str:
        """What is asked before a row goes."""
        return f"Delete {self.title_of(row)}?"

    def save_new(self, form: Form) -> int:
        """Store what the form holds and return its id. Raises InvalidInput."""
        raise NotImplementedError

    def save(self, form: Form, row: Any) -> None:
        """Change the row to what the form holds. Raises InvalidInput."""
        raise NotImplementedError

    def remove(self, row: Any) -> None:
        """Delete the row. Raises InvalidInput where that may not be."""
        raise NotImplementedError

    def get_one(self, id: Any) -> Any:
        """The row, or None: for what is no id at all, or of a row that this person may not see."""
        text = str(id)
        if not text.isascii() or not text.isdigit() or int(text) > _MAX_ID:
            return None
        row = db.session.get(self.model, int(text))
        return row if row is not None and self.sees(row) else None

    def validate_form(self, form: Form) -> bool:
        """Whether the form was sent. What is in it is checked in one go when it is saved."""
        return bool(is_form_submitted())

    def create_model(self, form: Form) -> Any:
        """Save a new row and return it, or False with the errors at their fields."""
        if not form.validate():
            return False
        try:
            key = self.save_new(form)
        except HypersightError as error:
            self._show(form, error)
            return False
        db.session.rollback()
        return db.session.get(self.model, key)

    def update_model(self, form: Form, model: Any) -> bool:
        """Save a changed row, or put the errors at their fields."""
        if not form.validate():
            return False
        try:
            self.save(form, model)
        except HypersightError as error:
            self._show(form, error)
            return False
        return True

    def delete_model(self, model: Any) -> bool:
        """Delete a row, or say why not."""
        try:
            self.remove(model)
        except InvalidInput as error:
            flash(f"Not deleted: {error.message}.", "danger")
            return False
        except HypersightError as error:
            flash(str(error), "danger")
            return False
        db.session.rollback()
        return True

    def shown_filters(self) -> list[dict[str, Any]]:
        """The filters as the page draws them: label, kind of input, choices, name and present value."""
        given = {
            match[1]: value
            for name, value in request.args.items()
            if (match := _FILTER.fullmatch(name)) is not None
        }
        return [
            {
                "label": flt.name,
                "kind": flt.data_type or "text",
                "options": flt.choices() if isinstance(flt, ChoiceFilter) else flt.get_options(self),
                "name": f"flt{index}_{index}",
                "value": given.get(str(index), ""),
            }
            for index, flt in enumerate(self._filters or [])
        ]

    @expose("/export/<export_type>/")  # type: ignore[untyped-decorator]
    def export(self, export_type: str) -> Response:
        """All rows that the list's search and filters pick, streamed."""
        if export_type not in self.export_types:
            abort(404)
        columns = [(name, str(label)) for name, label in self.get_export_columns()]
        rows = self.export_rows()
        stamp = local_time(datetime.now(viewer_zone())).replace(" ", "_").replace(":", "")
        name = f"{self.endpoint}_{stamp}.{export_type}"
        return stream(Exported(name, export_type, columns, rows, self._exported_value))

    def export_rows(self) -> Iterator[Any]:
        """Rows to export, in the list's order, a page at a time."""
        args = self._get_list_extra_args()
        column = self._get_column_by_idx(args.sort)
        page, size = 0, 500
        while True:
            _, rows = self.get_list(
                page, column[0] if column else None, args.sort_desc, args.search, args.filters, page_size=size
            )
            yield from rows
            if len(rows) < size:
                return
            page += 1
            # A slow reader must not keep the database's oldest snapshot, nor all rows in memory.
            db.session.rollback()
            db.session.expunge_all()

    def _exported_value(self, row: Any, name: str) -> Any:
        """A value for a program: times with offset, nothing of HTML."""
        formatter = (self.column_formatters_export or {}).get(name)
        value = formatter(self, None, row, name) if formatter else self._get_field_value(row, name)
        if isinstance(value, datetime):
            return format_time(value, viewer_zone(), with_offset=True)
        return value

    def _show(self, form: Form, error: HypersightError) -> None:
        db.session.rollback()
        if isinstance(error, InvalidInput):
            put_invalid(form, error)
        else:
            flash(str(error), "danger")

    def _get_list_extra_args(self) -> Any:
        args = super()._get_list_extra_args()
        args.page = max(0, min(args.page or 0, _MAX_PAGE))
        return args

    def _get_list_filter_args(self) -> list[tuple[int, str, str]]:
        """The filters that were filled in. One that makes no sense is named and left out."""
        found = []
        for name, value in request.args.items():
            match = _FILTER.fullmatch(name)
            if match is None or not value.strip() or match[1] not in (self._filter_args or {}):
                continue
            index, flt = self._filter_args[match[1]]
            if flt.validate(value):
                found.append((index, str(flt.name), value))
            else:
                flash(f"{flt.name}: {value!r} is no value to filter by.", "warning")
        return found
