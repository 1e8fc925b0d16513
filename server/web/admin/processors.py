"""Processors: what is looked for on a camera."""

from __future__ import annotations

from typing import Any, ClassVar

from flask import Response, abort, current_app, g, jsonify, request, url_for
from flask_admin import expose
from flask_admin.contrib.sqla.filters import BooleanEqualFilter
from sqlalchemy import ColumnElement, select
from wtforms import Form

from server.errors import HypersightError, InvalidInput
from server.extensions import db
from server.models import Camera, Processor
from server.processors import KINDS
from server.services import cameras
from server.services.metrics import metric_of
from server.web.admin.base import TableView
from server.web.admin.camera_picture import camera_picture
from server.web.admin.filters import ChoiceFilter, camera_choices, kind_choices
from server.web.admin.processor_form import ProcessorForm, given, kinds_in_words, spread_options
from server.web.admin.processor_words import numbers_of, settings_in_words
from server.web.auth import current_rights


class ProcessorView(TableView):
    """Processors."""

    model_class = Processor
    noun = "processor"
    empty_message = "No processor yet. Create one on a camera to have something counted."

    column_list = ("id", "name", "camera", "kind", "enabled", "confidence", "zones", "lines")
    column_details_list = (
        "id",
        "name",
        "camera",
        "kind",
        "enabled",
        "confidence",
        "zones",
        "lines",
        "options",
        "preview",
        "created_at",
    )
    column_export_list = column_details_list
    column_labels: ClassVar = {"id": "ID (proc_id)", "created_at": "Created"}
    column_sortable_list = ("id", "name", ("camera", "camera.name"), "kind", "enabled", "confidence")
    column_default_sort = "name"
    column_searchable_list = ("name", "camera.name")
    column_filters = (
        ChoiceFilter(Processor.camera_id, "Camera", camera_choices),
        ChoiceFilter(Processor.kind, "Kind", kind_choices),
        BooleanEqualFilter(Processor.enabled, "Enabled"),
    )
    column_formatters: ClassVar = {
        "zones": lambda view, context, row, name: len(row.zones),
        "lines": lambda view, context, row, name: len(row.lines),
    }
    column_formatters_detail: ClassVar[dict[str, Any]] = {}
    column_formatters_export: ClassVar = {"camera": lambda view, context, row, name: row.camera.name}
    form = ProcessorForm
    create_template = "hypersight/processor_form.html"
    edit_template = "hypersight/processor_form.html"
    details_template = "hypersight/processor.html"

    def __init__(self) -> None:
        super().__init__("Processors", "processor")

    @property
    def can_create(self) -> bool:
        """Administrators and operators; each sees only what they may change."""
        return current_rights().operates

    can_edit = can_create
    can_delete = can_create

    def only_visible(self) -> ColumnElement[bool] | None:
        """Processors of the cameras that this person was given."""
        return current_rights().visible(Processor.camera_id)

    def sees(self, row: Processor) -> bool:
        """Whether it is one of those."""
        return current_rights().sees(row.camera_id)

    def title_of(self, row: Processor) -> str:
        """A processor with what cannot be changed about it."""
        return f"processor {row} ({row.kind}, camera {row.camera})"

    def search_placeholder(self) -> str:
        """What the search looks at."""
        return "name or camera"

    def metric_of(self, row: Processor) -> str:
        """Which call of the API answers for it."""
        return metric_of(row.kind)

    def delete_question(self, row: Processor) -> str:
        """What is asked before a processor goes."""
        return (
            f"Delete the processor {row} of {row.camera} and everything it counted? Nothing brings it back."
        )

    def about(self, row: Processor) -> str:
        """What its kind counts, in sentences."""
        return KINDS[row.kind].about if row.kind in KINDS else ""

    def kinds(self) -> dict[str, dict[str, Any]]:
        """See `kinds_in_words`."""
        return kinds_in_words()

    def in_words(self, row: Processor) -> list[tuple[str, str]]:
        """See `settings_in_words`."""
        return settings_in_words(row)

    def numbers(self, row: Processor) -> list[dict[str, str]]:
        """See `numbers_of`."""
        return numbers_of(row)

    def picture(self, camera_id: Any) -> dict[str, str | None]:
        """What there is to draw on; without a camera, which one to choose."""
        if isinstance(camera_id, str):
            camera_id = int(camera_id) if camera_id.isascii() and camera_id.isdigit() else 0
        if not camera_id or not current_rights().sees(camera_id):
            return {"shot": None, "note": "Choose a camera to see its picture."}
        return camera_picture(camera_id)

    def chart_of(self, row: Processor) -> str:
        """Address of its chart."""
        known = "chart.index" in current_app.view_functions
        return url_for("chart.index", processor=row.id) if known else ""

    def current(self, row: Processor) -> str:
        """Stands for the row as it is now, whatever the form was opened over."""
        return cameras.fingerprint(row)

    @property
    def stale(self) -> bool:
        """Whether the form that was just sent was opened before somebody else's change."""
        return bool(g.get("stale_processor"))

    @expose("/picture")  # type: ignore[untyped-decorator]
    def camera_picture(self) -> Response:
        """`?camera=ID`: address of its picture and what is to be said of it, as JSON."""
        given_id = request.args.get("camera", "")
        key = int(given_id) if given_id.isascii() and given_id.isdigit() and len(given_id) < 10 else 0
        if not current_rights().sees(key) or db.session.get(Camera, key) is None:
            abort(404)
        return jsonify(camera_picture(key))

    @expose("/numbers")  # type: ignore[untyped-decorator]
    def now(self) -> Response:
        """`?id=ID`: what it counts now and has counted today, as JSON."""
        row = self.get_one(request.args.get("id", ""))
        if row is None:
            abort(404)
        return jsonify(numbers_of(row))

    def create_form(self, obj: Any = None) -> Form:
        """An empty form; `?camera=ID` chooses the camera."""
        form = super().create_form(obj)
        form.camera.choices = [
            (str(key), name)
            for key, name in db.session.execute(
                select(Camera.id, Camera.name)
                .where(current_rights().visible(Camera.id))
                .order_by(Camera.name)
            )
        ]
        form.kind.choices = cameras.kinds()
        if request.method == "GET" and form.camera.choices:
            form.camera.data = request.args.get("camera") or form.camera.choices[0][0]
        return form

    def edit_form(self, obj: Any = None) -> Form:
        """The form over a processor, without what cannot be changed."""
        form = super().edit_form(obj)
        del form.camera, form.kind
        if request.method == "GET":
            form.seen.data = cameras.fingerprint(obj)
            spread_options(form, obj.options or {})
        return form

    def save_new(self, form: Form) -> int:
        """See `TableView`."""
        camera = form.camera.data
        key = int(camera) if camera.isascii() and camera.isdigit() and len(camera) < 10 else 0
        # A camera that this person does not see is not there for them: the service says "choose a camera".
        key = key if current_rights().may_change(key) else 0
        return cameras.create_processor(key, form.kind.data, given(form))

    def save(self, form: Form, row: Processor) -> None:
        """See `TableView`. "Save mine instead" names the version that it is put in the place of."""
        cameras.update_processor(row.id, given(form), request.form.get("instead_of") or form.seen.data)

    def get_save_return_url(self, model: Processor, is_created: bool = False) -> str:
        """A new processor's own page: there it can be seen counting."""
        if is_created:
            return str(self.get_url(".details_view", id=model.id))
        return str(super().get_save_return_url(model, is_created))

    def remove(self, row: Processor) -> None:
        """See `TableView`."""
        cameras.delete_processor(row.id)

    def _show(self, form: Form, error: HypersightError) -> None:
        if isinstance(error, InvalidInput) and error.field == "seen":
            db.session.rollback()
            g.stale_processor = True
        else:
            super()._show(form, error)
