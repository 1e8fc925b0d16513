"""What watchers post and pages read, over a real Redis that is there, away or frozen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from flask import Flask
from redis.connection import AbstractConnection
from redis.exceptions import RedisError

from server.clock import SystemClock
from server.services.live import AWAY_SECONDS, WANTED_SECONDS, LiveBoard, LiveReader, Numbers, Shot
from tests.fleet import await_
from tests.private_redis import PrivateRedis
from tests.watchers.harness import FastClock

NUMBERS = Numbers(1_700_000_000_000_000, "h264", 1920, 1080, 25.0, 12.5, 5.0, 0.0, 2100.5, 0.4, 0.3, {7: 2})
SHOT = Shot(1_700_000_000_000_001, 1280, 720, b"\xff\xd8 a picture \xff\xd9")


@pytest.fixture(scope="module")
def shared() -> Iterator[PrivateRedis]:
    with PrivateRedis() as made:
        yield made


@pytest.fixture
def server(shared: PrivateRedis) -> PrivateRedis:
    redis.Redis.from_url(shared.url).flushall()
    return shared


def _reader(server: PrivateRedis, clock: FastClock | None = None) -> LiveReader:
    return LiveReader(server.url, clock or FastClock())


def _board(server: PrivateRedis, clock: FastClock | None = None) -> LiveBoard:
    return LiveBoard(server.url, clock or FastClock())


def test_what_is_posted_is_read(server: PrivateRedis) -> None:
    board, reader = _board(server), _reader(server)
    board.post_numbers(1, NUMBERS)
    board.post_shot(1, SHOT)
    board.post()
    assert reader.numbers([1, 2]) == {1: NUMBERS}
    assert reader.shot(1) == SHOT
    assert reader.shot(2) is None
    assert reader.shot_times([1, 2]) == {1: SHOT.ts_us}
    assert reader.numbers([]) == reader.shot_times([]) == {}
    found = reader.shot_and_age(1)
    assert found is not None and 0 <= found[1] < 60


def test_only_the_latest_is_posted(server: PrivateRedis) -> None:
    board, reader = _board(server), _reader(server)
    board.post_shot(1, SHOT)
    later = Shot(SHOT.ts_us + 1, 640, 360, b"later")
    board.post_shot(1, later)
    board.post()
    assert reader.shot(1) == later


def test_everything_expires(server: PrivateRedis) -> None:
    board = _board(server)
    board.post_numbers(1, NUMBERS)
    board.post_shot(1, SHOT)
    board.post()
    _reader(server).want_preview(5)
    client = redis.Redis.from_url(server.url)
    left = {key.decode(): client.ttl(key) for key in client.keys("*")}
    assert set(left) == {"hypersight:numbers:1", "hypersight:shot:1", "hypersight:previews"}
    assert 0 < left["hypersight:numbers:1"] <= 10
    assert 10 < left["hypersight:shot:1"] <= 3600
    assert 30 < left["hypersight:previews"] <= 60


def test_a_preview_is_wanted_for_half_a_minute(server: PrivateRedis) -> None:
    board, reader = _board(server), _reader(server)
    assert board.wanted_previews() == frozenset()
    reader.want_preview(5)
    reader.want_preview(6)
    board.post()
    assert board.wanted_previews() == {5, 6}
    client = redis.Redis.from_url(server.url)
    client.zincrby("hypersight:previews", -WANTED_SECONDS - 1, 5)
    board.post()
    assert board.wanted_previews() == {6}
    reader.want_preview(7)
    assert client.zrange("hypersight:previews", 0, -1) == [b"6", b"7"], (
        "wishes that are over are cleared away"
    )


def test_many_cameras_are_read_in_one_round_trip(
    server: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    board, reader = _board(server), _reader(server)
    ids = list(range(1, 51))
    for id_ in ids:
        board.post_numbers(id_, NUMBERS)
        board.post_shot(id_, SHOT)
    board.post()
    reader.numbers([1])
    sent: list[object] = []
    send = AbstractConnection.send_packed_command

    def note(self: AbstractConnection, command: object, *args: object, **options: object) -> object:
        sent.append(command)
        return send(self, command, *args, **options)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", note)
    for read in (reader.numbers, reader.shot_times):
        sent.clear()
        assert len(read(ids)) == 50
        assert len(sent) == 1


def test_what_another_version_posted_is_nothing(server: PrivateRedis) -> None:
    client = redis.Redis.from_url(server.url)
    for id_, value in enumerate((b"{", b"[]", b'{"at_us":1,"occupancy":{}}', b'{"occupancy":3}'), 1):
        client.set(f"hypersight:numbers:{id_}", value)
    for id_, value in enumerate((b"", b"\x01", b"\x02" + bytes(40)), 1):
        client.set(f"hypersight:shot:{id_}", value)
    reader = _reader(server)
    assert reader.numbers([1, 2, 3, 4]) == {}
    assert reader.shot_times([1, 2, 3]) == {}
    assert [reader.shot(id_) for id_ in (1, 2, 3)] == [None] * 3


class _Counted(LiveReader):
    """Counts how often Redis is really asked."""

    asked = 0

    def _ask(self, question, nothing):  # type: ignore[no-untyped-def]
        def counting():  # type: ignore[no-untyped-def]
            self.asked += 1
            return question()

        return super()._ask(counting, nothing)


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_a_redis_that_is_away_is_asked_once_and_found_again(how: str) -> None:
    with PrivateRedis() as server:
        clock = FastClock()
        board, reader = _board(server, clock), _Counted(server.url, clock)
        board.post_shot(1, SHOT)
        board.post()
        assert reader.shot(1) == SHOT
        getattr(server, how)()
        reader.asked = 0
        assert [reader.shot(1) for _ in range(50)] == [None] * 50
        assert reader.numbers([1]) == reader.shot_times([1]) == {}
        reader.want_preview(1)
        assert reader.asked == 1
        clock.advance(AWAY_SECONDS + 1)
        assert reader.shot(1) is None
        assert reader.asked == 2
        server.start() if how == "kill" else server.thaw()
        clock.advance(AWAY_SECONDS + 1)
        board.post_shot(2, SHOT)
        board.post()
        assert reader.shot(2) == SHOT


def test_a_board_keeps_the_last_picture_while_redis_is_away() -> None:
    with PrivateRedis() as server:
        clock = FastClock()
        board, reader = _board(server, clock), _reader(server)
        reader.want_preview(5)
        board.post()
        server.kill()
        board.post_numbers(1, NUMBERS)
        board.post_shot(1, SHOT)
        board.post_shot(2, SHOT)
        with pytest.raises(RedisError):
            board.post()
        assert board.wanted_previews() == {5}, "nobody knows better"
        clock.advance(WANTED_SECONDS + 1)
        assert board.wanted_previews() == frozenset()
        newer = Shot(SHOT.ts_us + 5, 10, 10, b"newer")
        board.post_shot(1, newer)
        server.start()
        board.post()
        assert (reader.shot(1), reader.shot(2)) == (newer, SHOT)
        assert reader.numbers([1]) == {}, "numbers of then say nothing of now"


def test_the_thread_posts_by_itself_and_survives_an_outage() -> None:
    with PrivateRedis() as server:
        board, reader = LiveBoard(server.url, SystemClock()), _reader(server)
        board.start()
        board.post_shot(1, SHOT)
        await_(lambda: reader.shot(1) == SHOT, 10)
        server.kill()
        board.post_shot(2, SHOT)
        await_(lambda: board.errors, 10)
        server.start()
        again = _reader(server)
        await_(lambda: again.shot(2) == SHOT, 20)
        board.close()


def test_an_application_has_one_reader(app: Flask) -> None:
    assert LiveReader.of(app) is LiveReader.of(app)
