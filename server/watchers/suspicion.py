"""Parts that end their worker: begun, never finished.

The lease counts how often the part after the checkpoint has been begun. One that was begun once may
have had nothing to do with the worker's end, since a worker works many cameras. So such suspects are
begun one at a time in a process: a second end then has one cause. What was begun twice is left out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from server.domain.video import TICKS_PER_SECOND, Part

CONDEMNED = 2
"""Begun this often without being finished, a part of a file is left out."""
LEAVE_OUT_TICKS = 20 * TICKS_PER_SECOND
"""What is left out goes up to the next keyframe, but at most this far."""
FIRST_PAUSE, PAUSE_GROWTH, LONGEST_PAUSE = 15.0, 4.0, 3600.0
"""Seconds for which a camera that ends its worker again and again is left alone: no neighbour is to be
taken down for ever."""

_alone = threading.Lock()


class Suspicion:
    """What is held against the next part of a camera."""

    def __init__(self, strikes: int, repeatable: bool, mark: Callable[[int], object]) -> None:
        """strikes: as the lease has it. repeatable: what was begun comes
        again. mark: stores strikes."""
        self._strikes = strikes
        self._mark = mark
        self._repeatable = repeatable
        self._left_from: int | None = None
        self._held = False
        self._begun = False
        self.condemned = strikes >= CONDEMNED and repeatable
        """Whether the next part is to be left out."""

    @property
    def pause(self) -> float:
        """Seconds to leave the camera alone before it is tried again."""
        more = self._strikes - CONDEMNED - 1
        return 0.0 if more < 0 else float(min(LONGEST_PAUSE, FIRST_PAUSE * PAUSE_GROWTH**more))

    @property
    def waits(self) -> bool:
        """Whether it has to be alone to begin, and is not."""
        return self._strikes >= (1 if self._repeatable else CONDEMNED) and not self._held

    def begin(self) -> bool:
        """Begin the suspect, if no other is being tried in this process; gives whether it was begun.

        Raises StorageError, LeaseLost.
        """
        if self.waits and not _alone.acquire(blocking=False):
            return False
        self._held = self.waits or self._held
        if self._strikes:
            try:
                self._mark(self._strikes + 1)
                self._begun = True
            except BaseException:
                self.let_go()
                raise
        return True

    def passes_over(self, part: Part) -> bool:
        """Whether to leave this part out: the condemned one, and what cannot be decoded without it."""
        if not self.condemned:
            return False
        if self._left_from is None:
            self._left_from = part.start
            return True
        if part.independent or part.start - self._left_from >= LEAVE_OUT_TICKS:
            self.condemned = False
            return False
        return True

    def lift(self) -> None:
        """A part was finished: nothing is held against the next one."""
        self._strikes, self._begun = 0, False
        self.let_go()

    def end(self) -> None:
        """The attempt is over in order, without a finished part: begun, but not to the worker's end."""
        try:
            if self._begun:
                self._mark(1)
        finally:
            self.lift()

    def let_go(self) -> None:
        """Others may be tried now."""
        if self._held:
            self._held = False
            _alone.release()
