"""What a watcher does with its camera's settings, its source and its detector."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, select, update
from sqlalchemy.orm import Session

from server.models import Camera, Checkpoint, Lease, Processor
from tests.walks import BrightBlocks, make_walk
from tests.watchers.harness import START_US, FastClock, add_camera, events, spans, watch


@pytest.fixture
def engine(database: str) -> Engine:
    return create_engine(database)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_walk(tmp_path_factory.mktemp("clips") / "walk.mp4")


def _change(engine: Engine, camera_id: int, **values: object) -> None:
    with Session(engine) as session, session.begin():
        session.execute(
            update(Camera).where(Camera.id == camera_id).values(revision=Camera.revision + 1, **values)
        )


def _state(engine: Engine, camera_id: int) -> tuple[str, str]:
    with Session(engine) as session:
        row = session.get(Lease, camera_id)
        assert row is not None
        return row.state, row.reason


def test_a_file_is_watched_to_its_end_and_counted(engine: Engine, clip: Path, tmp_path: Path) -> None:
    camera = add_camera(engine, clip)
    state, _ = watch(engine, camera, tmp_path / "segments")
    stored = events(engine, camera)
    assert state == "ended"
    assert [(e[0], e[3]) for e in stored if e[0] != "room"] == [("line", "out"), ("exit", "out")] * 2
    assert [e[5] for e in stored if e[0] == "room"] == [1, 0, 1, 0]
    assert {span[3] for span in spans(engine, camera)} == {"end"}
    assert [span[2] for span in spans(engine, camera)] == pytest.approx([12.0] * 4)


def test_a_file_that_has_ended_is_not_counted_again(engine: Engine, clip: Path, tmp_path: Path) -> None:
    camera = add_camera(engine, clip)
    watch(engine, camera, tmp_path / "segments")
    before = events(engine, camera)
    state, reason = watch(engine, camera, tmp_path / "segments")
    assert (state, events(engine, camera)) == ("ended", before)
    assert "played to its end" in reason


def test_segments_are_deleted_once_they_are_analysed(engine: Engine, clip: Path, tmp_path: Path) -> None:
    camera = add_camera(engine, clip)
    there: list[int] = []
    files = tmp_path / "segments" / str(camera)
    watch(engine, camera, tmp_path / "segments", after=lambda _: there.append(len(list(files.glob("*.mp4")))))
    assert max(there) in (1, 2)
    assert list(files.glob("*.mp4")) == []


def test_switching_the_camera_off_ends_the_watcher_and_the_observation(
    engine: Engine, clip: Path, tmp_path: Path
) -> None:
    camera = add_camera(engine, clip)

    def off(commits: int) -> None:
        if commits == 5:
            _change(engine, camera, enabled=False)

    state, reason = watch(engine, camera, tmp_path / "segments", after=off)
    assert (state, reason) == ("stopped", "the camera is switched off")
    assert {span[3] for span in spans(engine, camera)} == {"disabled"}


def test_a_changed_processor_begins_anew_and_the_others_go_on(
    engine: Engine, clip: Path, tmp_path: Path
) -> None:
    camera = add_camera(engine, clip)

    def edit(commits: int) -> None:
        if commits == 6:
            with Session(engine) as session, session.begin():
                session.execute(
                    update(Processor).where(Processor.name == "exit").values(revision=Processor.revision + 1)
                )
            _change(engine, camera)

    watch(engine, camera, tmp_path / "segments", after=edit)
    by_name = [(name, ended) for name, _, _, ended in spans(engine, camera)]
    assert by_name.count(("exit", "changed")) == 1
    assert by_name.count(("exit", "end")) == 1
    assert by_name.count(("line", "end")) == by_name.count(("room", "end")) == 1


def test_a_detector_that_fails_leaves_a_gap_and_comes_back(
    engine: Engine, clip: Path, tmp_path: Path
) -> None:
    camera = add_camera(engine, clip)
    shown: list[tuple[str, str]] = []
    watch(
        engine,
        camera,
        tmp_path / "segments",
        detector=BrightBlocks(fails=4),
        after=lambda _: shown.append(_state(engine, camera)),
    )
    assert shown[0][0] == "blind"
    assert "out of sight" in shown[0][1]
    assert ("watching", "") in shown
    starts = {round(span[1], 1) for span in spans(engine, camera)}
    assert min(starts) == pytest.approx(0.8)


def test_a_missing_file_is_shown_and_found_when_it_comes(engine: Engine, clip: Path, tmp_path: Path) -> None:
    late = tmp_path / "late.mp4"
    camera = add_camera(engine, late)
    shown: list[tuple[str, str]] = []

    def after(commits: int) -> None:
        shown.append(_state(engine, camera))
        if commits == 3:
            late.write_bytes(clip.read_bytes())

    state, _ = watch(engine, camera, tmp_path / "segments", after=after)
    assert shown[0] == ("unreachable", "late.mp4: there is no such file")
    assert state == "ended"
    assert len(events(engine, camera)) >= 8


def test_stopping_leaves_everything_ready_to_go_on(engine: Engine, clip: Path, tmp_path: Path) -> None:
    camera, whole = (add_camera(engine, clip, name=name) for name in ("stopped", "whole"))
    stop, clock = threading.Event(), FastClock()
    state, _ = watch(
        engine,
        camera,
        tmp_path / "segments",
        stop=stop,
        clock=clock,
        after=lambda commits: stop.set() if commits == 7 else None,
    )
    assert state == "stopped"
    clock.advance(3)
    assert watch(engine, camera, tmp_path / "segments", clock=clock)[0] == "ended"
    watch(engine, whole, tmp_path / "segments")
    assert events(engine, camera) == events(engine, whole)


def test_a_drained_watcher_ends(engine: Engine, clip: Path, tmp_path: Path) -> None:
    camera = add_camera(engine, clip, loop=True)

    def drain(commits: int) -> None:
        if commits == 3:
            with Session(engine) as session, session.begin():
                session.execute(update(Lease).values(drain=True))

    assert watch(engine, camera, tmp_path / "segments", after=drain)[0] == "stopped"


def test_a_looped_file_left_alone_for_long_begins_a_new_observation(
    engine: Engine, clip: Path, tmp_path: Path
) -> None:
    camera = add_camera(engine, clip, loop=True)
    for begin in (START_US, START_US + 3_600_000_000):
        stop = threading.Event()
        watch(
            engine,
            camera,
            tmp_path / "segments",
            clock=FastClock(begin),
            stop=stop,
            after=lambda commits, stop=stop: stop.set() if commits == 4 else None,
        )
    starts = sorted({span[1] for span in spans(engine, camera)})
    assert starts == pytest.approx([0.0, 3600.0])
    assert {span[3] for span in spans(engine, camera) if span[1] == 0.0} == {"lost"}


def test_a_camera_that_is_too_slow_skips_and_the_skip_is_a_gap(
    engine: Engine, clip: Path, tmp_path: Path
) -> None:
    camera = add_camera(engine, clip, loop=True)
    stop, clock = threading.Event(), FastClock()

    class Slow(BrightBlocks):
        """Its first five looks take six seconds each."""

        looks = 0

        def detect(self, pictures):  # type: ignore[no-untyped-def]
            self.looks += 1
            if self.looks <= 5:
                clock.advance(6)
            return super().detect(pictures)

    watch(
        engine,
        camera,
        tmp_path / "segments",
        clock=clock,
        stop=stop,
        detector=Slow(),
        after=lambda commits: stop.set() if commits == 120 else None,
    )
    ended = {span[3] for span in spans(engine, camera)}
    assert "behind" in ended
    with Session(engine) as session:
        assert session.scalars(select(Lease.state)).one() == "stopped"
    last = max(span[2] for span in spans(engine, camera))
    assert (clock.now_us() - START_US) / 1e6 - last < 2.0


def test_a_damaged_checkpoint_starts_anew_and_leaves_nothing_behind(
    engine: Engine, clip: Path, tmp_path: Path
) -> None:
    camera, whole = (add_camera(engine, clip, name=name) for name in ("damaged", "whole"))
    stop = threading.Event()
    watch(
        engine,
        camera,
        tmp_path / "segments",
        stop=stop,
        after=lambda commits: stop.set() if commits == 3 else None,
    )
    with Session(engine) as session, session.begin():
        session.execute(update(Checkpoint).values(state=b"not what was written"))
    before = len(events(engine, camera))
    for id_ in (camera, whole):
        watch(engine, id_, tmp_path / "segments", clock=FastClock(START_US + 60_000_000))
    assert events(engine, camera)[before:] == events(engine, whole)
    assert "lost" in {span[3] for span in spans(engine, camera)}
