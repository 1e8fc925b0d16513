"""The first page: what is going on, and what to do next."""

from __future__ import annotations

from flask_admin import AdminIndexView, expose
from sqlalchemy import select

from server.extensions import db
from server.models import Processor
from server.services.status import CameraStatus, camera_statuses
from server.web.admin.page import Page
from server.web.auth import current_rights


class HomeView(Page, AdminIndexView):  # type: ignore[misc]
    """Every camera with its state and its processors."""

    @expose("/")  # type: ignore[untyped-decorator]
    def index(self) -> str:
        """The page."""
        processors: dict[int, list[Processor]] = {}
        for processor in db.session.scalars(select(Processor).order_by(Processor.name)):
            processors.setdefault(processor.camera_id, []).append(processor)
        rights = current_rights()
        seen = [camera for camera in camera_statuses().values() if rights.sees(camera.id)]
        cameras = sorted(seen, key=_attention)
        return self.render("hypersight/home.html", cameras=cameras, processors=processors)


def _attention(camera: CameraStatus) -> tuple[bool, bool, str]:
    """What should be watched and is not comes first, what is switched off last."""
    return not camera.enabled, camera.state == "watching", camera.name.lower()
