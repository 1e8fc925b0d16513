"""POST /detect: find people and vehicles in pictures."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, request
from werkzeug.exceptions import RequestEntityTooLarge

from server.config import Settings
from server.domain.detections import Detections
from server.errors import InvalidInput
from server.services import detection
from server.services.pictures import SentPicture, read_jpeg
from server.web.api.auth import needs
from server.web.api.body import read_body, too_large

DEFAULT_MIN_SCORE = 0.1
"""The detector reports nothing below this, so asking for less brings nothing more."""
BODY_FACTOR = 32
"""A body may be this many times MAX_BODY_BYTES."""
_OTHER_PARTS = 16
"""Parts of a form that are no pictures and do no harm."""

blueprint = Blueprint("detect", __name__)
blueprint.before_request(needs("detect"))


@blueprint.post("/detect")
def detect_call() -> dict[str, Any]:
    """What is in one picture or several. Always detects here, never on OBJECT_DETECTOR_URL: two
    servers that name each other would ask in a circle."""
    settings: Settings = current_app.extensions["hypersight"]
    least = _min_score()
    sent = _pictures(settings)
    detector = detection.local_detector(settings)
    pictures = [read_jpeg(data, name, detector.size) for name, data in sent]
    found = detector.detect([one.picture for one in pictures])
    return {
        "err": False,
        "model": detector.name,
        "images": [_answer(one, seen, least) for one, seen in zip(pictures, found, strict=True)],
    }


def _answer(sent: SentPicture, seen: Detections, least: float) -> dict[str, Any]:
    objects = [
        {"label": label, "score": round(score, 4), "box": [round(edge, 5) for edge in box]}
        for label, score, box in seen.as_list()
        if score >= least
    ]
    return {"width": sent.width, "height": sent.height, "objects": objects}


def _min_score() -> float:
    text = request.args.get("min_score", "")
    if not text:
        return DEFAULT_MIN_SCORE
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise InvalidInput("min_score", "is not a number from 0 to 1")
    return score


def _pictures(settings: Settings) -> list[tuple[str, bytes]]:
    """The encoded pictures, each with its name for errors."""
    limit = BODY_FACTOR * settings.MAX_BODY_BYTES
    request.max_content_length = limit
    request.max_form_parts = settings.DETECT_MAX_IMAGES + _OTHER_PARTS
    if request.mimetype == "multipart/form-data":
        return _parts(settings.DETECT_MAX_IMAGES, limit)
    if request.mimetype not in ("image/jpeg", "image/jpg"):
        raise InvalidInput("Content-Type", "is neither image/jpeg nor multipart/form-data")
    return [("body", read_body(limit))]


def _parts(most: int, limit: int) -> list[tuple[str, bytes]]:
    try:
        files = request.files
    except RequestEntityTooLarge:
        if (request.content_length or 0) > limit:
            raise too_large(limit) from None
        raise InvalidInput("body", f"has too many parts; {most} pictures at most") from None
    sent = [file for _, file in files.items(multi=True)]
    if not sent:
        raise InvalidInput("body", "holds no picture; send each as a file of the form")
    if len(sent) > most:
        raise InvalidInput("body", f"holds {len(sent)} pictures; {most} at most")
    return [(f"picture {number}", file.read()) for number, file in enumerate(sent, 1)]
