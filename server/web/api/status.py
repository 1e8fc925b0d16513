"""GET /statusWatch: which cameras are being watched."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from server.services.status import camera_statuses
from server.web.api.auth import needs

blueprint = Blueprint("status", __name__)
blueprint.before_request(needs("status"))


@blueprint.get("/statusWatch")
def status_call() -> dict[str, dict[str, Any]]:
    """Every camera by its id."""
    return {
        str(camera.id): {
            "watching": camera.watching,
            "url": camera.url,
            "name": camera.name,
            "state": camera.state,
            "reason": camera.reason,
        }
        for camera in camera_statuses().values()
    }
