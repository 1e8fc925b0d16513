"""The tables, one file an aggregate. Importing this package registers them all."""

from server.models.audit import AuditEntry
from server.models.camera import Camera
from server.models.clip_import import ClipImport
from server.models.event import ProcessorEvent
from server.models.look import CameraShot, CameraState
from server.models.observation import Observation
from server.models.processor import Processor
from server.models.rollup import Rollup
from server.models.user import ApiToken, User, UserCamera
from server.models.watch import Checkpoint, Lease
from server.models.worker import Worker

__all__ = [
    "ApiToken",
    "AuditEntry",
    "Camera",
    "CameraShot",
    "CameraState",
    "Checkpoint",
    "ClipImport",
    "Lease",
    "Observation",
    "Processor",
    "ProcessorEvent",
    "Rollup",
    "User",
    "UserCamera",
    "Worker",
]
