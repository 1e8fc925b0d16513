"""Reading what a call carries: bounded in size, strict in type, errors that name the field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from reprlib import repr as shortened
from typing import Any, NoReturn

from flask import current_app, request
from werkzeug.exceptions import RequestEntityTooLarge

from server.config import Settings
from server.errors import InvalidInput

_MAX_DIGITS = 20
"""Longer integers fit no column and cost quadratic time to read."""


def json_object() -> dict[str, Any]:
    """The body as a JSON object, whatever content type it came with. Raises InvalidInput("body", …)."""
    settings: Settings = current_app.extensions["hypersight"]
    body = read_body(settings.MAX_BODY_BYTES)
    if not body:
        raise InvalidInput("body", "is empty; a JSON object is needed")
    try:
        value = json.loads(body, parse_constant=_no_constant, parse_int=_bounded_int)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("body", f"is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidInput("body", "is not a JSON object")
    return value


def read_body(limit: int) -> bytes:
    """The body, if it has no more than `limit` bytes. Raises InvalidInput("body", …)."""
    # One more than allowed: a chunked body that is too long is cut there without a word.
    request.max_content_length = limit + 1
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise too_large(limit) from None
    if len(body) > limit:
        raise too_large(limit)
    return body


def too_large(limit: int) -> InvalidInput:
    """The error for a body of more than `limit` bytes."""
    return InvalidInput("body", f"is larger than {limit} bytes")


def integer(fields: Mapping[str, Any], name: str) -> int:
    """A required integer. Raises InvalidInput."""
    if name not in fields:
        raise InvalidInput(name, "is missing")
    value = fields[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(name, f"{shortened(value)} is not an integer")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _bounded_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)
