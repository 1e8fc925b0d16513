"""The form of a processor: what is typed, ticked and drawn, and the options in it."""

from __future__ import annotations

from typing import Any

from flask_admin.form import BaseForm
from wtforms import BooleanField, Form, HiddenField, SelectField, SelectMultipleField, StringField
from wtforms.validators import InputRequired
from wtforms.widgets import CheckboxInput

from server.domain.detections import LABELS
from server.errors import InvalidInput
from server.processors import KINDS
from server.services import cameras
from server.services.naming import NAME_LENGTH
from server.web.forms import JsonField, NumberField

COUNTED = dict(zip(LABELS, ("people", "bicycles", "cars", "motorcycles", "buses", "trucks"), strict=True))
"""What the detector's classes are called."""
ANCHORS = {
    "centre": "the middle of the body",
    "foot": "the feet: the middle of the bottom edge",
}
PREVIEWS = {
    "watched": "only while somebody watches it",
    "always": "always (costs CPU all the time)",
    "off": "off",
}
_DEFAULTS = {"labels": ["person"], "anchor": "centre"}
_COORDINATES = (
    "Coordinates are fractions of the picture from 0 to 1: [0, 0] is the top left corner, [1, 1] the bottom "
    'right one. With a name: {"name": "Door", "points": [[x, y], …]}.'
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
    labels = SelectMultipleField(
        "What is counted",
        choices=list(COUNTED.items()),
        default=_DEFAULTS["labels"],
        validate_choice=False,
        option_widget=CheckboxInput(),
    )
    anchor = SelectField(
        "Point that counts",
        choices=list(ANCHORS.items()),
        default=_DEFAULTS["anchor"],
        description="Which point of somebody must be in a zone or cross a line. The middle suits most; the "
        "feet suit a camera high up that sees the whole of people.",
    )
    confidence = NumberField(
        "Confidence",
        [InputRequired("A number is needed.")],
        default=0.5,
        description="From 0 to 1. Somebody takes part once the detector has been this sure of them; 0.5 "
        "suits most. Lower finds more and imagines more.",
        render_kw={"inputmode": "decimal"},
    )
    preview = SelectField(
        "Preview",
        choices=list(PREVIEWS.items()),
        default="watched",
        description="When the video with boxes, zones and counts in it is made.",
    )
    enabled = BooleanField("Enabled", default=True, description="Whether it counts.")
    options = JsonField(
        "Options",
        empty={},
        description="For kinds that know more than is asked above, as a JSON object.",
    )
    seen = HiddenField()


def kinds_in_words() -> dict[str, dict[str, Any]]:
    """For each kind what it is about, whether it has zones ("zone") and lines ("line"), and what it means
    to draw none ("none")."""
    return {
        kind: {"about": cls.about, "zone": cls.uses_zones, "line": cls.uses_lines, "none": cls.undrawn}
        for kind, cls in KINDS.items()
    }


def spread_options(form: Form, options: dict[str, Any]) -> None:
    """Put stored options into the form: those it asks for at their fields, the rest as text."""
    rest = dict(options)
    labels, anchor = (rest.get(name, default) for name, default in _DEFAULTS.items())
    if isinstance(labels, list) and all(label in COUNTED for label in labels):
        form.labels.data = labels
        rest.pop("labels", None)
    if anchor in ANCHORS:
        form.anchor.data = anchor
        rest.pop("anchor", None)
    form.options.data = rest


def given(form: Form) -> cameras.ProcessorInput:
    """What the form says. Raises InvalidInput where its parts contradict each other."""
    return cameras.ProcessorInput(
        name=form.name.data,
        enabled=form.enabled.data,
        confidence=form.confidence.data,
        zones=form.zones.data,
        lines=form.lines.data,
        options=_gathered(form),
        preview=form.preview.data,
    )


def _gathered(form: Form) -> Any:
    """The options: as text, and those that have a field of their own unless they are the default.

    A form without those fields, as programs send it, leaves them to the text.
    """
    rest = form.options.data
    if not isinstance(rest, dict):
        return rest
    options = dict(rest)
    for name, label in (("labels", form.labels.label.text), ("anchor", form.anchor.label.text)):
        field = form[name]
        if not field.raw_data:
            continue
        if name in rest:
            raise InvalidInput("options", f"{name} is chosen above, at {label!r}; leave it out here")
        value = [one for one in field.data if one] if name == "labels" else field.data
        if not value:
            raise InvalidInput(name, "tick at least one")
        if value != _DEFAULTS[name]:
            options[name] = value
    return options
