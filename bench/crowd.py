"""A simulated crowd with known truth, and what a small detector makes of it.

People walk with changing pace between the borders of the frame, alone or in pairs, stand still for a
while, hide each other and pass behind a pillar. Detections tremble, weaken and vanish for some time
where little is in sight, are doubled or invented now and then, and pass a non-maximum suppression.
Drawn with Python's own generator from fixed seeds: every environment gets the same.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

HZ = 30
"""Steps a second of the simulated world; trackers see some of them."""
ASPECT = 16 / 9
Rect = tuple[float, float, float, float]


class Scenario(NamedTuple):
    """A kind of scene. `people` at once; heights of people at the back and in front, in frames."""

    name: str
    people: int
    far: float
    near: float
    fps: float
    dropped: float = 0.0


SCENARIOS = tuple(
    Scenario(name, people, far, near, fps, dropped)
    for name, people, far, near in (("hall", 4, 0.25, 0.6), ("crowd", 15, 0.15, 0.45), ("near", 3, 0.6, 0.95))
    for fps, dropped in ((5.0, 0.0), (10.0, 0.0), (5.0, 0.2))
)


@dataclass
class Person:
    """Somebody walking from way point to way point. Places are (x of the feet, depth 0..1)."""

    name: int
    route: list[tuple[float, float]]
    at: tuple[float, float]
    speed: float
    clearness: float
    pause: float
    mood: float = 0.0
    pace: float = 0.0
    jitter: list[float] = field(default_factory=lambda: [0.0] * 4)


class Sight(NamedTuple):
    """What is true of one person in one frame: the part of the box inside the frame, the share of it
    in sight, and the outline of that part."""

    name: int
    box: Rect
    visible: float
    outline: Rect


class Look(NamedTuple):
    """One frame as a tracker gets it: microseconds, boxes with scores, and the truth."""

    ts_us: int
    found: list[tuple[Rect, float]]
    truth: list[Sight]


class World:
    """A scene that goes on step by step."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario, self.random = scenario, random.Random(f"{scenario.name}/{seed}")
        self.people: list[Person] = []
        self.count = 0
        self.pillar = self.random.uniform(0.3, 0.7)
        self.false: list[tuple[float, Rect, float]] = []

    def step(self) -> None:
        """1/HZ seconds later."""
        rnd = self.random
        missing = self.scenario.people - len(self.people)
        if missing > 0 and rnd.random() < 0.5 * missing / HZ:
            self._enter()
        for person in self.people:
            self._walk(person)
            person.mood += -person.mood / (0.5 * HZ) + rnd.gauss(0, 1.0) / math.sqrt(HZ / 2)
            person.jitter = [j * (1 - 3 / HZ) + rnd.gauss(0, 0.008) for j in person.jitter]
        self.people = [person for person in self.people if person.route]
        self.false = [item for item in self.false if rnd.random() > 6 / HZ]
        if rnd.random() < 0.3 / HZ:
            x, y, h = rnd.random(), rnd.uniform(0.3, 0.9), rnd.uniform(self.scenario.far, self.scenario.near)
            self.false.append((rnd.uniform(0.1, 0.65), (x, y - h / 2, x + h / 4, y + h / 2), h))

    def _enter(self) -> None:
        rnd = self.random
        start, goal = rnd.sample([-0.2, 1.2], 2)
        depth = rnd.random()
        way = [(rnd.uniform(0.15, 0.85), rnd.random()) for _ in range(rnd.randrange(3))]
        way.append((goal if rnd.random() < 0.8 else start, rnd.random()))
        pause = rnd.uniform(1, 5) if rnd.random() < 0.3 else 0.0
        speed = rnd.uniform(0.5, 1.1)
        for _ in range(2 if rnd.random() < 0.25 and self.scenario.people > 3 else 1):
            self.count += 1
            clear = rnd.gauss(1.9, 0.5)
            self.people.append(Person(self.count, list(way), (start, depth), speed, clear, pause))
            start, depth = start + math.copysign(0.03, start), min(1.0, depth + 0.08)
            way = [(x + 0.02, min(1.0, z + 0.08)) for x, z in way]

    def _walk(self, person: Person) -> None:
        (x, z), (goal_x, goal_z) = person.at, person.route[0]
        height = self._height(z)
        dx, dz = (goal_x - x) * ASPECT / height, (goal_z - z) * 0.6 / height
        left = math.hypot(dx, dz)
        person.pace += -person.pace / HZ + self.random.gauss(0, 0.3) / math.sqrt(HZ / 2)
        step = max(0.0, person.speed * (1 + person.pace)) / HZ
        if left > step:
            person.at = (x + (goal_x - x) * step / left, z + (goal_z - z) * step / left)
        elif person.pause > 0 and len(person.route) > 1:
            person.pause -= 1 / HZ
        else:
            person.route.pop(0)

    def _height(self, z: float) -> float:
        return self.scenario.far + (self.scenario.near - self.scenario.far) * z

    def _full(self, person: Person) -> Rect:
        x, z = person.at
        height = self._height(z)
        half = 0.2 * height / ASPECT
        foot = 0.35 + self.scenario.far + z * (0.75 - self.scenario.far)
        return (x - half, foot - height, x + half, foot)

    def truth(self) -> list[Sight]:
        """Everybody of whom some part is inside the frame."""
        ordered = sorted(self.people, key=lambda p: -p.at[1])
        sights = []
        covers: list[Rect] = []
        for person in ordered:
            full = self._full(person)
            box = clip(full)
            shade = list(covers)
            if person.at[1] < 0.6:
                shade.append((self.pillar - 0.025, 0.0, self.pillar + 0.025, 1.0))
            inset = 0.12 * (full[2] - full[0])
            covers.append((full[0] + inset, full[1], full[2] - inset, full[3]))
            if area(box) > 0.1 * area(full):
                sights.append(look_at(person.name, box, shade, full))
        return sights

    def detect(self, truth: list[Sight]) -> list[tuple[Rect, float]]:
        """What a small detector makes of it: weak or no scores for the hidden, boxes that tremble and
        shrink, some doubled, some invented; overlapping ones suppressed."""
        rnd = self.random
        people = {person.name: person for person in self.people}
        found = [(clip(box), score) for score, box, _ in self.false]
        for name, box, visible, outline in truth:
            person = people[name]
            height = max(box[3] - box[1], 0.05)
            logit = person.clearness + 0.9 * person.mood + rnd.gauss(0, 0.4) - 6 * max(0.0, 0.85 - visible)
            logit -= max(0.0, 0.2 - height) * 8
            score = 1 / (1 + math.exp(-logit))
            if visible < 0.12 or score < 0.1:
                continue
            base = outline if visible < 0.6 else box
            moved = [v + height * (j + rnd.gauss(0, 0.012)) for v, j in zip(base, person.jitter, strict=True)]
            found.append((clip((moved[0], moved[1], moved[2], moved[3])), score))
            if rnd.random() < 0.02:
                low = base[1] + (base[3] - base[1]) * rnd.uniform(0.4, 0.6)
                found.append((clip((base[0], base[1], base[2], low)), score * rnd.uniform(0.3, 0.9)))
        kept: list[tuple[Rect, float]] = []
        for box, score in sorted(found, key=lambda item: -item[1]):
            if area(box) > 1e-5 and all(overlap(box, other) < 0.6 for other, _ in kept):
                kept.append((box, score))
        return kept


def look_at(name: int, box: Rect, shade: list[Rect], full: Rect) -> Sight:
    """How much of a box the nearer ones leave in sight, on a grid of 6 x 12 points."""
    width, height = box[2] - box[0], box[3] - box[1]
    seen = []
    for i in range(6):
        for j in range(12):
            x, y = box[0] + width * (i + 0.5) / 6, box[1] + height * (j + 0.5) / 12
            if not any(s[0] < x < s[2] and s[1] < y < s[3] for s in shade):
                seen.append((x, y))
    if not seen:
        return Sight(name, box, 0.0, box)
    xs, ys = [x for x, _ in seen], [y for _, y in seen]
    dx, dy = width / 12, height / 24
    outline = (min(xs) - dx, min(ys) - dy, max(xs) + dx, max(ys) + dy)
    return Sight(name, box, len(seen) / 72 * min(1.0, area(box) / area(full) + 0.4), outline)


def clip(box: Rect) -> Rect:
    """The part inside the frame."""
    return tuple(min(max(v, 0.0), 1.0) for v in box)  # type: ignore[return-value]


def area(box: Rect) -> float:
    """Fraction of the frame."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def overlap(a: Rect, b: Rect) -> float:
    """Intersection over union."""
    shared = area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    return shared / max(area(a) + area(b) - shared, 1e-12)


def looks(scenario: Scenario, seed: int, seconds: float) -> Iterator[Look]:
    """The frames a tracker gets at the scenario's rate; the same world whatever that rate is."""
    world = World(scenario, seed)
    drops = random.Random(f"drops/{scenario}/{seed}")
    every = round(HZ / scenario.fps)
    for step in range(round(seconds * HZ)):
        world.step()
        truth = world.truth()
        found = world.detect(truth)
        if step % every == 0 and drops.random() >= scenario.dropped:
            yield Look(round(step * 1e6 / HZ), found, truth)
