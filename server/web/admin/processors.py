"""Processors: what is looked for on a camera."""

from __future__ import annotations

from typing import Any, ClassVar

from flask import request
from flask_admin.contrib.sqla.filters import BooleanEqualFilter
from flask_admin.form import BaseForm
from sqlalchemy import ColumnElement, select
from wtforms import BooleanField, Form, HiddenField, SelectField, StringField
from wtforms.validators import InputRequired

from server.domain.detections import LABELS
from server.extensions import db
from server.models import Camera, Processor
from server.services import cameras
from server.services.metrics import metric_of
from server.services.naming import NAME_LENGTH
from server.web.admin.base import TableView
from server.web.admin.filters import ChoiceFilter, camera_choices, kind_choices
from server.web.auth import current_rights
from server.web.forms import JsonField, NumberField

_COORDINATES = (
    "Coordinates are fractions of the picture from 0 to 1: [0, 0] is the top left corner, [1, 1] the bottom "
    "right one."
)


class ProcessorForm(BaseForm):  # type: ignore[misc]
    """A processor."""

    camera = SelectField("Camera", [InputRequired("Choose a camera.")], validate_choice=False)
    name = StringField(
        "Name",
        [InputRequired("A processor needs a name.")],
        description="What people call it, such as Front door. Each name is given once a camera.",
        render_kw={"maxlength": NAME_LENGTH},
    )
    kind = SelectField(
        "Kind",
        [InputRequired("Choose a kind.")],
        validate_choice=False,
        description="What it counts. Camera and kind stay as they are once the processor is saved.",
    )
    enabled = BooleanField("Enabled", default=True, description="Whether it counts.")
    confidence = NumberField(
        "Confidence",
        [InputRequired("A number is needed.")],
        default=0.5,
        description="From 0 to 1. Somebody takes part once the detector has been this sure of them.",
        render_kw={"inputmode": "decimal"},
    )
    zones = JsonField(
        "Zones",
        empty=[],
        description=f"A list of zones, each a list of its corners in order around it. {_COORDINATES} The "
        "right tenth of the picture: [[[0.9, 0], [1, 0], [1, 1], [0.9, 1]]]",
    )
    lines = JsonField(
        "Lines",
        empty=[],
        description="A list of lines, each from one point to another. Walking along a line, those who cross "
        "it to your left go in, those to your right go out. Across the middle, in is up: "
        "[[[0, 0.5], [1, 0.5]]]",
    )
    options = JsonField(
        "Options",
        empty={},
        description='What else the kind knows, as a JSON object. All kinds: {"labels": ["person"]}, a list '
        f"of some of {', '.join(LABELS)}.",
    )
    seen = HiddenField()


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
        return f"Delete the processor {row} and everything it counted?"

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
        if request.method == "GET" and request.args.get("camera"):
            form.camera.data = request.args["camera"]
        return form

    def edit_form(self, obj: Any = None) -> Form:
        """The form over a processor, without what cannot be changed."""
        form = super().edit_form(obj)
        del form.camera, form.kind
        if request.method == "GET":
            form.seen.data = cameras.fingerprint(obj)
        return form

    def save_new(self, form: Form) -> int:
        """See `TableView`."""
        camera = form.camera.data
        key = int(camera) if camera.isascii() and camera.isdigit() and len(camera) < 10 else 0
        # A camera that this person does not see is not there for them: the service says "choose a camera".
        key = key if current_rights().may_change(key) else 0
        return cameras.create_processor(key, form.kind.data, _given(form))

    def save(self, form: Form, row: Processor) -> None:
        """See `TableView`."""
        cameras.update_processor(row.id, _given(form), form.seen.data)

    def remove(self, row: Processor) -> None:
        """See `TableView`."""
        cameras.delete_processor(row.id)


def _given(form: Form) -> cameras.ProcessorInput:
    return cameras.ProcessorInput(
        name=form.name.data,
        enabled=form.enabled.data,
        confidence=form.confidence.data,
        zones=form.zones.data,
        lines=form.lines.data,
        options=form.options.data,
    )
