"""Who may see and do what: the one place that knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, false, select, true

from server.extensions import db
from server.models import Processor, User, UserCamera
from server.services.transactions import translated

ADMINISTRATOR = "administrator"
OPERATOR = "operator"
VIEWER = "viewer"
ROLES = (ADMINISTRATOR, OPERATOR, VIEWER)
ROLES_IN_WORDS = {
    ADMINISTRATOR: "may do everything: cameras, accounts, API tokens, the audit log",
    OPERATOR: "changes the cameras given to them and what is counted there; makes and deletes no cameras",
    VIEWER: "looks at the cameras given to them and changes nothing",
}


@dataclass(frozen=True, slots=True)
class Rights:
    """What somebody may see and do. `cameras`: the ids they see; None stands for all."""

    role: str
    cameras: frozenset[int] | None

    @property
    def is_administrator(self) -> bool:
        """Whether everything is allowed: cameras, accounts, tokens, the audit log."""
        return self.role == ADMINISTRATOR

    @property
    def operates(self) -> bool:
        """Whether anything at all may be changed: settings and processors of the cameras they see."""
        return self.role in (ADMINISTRATOR, OPERATOR)

    def sees(self, camera_id: int) -> bool:
        """Whether the camera, and all that belongs to it, is there for them."""
        return self.cameras is None or camera_id in self.cameras

    def may_change(self, camera_id: int) -> bool:
        """Whether they may change the camera's settings, and make, change and delete its processors."""
        return self.operates and self.sees(camera_id)

    def visible(self, column: Any) -> ColumnElement[bool]:
        """A WHERE clause over a column of camera ids: the rows they see."""
        if self.cameras is None:
            return true()
        if not self.cameras:
            return false()
        mine: ColumnElement[bool] = column.in_(sorted(self.cameras))
        return mine

    def visible_processors(self, column: Any) -> ColumnElement[bool]:
        """The same over a column of processor ids."""
        if self.cameras is None:
            return true()
        theirs = select(Processor.id).where(self.visible(Processor.camera_id))
        mine: ColumnElement[bool] = column.in_(theirs)
        return mine


NOTHING = Rights("", frozenset())
"""Of somebody who has not signed in."""
EVERYTHING = Rights(ADMINISTRATOR, None)


def rights_of(user: User) -> Rights:
    """What the account may do at this moment. Administrators see every camera, whatever is ticked."""
    if not user.active or user.role not in ROLES:
        return NOTHING
    if user.role == ADMINISTRATOR or user.all_cameras:
        return Rights(user.role, None)
    with translated():
        ids = db.session.scalars(select(UserCamera.camera_id).where(UserCamera.user_id == user.id))
        return Rights(user.role, frozenset(ids))
