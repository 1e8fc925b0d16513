"""Media that lie on another node's disk: asked for there, by its web server, with a signature.

No node opens another's disk. What may be asked for is named by path, `previews/<processor>/<file>` or
`crops/<camera>/<day>/<file>`; each question is signed with SECRET_KEY, which all nodes share, for a minute.
"""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import urllib3
from flask import Flask, current_app
from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import select

from server.config import Settings
from server.errors import HypersightError, NotFound
from server.extensions import db
from server.media.preview_encoder import FILE_NAME
from server.models import Worker
from server.services.transactions import translated

LIFE_SECONDS = 60
"""How long a signed question is good for; the clocks of nodes may differ by less than this."""
CONNECT_SECONDS, READ_SECONDS = 1.0, 3.0
MAX_BYTES = 20_000_000
"""No segment and no crop is larger."""
_PREVIEW = re.compile(rf"previews/(\d{{1,18}})/({FILE_NAME.pattern})")
_CROP = re.compile(r"crops/(\d{1,18}/\d{8}/\d{1,18}-[0-9a-f]{16}\.jpg)")
_TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".mp4": "video/mp4",
    ".m4s": "video/mp4",
    ".jpg": "image/jpeg",
}


class NodeSilent(HypersightError):
    """The other node cannot be asked, or does not answer. The text says why."""

    retryable = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node has under a path. `status`: 200, or 404 with the reason as text in `body`."""

    status: int
    content_type: str
    body: bytes


def local_file(settings: Settings, path: str) -> Path:
    """Where this node keeps what a path names; it need not be there. Raises NotFound for any other path."""
    preview, crop = _PREVIEW.fullmatch(path), _CROP.fullmatch(path)
    if preview is not None:
        return settings.PROCESSORS_PREVIEW_DIR / preview[1] / preview[2]
    if crop is not None:
        return settings.CROPS_DIR / crop[1]
    raise NotFound(f"there is no {path!r}")


def content_type(path: str) -> str:
    """What is under a path that `local_file` knows."""
    return _TYPES[Path(path).suffix]


def sign(settings: Settings, path: str) -> str:
    """A token for a path."""
    return str(_signer(settings).dumps([path, int(time.time())]))


def is_signed(settings: Settings, path: str, token: str) -> bool:
    """Whether the token is ours, for this path, and fresh. Without a SECRET_KEY none is."""
    if not settings.SECRET_KEY:
        return False
    try:
        signed, at_s = _signer(settings).loads(token)
        # A clock that is ahead is as good as one that is behind.
        return bool(signed == path and abs(time.time() - at_s) <= LIFE_SECONDS)
    except (BadSignature, ValueError, TypeError):
        return False


def fetch(node: str, path: str) -> Answer:
    """What the node has under a path. Needs an application context. Raises NodeSilent, NotFound."""
    settings: Settings = current_app.extensions["hypersight"]
    local_file(settings, path)
    address = _address_of(node)
    if not address:
        raise NodeSilent(f"it lies on the node {node}, which has no MEDIA_URL to ask for it")
    url = f"{address}/media/{path}"
    try:
        response = _client(current_app).request(
            "GET", url, fields={"token": sign(settings, path)}, preload_content=False, redirect=False
        )
        try:
            body = response.read(MAX_BYTES + 1)
        finally:
            response.release_conn()
    except urllib3.exceptions.HTTPError as error:
        raise NodeSilent(f"the node {node} does not answer at its MEDIA_URL") from error
    if response.status == 404:
        return Answer(404, "text/plain", _trouble(body).encode())
    if response.status == 403:
        raise NodeSilent(f"the node {node} refuses: its SECRET_KEY or its clock differs from ours")
    if response.status != 200 or len(body) > MAX_BYTES:
        raise NodeSilent(f"the node {node} answers with status {response.status}")
    return Answer(200, content_type(path), body)


def _trouble(body: bytes) -> str:
    try:
        found = json.loads(body)["trouble"]
    except (ValueError, KeyError, TypeError):
        return ""
    return found if isinstance(found, str) else ""


def _address_of(node: str) -> str:
    """MEDIA_URL of the node, as the worker that reported last gave it."""
    query = (
        select(Worker.media_url)
        .where(Worker.node == node, Worker.media_url != "")
        .order_by(Worker.beat_ms.desc())
        .limit(1)
    )
    with translated():
        return db.session.scalar(query) or ""


def _signer(settings: Settings) -> URLSafeSerializer:
    return URLSafeSerializer(settings.SECRET_KEY, salt="hypersight-node-media")


_making = threading.Lock()


def _client(app: Flask) -> urllib3.PoolManager:
    """One a process."""
    with _making:
        found = app.extensions.get("hypersight.node_media")
        if found is None:
            found = urllib3.PoolManager(
                maxsize=8,
                block=False,
                retries=False,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            )
            app.extensions["hypersight.node_media"] = found
    return found
