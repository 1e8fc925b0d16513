"""Where a box is expected next: one small Kalman filter for each axis of a box.

An axis holds both edges of the box and the one velocity they share, so that a box which the frame's
border cuts still tells its true velocity: the cut edge is not measured, the free one is.
Positions are in fractions of the frame along the axis, velocities in fractions a second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from server.domain.geometry import Box, Point
from server.domain.tracks import BORDER

_OUTLIER = 9.0
"""Squared distance, in variances, from which a measured edge counts less: three sigma. An edge jumps
like that where legs vanish behind a table, and that is no movement."""

_CUT_BLUR = 9.0
"""How much larger the variance of a free edge is while the other one is cut: what has come into sight
of somebody entering grows by leaps (head, shoulders, arms)."""


@dataclass(frozen=True, slots=True)
class Noise:
    """How steadily things move and how well boxes sit, relative to the size of what is followed.

    edge: sigma of a measured edge, in sizes. drift: how fast an edge wanders of its own (the outline
    changes), in sizes per square root of a second. jerk: spectral density of the acceleration, in
    sizes² / s³. speed: sigma of the velocity of something new, in sizes a second.
    """

    edge: float
    drift: float
    jerk: float
    speed: float


class Axis:
    """One axis of a box: low edge, high edge, shared velocity, and their covariance."""

    __slots__ = ("hi", "lo", "phh", "phv", "plh", "pll", "plv", "pvv", "v")

    def __init__(self, values: Sequence[float]) -> None:
        self.lo, self.hi, self.v, *covariance = values
        self.pll, self.plh, self.phh, self.plv, self.phv, self.pvv = covariance

    @classmethod
    def start(cls, lo: float, hi: float, size: float, noise: Noise) -> Axis:
        """Something new between lo and hi; `size` is the unit of `noise`, in fractions."""
        r = (noise.edge * size) ** 2
        return cls((lo, hi, 0.0, r, 0.0, r, 0.0, 0.0, (noise.speed * size) ** 2))

    def values(self) -> list[float]:
        """What `Axis` takes to be the same again."""
        return [self.lo, self.hi, self.v, self.pll, self.plh, self.phh, self.plv, self.phv, self.pvv]

    def predict(self, dt: float, fade: float, size: float, noise: Noise) -> None:
        """Move on by dt seconds while the velocity fades with time constant `fade`, seconds."""
        keep = math.exp(-dt / fade)
        way = fade * (1 - keep)
        self.lo += way * self.v
        self.hi += way * self.v
        self.v *= keep
        q = noise.jerk * size * size * dt
        shared = way * way * self.pvv + q * dt * dt / 3
        own = (noise.drift * size) ** 2 * dt
        self.pll += 2 * way * self.plv + shared + own
        self.phh += 2 * way * self.phv + shared + own
        self.plh += way * (self.plv + self.phv) + shared
        self.plv = keep * (self.plv + way * self.pvv) + q * dt / 2
        self.phv = keep * (self.phv + way * self.pvv) + q * dt / 2
        self.pvv = keep * keep * self.pvv + q

    def correct(self, lo: float, hi: float, r: float) -> None:
        """Take in measured edges of variance r. An edge cut by the frame's border says only that the
        box reaches the border at least."""
        cut_lo, cut_hi = lo <= BORDER, hi >= 1 - BORDER
        if cut_lo == cut_hi:
            lo_first = (lo - self.lo) ** 2 * (self.phh + r) <= (hi - self.hi) ** 2 * (self.pll + r)
            if lo_first:
                self._correct_lo(lo, r)
            self._correct_hi(hi, r)
            if not lo_first:
                self._correct_lo(lo, r)
        elif cut_lo:
            self._correct_hi(hi, r * _CUT_BLUR)
            self.lo = min(self.lo, lo)
        else:
            self._correct_lo(lo, r * _CUT_BLUR)
            self.hi = max(self.hi, hi)

    def _correct_lo(self, z: float, r: float) -> None:
        y = z - self.lo
        s = max(self.pll + r, y * y / _OUTLIER)
        kl, kh, kv = self.pll / s, self.plh / s, self.plv / s
        self._gain(y, s, kl, kh, kv)

    def _correct_hi(self, z: float, r: float) -> None:
        y = z - self.hi
        s = max(self.phh + r, y * y / _OUTLIER)
        kl, kh, kv = self.plh / s, self.phh / s, self.phv / s
        self._gain(y, s, kl, kh, kv)

    def _gain(self, y: float, s: float, kl: float, kh: float, kv: float) -> None:
        self.lo += kl * y
        self.hi += kh * y
        self.v += kv * y
        self.pll -= kl * kl * s
        self.plh -= kl * kh * s
        self.phh -= kh * kh * s
        self.plv -= kl * kv * s
        self.phv -= kh * kv * s
        self.pvv -= kv * kv * s


class Motion:
    """The movement of one box. `aspect` is the frame's width divided by its height."""

    __slots__ = ("_aspect", "_noise", "x", "y")

    def __init__(self, x: Axis, y: Axis, noise: Noise, aspect: float) -> None:
        self.x, self.y, self._noise, self._aspect = x, y, noise, aspect

    @classmethod
    def start(cls, box: Box, noise: Noise, aspect: float) -> Motion:
        """A box seen for the first time, at rest as far as anyone knows."""
        size = box_size(box, aspect)
        x = Axis.start(box.x1, box.x2, size / aspect, noise)
        return cls(x, Axis.start(box.y1, box.y2, size, noise), noise, aspect)

    @classmethod
    def restore(cls, values: Sequence[float], noise: Noise, aspect: float) -> Motion:
        """The motion whose `values` these are."""
        return cls(Axis(values[:9]), Axis(values[9:]), noise, aspect)

    def values(self) -> list[float]:
        """Everything it knows, as 18 numbers."""
        return self.x.values() + self.y.values()

    @property
    def size(self) -> float:
        """Unit of distance for this box, in fractions of the frame's height."""
        return box_size(self.outline, self._aspect)

    @property
    def outline(self) -> Box:
        """The expected box, which may reach beyond the frame."""
        return Box(self.x.lo, self.y.lo, max(self.x.lo, self.x.hi), max(self.y.lo, self.y.hi))

    @property
    def velocity(self) -> Point:
        """Fractions of the frame a second."""
        return Point(self.x.v, self.y.v)

    def predict(self, dt: float, fade: float) -> None:
        """Move on by dt seconds; velocity fades with the time constant `fade`, seconds."""
        size = self.size
        self.x.predict(dt, fade, size / self._aspect, self._noise)
        self.y.predict(dt, fade, size, self._noise)

    def correct(self, box: Box, blur: float) -> None:
        """Take in a measured box, `blur` times as noisy as a clear one."""
        r = (self._noise.edge * self.size * blur) ** 2
        self.x.correct(box.x1, box.x2, r / self._aspect**2)
        self.y.correct(box.y1, box.y2, r)


def box_size(box: Box, aspect: float) -> float:
    """How big the thing in a box is, in fractions of the frame's height.

    The larger of height and twice the width, so that a person of whom the border leaves only the
    head or a side in sight still counts with nearly all of his height.
    """
    return max(box.height, 2 * box.width * aspect, 1e-3)
