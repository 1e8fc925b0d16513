"""The picture of an event, from whichever node keeps it."""

from __future__ import annotations

import time

from flask import current_app

from server.config import Settings
from server.models import ProcessorEvent
from server.services import node_media
from server.services.crops import crop_path, read_crop

SILENT_SECONDS = 10.0
"""How long a node that did not answer is not asked again: a list of events asks for fifty pictures at once,
and each would wait for the node by itself."""


def picture_of_event(event: ProcessorEvent) -> bytes | None:
    """The JPEG; None where there is none any more. Needs an application context.

    Raises NodeSilent where the node that keeps it does not give it just now.
    """
    found = read_crop(event)
    settings: Settings = current_app.extensions["hypersight"]
    node = event.crop_node
    if found is not None or not node or node == settings.NODE_NAME:
        return found
    silent: dict[str, tuple[float, str]] = current_app.extensions.setdefault("hypersight.silent_nodes", {})
    until, why = silent.get(node, (0.0, ""))
    if time.monotonic() < until:
        raise node_media.NodeSilent(why)
    path = crop_path(settings, event.processor.camera_id, event.ts, event.processor_id, event.key)
    try:
        answer = node_media.fetch(node, f"crops/{path.relative_to(settings.CROPS_DIR).as_posix()}")
    except node_media.NodeSilent as error:
        silent[node] = (time.monotonic() + SILENT_SECONDS, str(error))
        raise
    silent.pop(node, None)
    return answer.body if answer.status == 200 else None
