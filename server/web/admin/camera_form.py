"""The form of a camera: its fields in groups, with a sentence of help and a unit for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask_admin.form import BaseForm
from wtforms import BooleanField, Form, HiddenField, IntegerField, SelectField, StringField
from wtforms.validators import InputRequired, StopValidation

from server.log import redact
from server.models import Camera
from server.services import cameras
from server.services.naming import NAME_LENGTH
from server.web.forms import JsonField, NumberField


class Number:
    """A number is there. One that was not sent at all stays as it was."""

    def __call__(self, form: Form, field: Any) -> None:
        """Refuse what was left empty."""
        if field.raw_data and not field.raw_data[0].strip():
            raise StopValidation("A number is needed.")
        if not field.raw_data and field.data is None:
            raise StopValidation("A number is needed.")


class Decimal(NumberField):
    """A number with a fraction only where it has one: 5, 2.5."""

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else f"{self.data:g}"


_NUMBER = [Number()]
_DECIMAL = {"inputmode": "decimal"}
_WHOLE = {"inputmode": "numeric"}

_MEANING = {
    "stream_url": "Where the video comes from. Passwords are shown as ***.",
    "masks": "Parts of the picture that are black for everybody, and in which nobody is looked for.",
}
"""What stands beside a setting on the camera's page, where the form's help is about typing it."""
UNITS = {
    "watch_fps": "frames a second",
    "detection_grid": "frame(s) across and down",
    "preview_fps": "pictures a second",
    "preview_kbps": "kbit a second",
    "preview_width": "pixels",
}
"""What a number counts."""
GROUPS = (
    ("Source", "", ("name", "stream_url", "rtsp_transport", "loop", "enabled")),
    ("Analysis", "How closely it is looked at. These decide what it costs.", ("watch_fps", "detection_grid")),
    (
        "Preview",
        "The live picture with boxes and counts. It costs something only while somebody looks.",
        ("preview_fps", "preview_kbps", "preview_width"),
    ),
    (
        "Masks",
        "What nobody is to see: blacked out in every picture, and before people are looked for.",
        ("masks",),
    ),
)
"""Title, a sentence, and the fields."""


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
        render_kw={
            "maxlength": cameras.MAX_ADDRESS,
            "spellcheck": "false",
            "autocapitalize": "none",
            "autocomplete": "off",
        },
    )
    rtsp_transport = SelectField(
        "RTSP transport",
        choices=[("tcp", "TCP"), ("udp", "UDP")],
        default="tcp",
        description="How an RTSP camera sends. TCP loses nothing; UDP is for cameras that know no other.",
    )
    loop = BooleanField("Loop", description="For files only: begin again at the end.")
    enabled = BooleanField("Enabled", default=True, description="Whether it is watched.")
    watch_fps = Decimal(
        "Analysed frames a second",
        _NUMBER,
        default=5.0,
        description=f"From {cameras.MIN_FPS:g} to {cameras.MAX_FPS:g}. More follows fast movement better and "
        "costs more CPU; 5 suits people on foot.",
        render_kw=_DECIMAL,
    )
    detection_grid = IntegerField(
        "Detection grid",
        _NUMBER,
        default=1,
        description=f"n, from 1 to {cameras.MAX_GRID}: n × n frames are looked at as one picture, which "
        "saves CPU and misses what is small. 1 looks at each frame by itself.",
        render_kw=_WHOLE,
    )
    preview_fps = Decimal(
        "Preview frame rate",
        _NUMBER,
        default=15.0,
        description=f"From {cameras.MIN_PREVIEW_FPS:g} to {cameras.MAX_PREVIEW_FPS:g}. 15 looks smooth; "
        "fewer cost less CPU.",
        render_kw=_DECIMAL,
    )
    preview_kbps = IntegerField(
        "Preview bitrate",
        _NUMBER,
        default=800,
        description=f"From {cameras.MIN_PREVIEW_KBPS} to {cameras.MAX_PREVIEW_KBPS}. More is sharper and "
        "needs a faster network; 800 suits a phone.",
        render_kw=_WHOLE,
    )
    preview_width = IntegerField(
        "Preview width",
        _NUMBER,
        default=960,
        description=f"From {cameras.MIN_PREVIEW_WIDTH} to {cameras.MAX_PREVIEW_WIDTH}, at most; a smaller "
        "picture is not enlarged, and the height follows.",
        render_kw=_WHOLE,
    )
    masks = JsonField(
        "Picture masks",
        empty=[],
        description="A list of polygons, each a list of its corners. Coordinates are fractions of the "
        "picture from 0 to 1: the left tenth is [[[0, 0], [0.1, 0], [0.1, 1], [0, 1]]]",
    )
    seen = HiddenField()


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting as the camera's page shows it."""

    label: str
    value: Any
    unit: str
    help: str


def read(form: Form) -> cameras.CameraInput:
    """What the form holds."""
    return cameras.CameraInput(
        name=form.name.data,
        stream_url=form.stream_url.data,
        loop=form.loop.data,
        rtsp_transport=form.rtsp_transport.data,
        enabled=form.enabled.data,
        watch_fps=form.watch_fps.data,
        detection_grid=form.detection_grid.data,
        # A form that was sent without masks does not say that there are none any more.
        masks=form.masks.data if form.masks.raw_data else form.masks.object_data or [],
        preview_fps=form.preview_fps.data,
        preview_kbps=form.preview_kbps.data,
        preview_width=form.preview_width.data,
    )


def shown_settings(camera: Camera) -> list[tuple[str, list[Shown]]]:
    """The camera's settings by group, in the form's words; its address redacted."""
    form = CameraForm()
    return [
        (title, [_shown(form[name], _value(camera, name)) for name in names]) for title, _, names in GROUPS
    ]


def _value(camera: Camera, name: str) -> str:
    value = getattr(camera, name)
    if name == "stream_url":
        return redact(value)
    if name == "masks":
        return str(len(value)) if value else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).upper() if name == "rtsp_transport" else str(value)


def _shown(field: Any, value: str) -> Shown:
    return Shown(
        field.label.text, value, UNITS.get(field.name, ""), _MEANING.get(field.name, field.description)
    )
