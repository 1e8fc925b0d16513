"""A part that ends its worker is begun twice, then left out with its gap; the camera goes on after it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from server.domain.video import TICKS_PER_SECOND, Packet, Part, VideoFormat
from server.models import Lease
from server.services.analysis import Analysis, Outcome
from server.watchers.suspicion import LEAVE_OUT_TICKS, Suspicion
from tests.walks import SECONDS, make_walk
from tests.watchers.harness import START_US, FastClock, add_camera, expire_leases, spans, watch

POISON_S = 5.0
"""Seconds into the clip at which the poisoned part is."""


@pytest.fixture
def engine(database: str) -> Engine:
    return create_engine(database)


def poisoned(address: str, camera_id: int, segments: Path, now_us: int, kills: bool) -> None:
    """Watch in this process, which a certain part kills, or in which it raises what nobody expects."""
    feed = Analysis.feed

    def feed_or_die(self: Analysis, part: Part) -> Outcome:
        if part.start <= POISON_S * TICKS_PER_SECOND < part.end:
            if kills:
                os.kill(os.getpid(), signal.SIGKILL)
            raise ZeroDivisionError("somewhere in a library")
        return feed(self, part)

    Analysis.feed = feed_or_die  # type: ignore[method-assign]
    watch(create_engine(address), camera_id, segments, clock=FastClock(now_us))


def _strikes(engine: Engine, camera_id: int) -> int:
    with Session(engine) as session:
        row = session.get(Lease, camera_id)
        assert row is not None
        return row.strikes


@pytest.mark.parametrize(("kills", "code"), [(True, -signal.SIGKILL), (False, 1)], ids=["kills", "raises"])
def test_the_part_is_left_out_after_two_ends_and_the_rest_is_watched(
    engine: Engine, database: str, tmp_path: Path, kills: bool, code: int
) -> None:
    camera = add_camera(engine, make_walk(tmp_path / "walk.mp4", keyframe_every=20))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.watchers.harness"])
    codes: list[int | None] = []
    while not codes or codes[-1] != 0:
        assert len(codes) < 4, "it is never left out"
        child = context.Process(
            target=poisoned,
            args=(database, camera, tmp_path / "s", START_US + len(codes) * 12_000_000, kills),
        )
        child.start()
        child.join(60)
        codes.append(child.exitcode)
        expire_leases(engine)

    assert codes == [code, code, 0]
    seen = sorted({span[1:] for span in spans(engine, camera)})
    assert [ended for *_, ended in seen] == ["quarantined", "end"]
    (_, gap_from, _), (gap_to, end, _) = seen
    assert gap_from == pytest.approx(POISON_S, abs=0.51)
    assert 0.2 < gap_to - gap_from < 3
    assert end == pytest.approx(SECONDS)
    assert _strikes(engine, camera) == 0, "it ended in order"


def _part(start_s: float, independent: bool = False) -> Part:
    packet = Packet(int(start_s * 90_000), int(start_s * 90_000), 3_600, independent, b"x")
    return Part((packet,), VideoFormat("h264", b"", 64, 48), START_US, independent, independent)


def test_suspects_of_a_process_begin_one_at_a_time() -> None:
    marks: list[int] = []
    one, other = (Suspicion(1, True, marks.append) for _ in range(2))
    assert one.begin()
    assert not other.begin()
    one.lift()
    assert other.begin()
    other.lift()
    assert marks == [2, 2]


def test_an_attempt_that_ends_in_order_is_no_strike() -> None:
    marks: list[int] = []
    suspicion = Suspicion(1, True, marks.append)
    suspicion.begin()
    suspicion.end()
    assert marks == [2, 1]
    again = Suspicion(1, True, marks.append)
    assert again.begin(), "the place of the lone suspect is free again"
    again.lift()


def test_a_mark_that_cannot_be_stored_frees_the_place() -> None:
    def refuse(strikes: int) -> None:
        raise RuntimeError("away")

    with pytest.raises(RuntimeError):
        Suspicion(1, True, refuse).begin()
    other = Suspicion(1, True, lambda strikes: None)
    assert other.begin()
    other.lift()


def test_live_cameras_are_no_suspects_before_the_second_time() -> None:
    marks: list[int] = []
    one, other = (Suspicion(1, False, marks.append) for _ in range(2))
    assert one.begin() and other.begin()
    assert not one.condemned
    one.lift()
    other.lift()


def test_a_camera_that_ends_its_worker_again_and_again_is_left_alone_ever_longer() -> None:
    pauses = [Suspicion(strikes, False, lambda n: n).pause for strikes in range(10)]
    assert pauses[:6] == [0, 0, 0, 15, 60, 240]
    assert pauses[-1] == 3600


@pytest.mark.parametrize("keyframe_at", [2.0, None])
def test_what_is_left_out_goes_to_the_next_keyframe_but_not_for_ever(keyframe_at: float | None) -> None:
    suspicion = Suspicion(2, True, lambda strikes: None)
    left = 0.0
    while suspicion.passes_over(_part(left, left == keyframe_at)):
        left += 0.5
    assert left == (keyframe_at or LEAVE_OUT_TICKS / TICKS_PER_SECOND)
    assert not suspicion.passes_over(_part(left + 0.5))
