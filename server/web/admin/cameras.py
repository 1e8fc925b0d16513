"""Cameras: the list with their state, and the form."""

from __future__ import annotations

from typing import Any, ClassVar

from flask import g, request
from flask_admin.contrib.sqla.filters import BooleanEqualFilter
from flask_admin.form import BaseForm
from markupsafe import Markup
from sqlalchemy import ColumnElement
from wtforms import BooleanField, Form, HiddenField, IntegerField, SelectField, StringField
from wtforms.validators import InputRequired

from server.log import redact
from server.models import Camera
from server.services import cameras
from server.services.naming import NAME_LENGTH
from server.services.status import CameraStatus, camera_statuses
from server.web.admin.base import TableView
from server.web.auth import current_rights
from server.web.forms import NumberField


class CameraForm(BaseForm):  # type: ignore[misc]
    """A camera."""

    name = StringField(
        "Name",
        [InputRequired("A camera needs a name.")],
        description="What people call it, such as Entrance. Each name is given once.",
        render_kw={"maxlength": NAME_LENGTH},
    )
    stream_url = StringField(
        "Stream URL",
        [InputRequired("An address is needed.")],
        description="Where the video comes from: rtsp://user:password@192.168.1.20/stream1, an HTTP or HLS "
        "address, /dev/video0, or the path of a file on the server. Passwords are shown as *** from then on; "
        "leave the *** as they are to keep them.",
        render_kw={"maxlength": cameras.MAX_ADDRESS, "spellcheck": "false", "autocapitalize": "none"},
    )
    rtsp_transport = SelectField(
        "RTSP transport",
        choices=[("tcp", "TCP"), ("udp", "UDP")],
        default="tcp",
        description="How an RTSP camera sends. TCP loses nothing; UDP is for cameras that know no other.",
    )
    loop = BooleanField("Loop", description="For files only: begin again at the end.")
    enabled = BooleanField("Enabled", default=True, description="Whether it is watched.")
    watch_fps = NumberField(
        "Analysed frames a second",
        [InputRequired("A number is needed.")],
        default=5.0,
        description=f"From {cameras.MIN_FPS:g} to {cameras.MAX_FPS:g} frames a second. More follows fast "
        "movement better and costs more CPU; 5 suits people on foot.",
        render_kw={"inputmode": "decimal"},
    )
    detection_grid = IntegerField(
        "Detection grid",
        [InputRequired("A number is needed.")],
        default=1,
        description=f"n, from 1 to {cameras.MAX_GRID}: n × n frames are looked at as one picture, which "
        "saves CPU and misses what is small. 1 looks at each frame by itself.",
        render_kw={"inputmode": "numeric"},
    )
    seen = HiddenField()


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
    form = CameraForm
    details_template = "hypersight/camera.html"

    def __init__(self) -> None:
        super().__init__("Cameras", "camera")

    @property
    def can_edit(self) -> bool:
        """Administrators and operators; each sees only what they may change. Making and deleting cameras
        is for administrators."""
        return current_rights().operates

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
        """What is asked before a camera goes."""
        return f"Delete the camera {row} with its processors and everything they counted?"

    def edit_form(self, obj: Any = None) -> Form:
        """The form over a camera, its address without secrets."""
        form = super().edit_form(obj)
        if request.method == "GET":
            form.stream_url.data = redact(obj.stream_url)
            form.seen.data = cameras.fingerprint(obj)
        return form

    def save_new(self, form: Form) -> int:
        """See `TableView`."""
        return cameras.create_camera(_given(form))

    def save(self, form: Form, row: Camera) -> None:
        """See `TableView`."""
        cameras.update_camera(row.id, _given(form), form.seen.data)

    def remove(self, row: Camera) -> None:
        """See `TableView`."""
        cameras.delete_camera(row.id)


def _given(form: Form) -> cameras.CameraInput:
    return cameras.CameraInput(
        name=form.name.data,
        stream_url=form.stream_url.data,
        loop=form.loop.data,
        rtsp_transport=form.rtsp_transport.data,
        enabled=form.enabled.data,
        watch_fps=form.watch_fps.data,
        detection_grid=form.detection_grid.data,
    )
