"""/admin: Flask-Admin's lists and forms in our own pages, one file a table."""

from __future__ import annotations

from flask import Flask
from flask_admin import Admin

from server.web.admin.accounts import TokenView, UserView
from server.web.admin.audit import AuditView
from server.web.admin.cameras import CameraView
from server.web.admin.charts import ChartView
from server.web.admin.events import EventView
from server.web.admin.home import HomeView
from server.web.admin.processors import ProcessorView
from server.web.admin.profile import ProfileView


def init_app(app: Flask) -> None:
    """Register the panel. Who may see it is decided in `web.auth`."""
    admin = Admin(app, name="Hypersight", index_view=HomeView(name="Home"))
    views = (CameraView, ProcessorView, EventView, ChartView, UserView, TokenView, AuditView, ProfileView)
    for view in views:
        admin.add_view(view())
