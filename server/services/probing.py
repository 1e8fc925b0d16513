"""Trying out a camera's address before it is saved: a picture and what its stream is, or why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
from flask import current_app

from server.config import Settings
from server.domain.masks import Masker, parse_masks
from server.domain.video import Frame
from server.errors import HypersightError, InvalidInput, NotFound, SourceError
from server.extensions import db
from server.log import redact
from server.media import addresses
from server.media.snapshot import SECONDS, Busy, Snapshot, take_snapshot
from server.models import Camera
from server.services.cameras import MAX_ADDRESS, TRANSPORTS, address_meant
from server.services.transactions import translated

MAX_WIDTH = 960
"""Pixels of the picture that is shown."""
_QUALITY = 80

_REMEDIES = (
    (
        "refuses the user name or password",
        "Type both again. In an address, @ is written %40, : is %3A, / is %2F and # is %23. Some cameras "
        "have users of their own for RTSP or ONVIF.",
    ),
    (
        "wants a user name and a password",
        "They stand in front of the camera's name: rtsp://user:password@192.168.1.20/stream1.",
    ),
    (
        "(404)",
        "The path differs from maker to maker: look for RTSP address or stream URL in the camera's own pages "
        "or manual.",
    ),
    (
        "nothing listens there",
        "Is the port right (for RTSP mostly 554), and is this way of sending switched on in the camera?",
    ),
    ("cannot be found", "Check the spelling, or use the camera's number, such as 192.168.1.20."),
    ("no route to it", "Are the camera and this server in the same network?"),
    (
        "does not answer within",
        "Is the camera switched on and in the same network as this server, and is no firewall in between?",
    ),
    (
        "no room for another viewer",
        "Cameras serve a few viewers at a time: close other programs that show it. If it is watched here "
        "already, that is one of them.",
    ),
    (
        "page for browsers",
        "This is the address of the camera's own page. Its video has another, mostly beginning with rtsp://.",
    ),
    ("a single picture", "Use the address of its video: rtsp://…, or that of an MJPEG stream."),
    ("there is no video in it", "There is sound only, or nothing: choose another stream or file."),
    ("does it send over", "Choose the other RTSP transport."),
    ("no such file", "The path is one on the server, and not on the computer you sit at."),
    ("may not read it", "Give the user that the server runs as the right to read the file."),
    ("not a video", "It has to be a film, such as MP4, MKV or AVI."),
)
"""What to do about a reason, by words in it."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a camera's form holds. `camera_id`: of a stored camera, whose address is shown with ***."""

    stream_url: str
    rtsp_transport: str = "tcp"
    masks: Any = None
    camera_id: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A picture with the masks applied, as JPEG, and what `media.snapshot.Snapshot` says of the stream.

    `transport`: how it comes, in words. `masked`: how many masks were applied.
    """

    jpeg: bytes
    seen: Snapshot
    transport: str
    masked: int


class Failed(SourceError):
    """No picture; `remedy` says what to do about it, where that is known."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


class Crowded(HypersightError):
    """As many addresses as may be are being tested."""

    retryable = True


def probe(asked: Question, seconds: float = SECONDS) -> Answer:
    """Connect to a camera's address and look.

    Takes `seconds` at most. Raises InvalidInput naming the field, NotFound where the camera is gone, Failed
    and Crowded.
    """
    settings: Settings = current_app.extensions["hypersight"]
    stored = _stored(asked.camera_id)
    typed = asked.stream_url.strip()
    address = typed if stored is None else address_meant(typed, stored.stream_url).strip()
    if len(address) > MAX_ADDRESS:
        raise InvalidInput("stream_url", f"{len(address)} characters are too many; {MAX_ADDRESS} fit")
    if asked.rtsp_transport not in TRANSPORTS:
        raise InvalidInput("rtsp_transport", "tcp or udp")
    masks = _masks(asked.masks)
    if stored is not None:
        # A mask that was taken out of the form still holds until that is saved, and with it in the audit log.
        masks += parse_masks(stored.masks)
    # Nobody else waits for the database while the camera is waited for.
    db.session.rollback()
    try:
        seen = take_snapshot(
            address,
            transport=asked.rtsp_transport,
            networks=settings.stream_networks,
            seconds=seconds,
        )
    except Busy as error:
        raise Crowded(str(error)) from None
    except SourceError as error:
        reason = redact(str(error))
        raise Failed(reason, remedy_for(reason)) from None
    picture = _jpeg(Masker(masks).apply(seen.frame))
    return Answer(picture, seen, _transport(address, seen, asked.rtsp_transport), len(set(masks)))


def remedy_for(reason: str) -> str:
    """What to do about the reason that a source gave; empty where it speaks for itself."""
    return next((remedy for words, remedy in _REMEDIES if words in reason), "")


def _stored(camera_id: int | None) -> Camera | None:
    if camera_id is None:
        return None
    with translated():
        found: Camera | None = db.session.get(Camera, camera_id)
    if found is None:
        raise NotFound(f"there is no camera {camera_id} any more")
    return found


def _masks(value: object) -> tuple[Any, ...]:
    try:
        return parse_masks(value or None)
    except ValueError as error:
        raise InvalidInput("masks", str(error)) from error


def _jpeg(frame: Frame) -> bytes:
    width = min(frame.width, MAX_WIDTH)
    height = max(1, round(frame.height * width / frame.width))
    _, encoded = cv2.imencode(".jpg", frame.picture(width, height), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return encoded.tobytes()


def _transport(address: str, seen: Snapshot, transport: str) -> str:
    scheme = addresses.scheme_of(address)
    if scheme in addresses.RTSP_SCHEMES:
        return f"{scheme.upper()} over {transport.upper()}"
    if scheme in addresses.HTTP_SCHEMES:
        names = {"hls": "HLS", "mpegts": "MPEG-TS", "mpjpeg": "MJPEG", "flv": "FLV"}
        first = seen.packing.partition(",")[0]
        packing = names.get(first, {"mov": "MP4"}.get(first, first))
        return f"{packing} over {scheme.upper()}"
    return "a camera of this server" if addresses.device_of(address) is not None else "a file"
