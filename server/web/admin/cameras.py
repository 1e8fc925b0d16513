"""Cameras: the list with their state, the form with its test, and each camera's own page."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, ClassVar

from flask import Response, abort, g, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_admin.contrib.sqla.filters import BooleanEqualFilter
from markupsafe import Markup
from sqlalchemy import ColumnElement
from sqlalchemy.orm import selectinload
from wtforms import Form

from server.errors import NotFound
from server.log import redact
from server.models import Camera
from server.services import cameras
from server.services.status import CameraStatus, camera_statuses
from server.web.admin import camera_form, camera_page, camera_test
from server.web.admin.base import TableView
from server.web.admin.camera_picture import camera_picture
from server.web.auth import current_rights


class CameraView(TableView):
    """Cameras."""

    model_class = Camera
    noun = "camera"
    empty_message = "No camera yet. Create one: it is watched as soon as a worker is free."

    column_list = ("id", "name", "state", "enabled", "watch_fps", "detection_grid", "stream_url")
    column_details_list = (
        "id",
        "name",
        "state",
        "enabled",
        "stream_url",
        "rtsp_transport",
        "loop",
        "watch_fps",
        "detection_grid",
        "created_at",
    )
    column_export_list = column_details_list
    column_labels: ClassVar = {
        "id": "ID",
        "stream_url": "Stream URL",
        "rtsp_transport": "RTSP transport",
        "watch_fps": "Frames/s",
        "detection_grid": "Grid",
        "created_at": "Created",
    }
    column_sortable_list = ("id", "name", "enabled", "watch_fps", "detection_grid")
    column_default_sort = "name"
    column_searchable_list = ("name",)
    column_filters = (BooleanEqualFilter(Camera.enabled, "Enabled"),)
    column_formatters: ClassVar = {
        "state": lambda view, context, row, name: view.state_of(row),
        "stream_url": lambda view, context, row, name: redact(row.stream_url),
    }
    column_formatters_export: ClassVar = {
        "state": lambda view, context, row, name: view.status_of(row).state,
        "stream_url": lambda view, context, row, name: redact(row.stream_url),
    }
    form = camera_form.CameraForm
    groups = camera_form.GROUPS
    units = camera_form.UNITS
    create_template = "hypersight/camera_form.html"
    edit_template = "hypersight/camera_form.html"
    details_template = "hypersight/camera.html"

    def __init__(self) -> None:
        super().__init__("Cameras", "camera")

    @property
    def can_edit(self) -> bool:
        """Administrators and operators; each sees only what they may change. Making and deleting cameras
        is for administrators."""
        return current_rights().operates

    def get_query(self) -> Any:
        """Cameras with their processors, whose names are asked before one is deleted."""
        return super().get_query().options(selectinload(Camera.processors))

    def only_visible(self) -> ColumnElement[bool] | None:
        """The cameras that this person was given."""
        return current_rights().visible(Camera.id)

    def sees(self, row: Camera) -> bool:
        """Whether it is one of those."""
        return current_rights().sees(row.id)

    def status_of(self, row: Camera) -> CameraStatus:
        """The camera's state; one query for all of a page's cameras."""
        if "camera_statuses" not in g:
            g.camera_statuses = camera_statuses()
        status: CameraStatus = g.camera_statuses[row.id]
        return status

    def state_of(self, row: Camera) -> Markup:
        """State and reason, for people."""
        status = self.status_of(row)
        return Markup('<span class="state state-{0}">{0}</span> <span class="reason">{1}</span>').format(
            status.state, status.reason
        )

    def delete_question(self, row: Camera) -> str:
        """What is asked before a camera goes: it names what goes with it."""
        names = sorted(one.name for one in row.processors)
        noun = "processor" if len(names) == 1 else "processors"
        some = names if len(names) <= 3 else [*names[:3], f"{len(names) - 3} more"]
        rules = (
            f" with its {noun} {' and '.join([', '.join(some[:-1]), some[-1]][len(some) < 2 :])}"
            if some
            else ""
        )
        counted = "everything they counted" if names else "the log of its states"
        return f"Delete the camera {row}{rules}, and {counted}? Nothing brings it back."

    def edit_form(self, obj: Any = None) -> Form:
        """The form over a camera, its address without secrets."""
        form = super().edit_form(obj)
        if request.method == "GET":
            form.stream_url.data = redact(obj.stream_url)
            form.seen.data = cameras.fingerprint(obj)
        return form

    def save_new(self, form: Form) -> int:
        """See `TableView`."""
        return cameras.create_camera(camera_form.read(form))

    def save(self, form: Form, row: Camera) -> None:
        """See `TableView`."""
        cameras.update_camera(row.id, camera_form.read(form), form.seen.data)

    def remove(self, row: Camera) -> None:
        """See `TableView`."""
        cameras.delete_camera(row.id)

    def get_save_return_url(self, model: Camera, is_created: bool = False) -> str:
        """After a camera was made: its own page, where its picture comes in and the next step is."""
        if is_created and "_add_another" not in request.form:
            return url_for(".details_view", id=model.id, new=1)
        return str(super().get_save_return_url(model, is_created))

    def picture_of(self, row: Camera) -> dict[str, str | None]:
        """What masks are drawn over: address of the picture, and what is to be said of it."""
        return camera_picture(row.id)

    def details_args(self, row: Camera) -> dict[str, Any]:
        """What the camera's page shows."""
        return camera_page.shown(row, datetime.now(timezone.utc), request.args)

    def render(self, template: str, **kwargs: Any) -> str:
        """See `Page`; the camera's page is given what it shows."""
        if template == self.details_template:
            kwargs |= self.details_args(kwargs["model"])
        return super().render(template, **kwargs)

    @expose("/<int:key>/live.json")  # type: ignore[untyped-decorator]
    def live(self, key: int) -> Response:
        """What changes on a camera's page."""
        return jsonify(camera_page.live(self._visible(key), datetime.now(timezone.utc)))

    @expose("/shot/<int:key>.jpg")  # type: ignore[untyped-decorator]
    def shot(self, key: int) -> Response:
        """The camera's last picture."""
        return camera_page.picture(self._visible(key))

    @expose("/test", methods=("POST",))  # type: ignore[untyped-decorator]
    def test(self) -> ResponseReturnValue:
        """Try out an address that may not have been saved yet."""
        key = request.form.get("camera", "")
        row = self._visible(key) if key else None
        if not (self.can_create if row is None else current_rights().may_change(row.id)):
            abort(403, self.refusal())
        return camera_test.answer(request.form, None if row is None else row.id)

    def _visible(self, key: object) -> Camera:
        row: Camera | None = self.get_one(key)
        if row is None:
            raise NotFound("There is no such camera, or it is not among what you were given to see.")
        return row
