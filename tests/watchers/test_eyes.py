"""What a watcher shows and keeps beside events: shots, numbers, pictures of events, masks taking effect."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest
from sqlalchemy import Engine, create_engine, select, update
from sqlalchemy.orm import Session

from server.clock import SystemClock
from server.config import Settings, load_settings
from server.domain.detections import Detections
from server.domain.video import Picture, datetime_to_us
from server.errors import StorageError
from server.models import Camera, CameraShot, Lease, Processor, ProcessorEvent
from server.services.crops import crop_path
from server.services.live import LiveReader
from server.watchers import store
from server.watchers.eyes import Eyes
from server.watchers.showing import Showing
from tests.databases import every_database
from tests.fleet import await_
from tests.private_redis import PrivateRedis
from tests.walks import HEIGHT, WIDTH, BrightBlocks, make_walk
from tests.watchers.harness import START_US, FastClock, add_camera, events, expire_leases, watch
from tests.watchers.test_ledger import _watch as watch_through_outage

LEFT_HALF = [[[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]]


@pytest.fixture
def engine(database: str) -> Engine:
    return create_engine(database)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_walk(tmp_path_factory.mktemp("clips") / "walk.mp4")


@pytest.fixture(scope="module")
def redis() -> Iterator[PrivateRedis]:
    with PrivateRedis() as made:
        yield made


@pytest.fixture
def showing(engine: Engine, redis: PrivateRedis, tmp_path: Path) -> Iterator[Showing]:
    values = {"SECRET_KEY": "0123456789abcdef", "REDIS_URL": redis.url}
    made = Showing(engine, load_settings(tmp_path, values), SystemClock())
    made.start()
    yield made
    made.close()


def _settings(tmp_path: Path) -> Settings:
    return load_settings(tmp_path, {"SECRET_KEY": "0123456789abcdef", "NODE_NAME": "here"})


def _rows(engine: Engine, camera: int) -> list[ProcessorEvent]:
    with Session(engine, expire_on_commit=False) as session:
        rows = session.scalars(
            select(ProcessorEvent)
            .join(Processor)
            .where(Processor.camera_id == camera)
            .order_by(ProcessorEvent.ts)
        ).all()
        return list(rows)


def _crop(tmp_path: Path, camera: int, event: ProcessorEvent) -> Picture | None:
    path = crop_path(_settings(tmp_path), camera, event.ts, event.processor_id, event.key)
    if not path.exists():
        return None
    picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture, np.uint8)


def test_shots_and_numbers_are_shown_and_the_last_picture_stays(
    engine: Engine, clip: Path, tmp_path: Path, showing: Showing, redis: PrivateRedis
) -> None:
    camera = add_camera(engine, clip)
    watch(engine, camera, tmp_path / "segments", showing=showing)
    reader = LiveReader(redis.url)

    def is_last() -> bool:
        numbers, shot = reader.numbers([camera]).get(camera), reader.shot(camera)
        return bool(
            numbers and shot and numbers.at_us > START_US + 10_900_000 and shot.ts_us > START_US + 9_000_000
        )

    await_(is_last, 10)
    numbers = reader.numbers([camera])[camera]
    assert (numbers.codec, numbers.width, numbers.height) == ("h264", WIDTH, HEIGHT)
    assert numbers.frames_in == pytest.approx(10, abs=1.5)
    assert numbers.analysed == pytest.approx(5, abs=1)
    assert 5 <= numbers.decoded <= 10.5
    assert numbers.skipped == 0
    assert numbers.kbps > 1
    assert numbers.cpu > 0
    with Session(engine) as session:
        room = session.scalars(select(Processor.id).where(Processor.name == "room")).one()
    assert numbers.occupancy == {room: 0}
    shot = reader.shot(camera)
    assert shot is not None
    picture = cv2.imdecode(np.frombuffer(shot.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None and picture.shape[1::-1] == (shot.width, shot.height) == (WIDTH, HEIGHT)
    assert showing.flush(10)
    with Session(engine) as session:
        row = session.get(CameraShot, camera)
        assert row is not None
        assert (row.jpeg, datetime_to_us(row.ts)) == (shot.jpeg, shot.ts_us)


def test_a_database_that_refuses_a_picture_gets_it_later(
    engine: Engine, clip: Path, tmp_path: Path, showing: Showing, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = threading.Event()
    calls: list[int] = []

    def refuse_first(engine: Engine, camera_id: int, shot: object) -> None:
        calls.append(camera_id)
        if len(calls) == 1:
            raise StorageError("the database does not answer: gone")
        stored.set()

    monkeypatch.setattr("server.watchers.showing.store_shot", refuse_first)
    monkeypatch.setattr("server.watchers.showing.AGAIN_SECONDS", 0.2)
    camera = add_camera(engine, clip)
    watch(engine, camera, tmp_path / "segments", showing=showing)
    assert stored.wait(10)
    assert set(calls) == {camera}
    assert showing.errors == 1
    assert len(events(engine, camera)) == 8


@every_database
def test_every_event_has_its_picture(engine: Engine, clip: Path, tmp_path: Path) -> None:
    camera = add_camera(engine, clip)
    watch(engine, camera, tmp_path / "segments")
    rows = _rows(engine, camera)
    assert len(rows) == 8
    for event in rows:
        assert event.crop_node == "here"
        picture = _crop(tmp_path, camera, event)
        assert picture is not None
        if event.track is None:
            assert picture.shape[1::-1] == (WIDTH, HEIGHT)
        else:
            high, wide = picture.shape[:2]
            assert wide < WIDTH / 2, "the track's surroundings, not the whole picture"
            # Whoever is about to leave is cut by the border: some of them is in the picture anyway.
            assert picture.max() > 180, (event.zone, event.ts)
            assert picture[: max(1, high // 10), :, 0].mean() < 100, "there is a margin around them"


class _Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


def test_a_repeated_part_writes_the_same_files(
    engine: Engine, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = add_camera(engine, clip)
    clock = FastClock()
    commits = 0

    def die(*_: object) -> None:
        nonlocal commits
        commits += 1
        if commits in (6, 8):
            raise _Killed

    # After the pictures have been written, before the transaction is committed.
    monkeypatch.setattr("server.watchers.store._keep_checkpoint", _before(die))
    for _ in range(2):
        with pytest.raises(_Killed):
            watch(engine, camera, tmp_path / "segments", clock=clock)
        expire_leases(engine)
    watch(engine, camera, tmp_path / "segments", clock=clock)
    rows = _rows(engine, camera)
    assert len(rows) == 8
    files = sorted((tmp_path / "crops").rglob("*"))
    assert len([path for path in files if path.is_file()]) == 8
    assert all(event.crop_node == "here" and _crop(tmp_path, camera, event) is not None for event in rows)


def _before(call):  # type: ignore[no-untyped-def]
    keep = store._keep_checkpoint

    def both(*args: object) -> None:
        keep(*args)  # type: ignore[arg-type]
        call()

    return both


def test_what_is_held_back_keeps_its_picture(engine: Engine, clip: Path, tmp_path: Path) -> None:
    camera = add_camera(engine, clip)
    watch_through_outage(engine, camera, tmp_path, (0.9, 9.0), settings={"NODE_NAME": "there"})
    rows = _rows(engine, camera)
    assert len(rows) == 8
    assert {event.crop_node for event in rows} == {"there"}


def test_no_pictures_are_made_where_none_are_wanted(engine: Engine, clip: Path, tmp_path: Path) -> None:
    camera = add_camera(engine, clip)
    watch(engine, camera, tmp_path / "segments", CROPS_KEEP_DAYS=0)
    assert {event.crop_node for event in _rows(engine, camera)} == {None}
    assert not (tmp_path / "crops").exists()


def test_a_disk_that_refuses_stops_nothing_and_is_told(engine: Engine, tmp_path: Path) -> None:
    clip = make_walk(tmp_path / "walks.mp4", seconds=22, walks=((1.0, 4.0), (17.0, 20.0)))
    camera = add_camera(engine, clip)
    (tmp_path / "crops").write_text("not a directory")
    told: list[str] = []

    def look(_: int) -> None:
        with Session(engine) as session:
            told.append(session.scalars(select(Lease.reason)).one())

    def mend(commits: int) -> None:
        look(commits)
        if commits == 10:
            (tmp_path / "crops").unlink()

    watch(engine, camera, tmp_path / "segments", after=mend)
    rows = _rows(engine, camera)
    assert len(rows) == 8
    assert rows[0].crop_node is None
    assert rows[-1].crop_node == "here"
    assert _crop(tmp_path, camera, rows[-1]) is not None
    assert any("CROPS_DIR takes no pictures of events" in reason for reason in told)
    assert "CROPS_DIR" in told[20], "nothing has been tried since"
    assert "CROPS_DIR" not in told[-2], "it is well again"


class _Recording(BrightBlocks):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Picture] = []

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        self.seen += [picture.copy() for picture in pictures]
        return super().detect(pictures)


def test_masks_that_change_take_effect_without_connecting_anew(
    engine: Engine, tmp_path: Path, showing: Showing, redis: PrivateRedis
) -> None:
    clip = make_walk(tmp_path / "walks.mp4", seconds=8, walks=((0.0, 4.0), (4.0, 8.0)))
    camera = add_camera(engine, clip)
    seer = _Recording()
    at: list[int] = []

    def hide(commits: int) -> None:
        if commits == 5:
            at.append(len(seer.seen))
            with Session(engine) as session, session.begin():
                session.execute(
                    update(Camera)
                    .where(Camera.id == camera)
                    .values(revision=Camera.revision + 1, masks=LEFT_HALF)
                )

    watch(engine, camera, tmp_path / "segments", detector=seer, after=hide, showing=showing)
    left = [picture[:, : WIDTH // 2].max() for picture in seer.seen]
    assert max(left[: at[0]]) > 180
    # The next part's commit tells of the change: what comes after it is masked.
    after = at[0] + 3
    assert max(left[after:]) == 0
    assert max(picture[:, WIDTH // 2 + 4 :].max() for picture in seer.seen[after:]) > 180
    with Session(engine) as session:
        connections = session.scalars(select(Lease.fence)).all()
        assert connections == [1]
        assert showing.flush(10)
        row = session.get(CameraShot, camera)
        assert row is not None
        kept = cv2.imdecode(np.frombuffer(row.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert kept is not None and kept[:, : WIDTH // 2 - 4].max() < 12


def test_masks_that_cannot_be_read_hide_everything(engine: Engine, clip: Path, tmp_path: Path) -> None:
    camera = add_camera(engine, clip, masks=[[[0, 0], [1, 1]]])
    seer = _Recording()
    watch(engine, camera, tmp_path / "segments", detector=seer)
    assert max(picture.max() for picture in seer.seen) == 0
    with Session(engine) as session:
        reasons = session.scalars(select(Lease.reason)).all()
    assert events(engine, camera) == []
    assert reasons == ["the file has been played to its end"]


def test_names_of_pictures_come_from_the_event(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    ts = datetime(2026, 3, 27, 23, 30, tzinfo=timezone(timedelta(hours=-2)))
    path = crop_path(settings, 3, ts, 7, "1.2.zone1")
    digest = hashlib.sha1(b"1.2.zone1").hexdigest()[:16]
    assert path == tmp_path / "crops" / "3" / "20260328" / f"7-{digest}.jpg"


def test_what_fails_while_looking_on_is_left_out_and_tried_again(
    engine: Engine, clip: Path, tmp_path: Path, showing: Showing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every part of it fails for a while: the events are those of a camera that nobody looks at."""
    calm = add_camera(engine, clip, name="calm")
    watch(engine, calm, tmp_path / "segments")
    made: list[Eyes] = []
    usual = Eyes.__init__

    def remember(self: Eyes, *args: object) -> None:
        usual(self, *args)  # type: ignore[arg-type]
        made.append(self)

    def fail(*_: object) -> None:
        raise RuntimeError("no eyes today")

    monkeypatch.setattr(Eyes, "__init__", remember)
    monkeypatch.setattr("server.watchers.eyes.AGAIN_SECONDS", 2.0)
    for where in ("eyes.ShotMaker.frame", "crop_keeper.CropKeeper.saw", "eyes.PreviewControl.tick"):
        monkeypatch.setattr(f"server.watchers.{where}", fail)
    camera = add_camera(engine, clip)
    attached: list[tuple[int, bool]] = []

    def look(commits: int) -> None:
        onlookers = made[-1]._analysis.onlookers
        attached.append((len(onlookers.viewers), onlookers.witness is not None))
        if commits == 10:
            monkeypatch.undo()

    watch(engine, camera, tmp_path / "segments", showing=showing, after=look)
    assert events(engine, camera) == events(engine, calm)
    (eyes,) = made
    assert eyes.errors >= 2, "what is asked here is asked again after a while"
    assert eyes._analysis.onlookers.errors >= 4, "and so is who looks on"
    assert attached[2] == (1, False)
    assert attached[-1] == (2, True)
    assert _rows(engine, camera)[-1].crop_node == "here"
