"""Form fields of our own, and errors put where they belong."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from flask import flash
from wtforms import FloatField, Form, TextAreaField

from server.errors import InvalidInput


def put_error(form: Form, name: str, message: str) -> None:
    """Show an error at its field; one that the form does not have is shown above it."""
    field = form._fields.get(name)
    if field is None or field.type == "HiddenField":
        flash(message, "danger")
    else:
        field.errors = [*field.errors, message]


def put_invalid(form: Form, error: InvalidInput) -> None:
    """Show what a service refused at the field it names."""
    message = error.message
    if message.split(" ")[0].isalpha():
        message = message[0].upper() + message[1:]
    put_error(form, error.field, message if message.endswith((".", "!", "?")) else f"{message}.")


class NumberField(FloatField):  # type: ignore[misc]
    """A number, with a point or a comma."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read what was typed."""
        super().process_formdata([value.strip().replace(",", ".") for value in valuelist])


class JsonField(TextAreaField):  # type: ignore[misc]
    """A value typed as JSON. What was typed stays in sight when it is wrong; nothing typed is `empty`."""

    def __init__(self, *args: Any, empty: Any, **kwargs: Any) -> None:
        render_kw = {"rows": 4, "spellcheck": "false", "class": "form-control json"}
        super().__init__(*args, render_kw=render_kw, **kwargs)
        self._empty = empty

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        if self.data in (None, [], {}):
            return ""
        if isinstance(self.data, list):
            return "[" + ",\n ".join(_typed(item) for item in self.data) + "]"
        return _typed(self.data)

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read what was typed."""
        text = valuelist[0].strip() if valuelist else ""
        try:
            self.data = json.loads(text, parse_constant=_no_constant) if text else self._empty
        except json.JSONDecodeError as error:
            self.data = self._empty
            where = f"line {error.lineno}, column {error.colno}"
            raise ValueError(f"This is not JSON: {error.msg.lower()} at {where}.") from error
        except RecursionError as error:
            self.data = self._empty
            raise ValueError("This is nested too deeply.") from error


def _typed(value: Any) -> str:
    """JSON as people type it: letters of any alphabet as they are."""
    return json.dumps(value, ensure_ascii=False)


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is no number", name, 0)
