"""What cameras show just now, over Redis: numbers, pictures, and which previews somebody looks at.

Worth nothing a minute later, so it is kept nowhere else: docs/adr/0009. Watchers post, pages read. A Redis
that is away or frozen disturbs neither: nothing is posted, and pages show that nothing is known.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import struct
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, cast

import redis
from flask import Flask
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from server.clock import Clock, SystemClock

log = logging.getLogger(__name__)

POST_SECONDS = 1.0
"""A worker process posts, and asks what is wanted, this often."""
NUMBERS_SECONDS = 10
SHOT_SECONDS = 3600
WANTED_SECONDS = 30
"""How long what is posted lasts in Redis."""
AWAY_SECONDS = 5.0
"""A Redis that did not answer is left alone for this long."""
_CONNECT_SECONDS, _ANSWER_SECONDS = 0.1, 0.2
"""What a page waits for at most: together 0.3 s."""
_PATIENCE_SECONDS = 2.0
"""The same for a worker's thread, which keeps nobody waiting."""
_NUMBERS, _SHOT, _WANTED = "hypersight:numbers:", "hypersight:shot:", "hypersight:previews"
_HEADER = struct.Struct("<BqHH")
"""In front of a shot's JPEG: version, microseconds since 1970, width, height."""
_SHOT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Numbers:
    """How one camera has fared over the last few seconds."""

    at_us: int
    """When they were taken, microseconds since 1970."""
    codec: str
    width: int
    height: int
    """Of the source, in pixels."""
    frames_in: float
    """Pictures a second that arrive …"""
    decoded: float
    """… that are decoded …"""
    analysed: float
    """… that are analysed, and …"""
    skipped: float
    """… that are left out because analysis is behind; normally 0."""
    kbps: float
    """Bitrate of the source, thousands of bits a second."""
    delay_s: float
    """From arrival to analysis done, seconds."""
    cpu: float
    """Share of the processor: 1.0 is one core."""
    occupancy: dict[int, int]
    """People there now by processor, for kinds that have an occupancy."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A camera's picture, masked, as JPEG, at most 1280 pixels wide. `ts_us`: when it was captured."""

    ts_us: int
    width: int
    height: int
    jpeg: bytes


class LiveBoard:
    """In a worker process: a thread that posts once a second and reads what is wanted.

    Everything but `start` and `close` only leaves something for that thread: cheap, and safe from any thread.
    """

    def __init__(self, redis_url: str, clock: Clock) -> None:
        self._redis = _client(redis_url, _PATIENCE_SECONDS, _PATIENCE_SECONDS)
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers: dict[int, Numbers] = {}
        self._shots: dict[int, Shot] = {}
        self._wanted: frozenset[int] = frozenset()
        self._wanted_at = clock.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)
        self._quiet = False
        self.errors = 0
        """Times that Redis did not take what was posted, so far."""

    def start(self) -> None:
        """Begin to post."""
        self._thread.start()

    def close(self) -> None:
        """Post no more. What was posted last runs out by itself."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(2 * _PATIENCE_SECONDS)
        self._redis.close()

    def post_numbers(self, camera_id: int, numbers: Numbers) -> None:
        """Show these from now on; only the latest are kept."""
        with self._lock:
            self._numbers[camera_id] = numbers

    def post_shot(self, camera_id: int, shot: Shot) -> None:
        """Show this picture from now on; only the latest is kept."""
        with self._lock:
            self._shots[camera_id] = shot

    def wanted_previews(self) -> frozenset[int]:
        """Processors whose preview somebody looks at, as known a second ago at most.

        While Redis is away, what was known last, for as long as a wish lasts.
        """
        with self._lock:
            known = self._clock.monotonic() - self._wanted_at <= WANTED_SECONDS
            return self._wanted if known else frozenset()

    def post(self) -> None:
        """Exchange everything with Redis once, in one round trip. Raises RedisError."""
        with self._lock:
            numbers, self._numbers = self._numbers, {}
            shots, self._shots = self._shots, {}
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                for id_, values in numbers.items():
                    pipe.set(f"{_NUMBERS}{id_}", _pack_numbers(values), ex=NUMBERS_SECONDS)
                for id_, shot in shots.items():
                    pipe.set(f"{_SHOT}{id_}", _pack_shot(shot), ex=SHOT_SECONDS)
                pipe.time()
                pipe.zrange(_WANTED, 0, -1, withscores=True)
                *_, (now, _us), wanted = pipe.execute()
        except RedisError:
            with self._lock:
                # Numbers of now would be wrong later; a picture is still the last one.
                self._shots = shots | self._shots
            raise
        with self._lock:
            self._wanted = frozenset(int(member) for member, until in wanted if until > now)
            self._wanted_at = self._clock.monotonic()

    def _run(self) -> None:
        pause = POST_SECONDS
        while not self._clock.wait(self._ended, pause):
            try:
                self.post()
            except (RedisError, OSError) as error:
                self.errors += 1
                if not self._quiet:
                    log.warning("live pictures and numbers are not shown: %s", type(error).__name__)
                self._quiet, pause = True, AWAY_SECONDS
            except Exception:
                # The edge of the thread: without it no camera of the process would be seen any more.
                self.errors += 1
                if not self._quiet:
                    log.exception("live pictures and numbers are not shown")
                self._quiet, pause = True, AWAY_SECONDS
            else:
                self._quiet, pause = False, POST_SECONDS


class LiveReader:
    """In the web process: what watchers posted. Safe to use from several threads.

    A Redis that does not answer costs one caller 0.3 s, and then nobody anything for some seconds.
    """

    def __init__(self, redis_url: str, clock: Clock | None = None) -> None:
        self._redis = _client(redis_url, _CONNECT_SECONDS, _ANSWER_SECONDS)
        self._clock = clock or SystemClock()
        self._shut_until = 0.0
        self._away = False

    @staticmethod
    def of(app: Flask) -> LiveReader:
        """That of an application: one a process."""
        reader = app.extensions.get("hypersight.live")
        if reader is None:
            reader = app.extensions.setdefault(
                "hypersight.live", LiveReader(app.extensions["hypersight"].REDIS_URL)
            )
        return cast(LiveReader, reader)

    @property
    def away(self) -> bool:
        """Whether Redis did not answer when it was asked last."""
        return self._away

    def numbers(self, camera_ids: Collection[int]) -> dict[int, Numbers]:
        """Of those cameras that are being watched, by camera. One round trip."""
        ids = list(camera_ids)
        if not ids:
            return {}
        found = self._ask(lambda: self._redis.mget([f"{_NUMBERS}{id_}" for id_ in ids]), [])
        read = ((id_, _unpack_numbers(value)) for id_, value in zip(ids, found, strict=False))
        return {id_: numbers for id_, numbers in read if numbers is not None}

    def shot(self, camera_id: int) -> Shot | None:
        """The camera's last picture of this hour."""
        found = self.shot_and_age(camera_id)
        return found[0] if found is not None else None

    def shot_and_age(self, camera_id: int) -> tuple[Shot, float] | None:
        """The same, and how long ago it was posted, in seconds.

        By Redis's own clock: what the picture says of its time may lag behind, as that of an HLS stream does.
        """

        def ask() -> list[Any]:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.get(f"{_SHOT}{camera_id}")
                pipe.pttl(f"{_SHOT}{camera_id}")
                return pipe.execute()

        value, left_ms = self._ask(ask, [None, 0])
        shot = _unpack_shot(value)
        return None if shot is None else (shot, max(0.0, SHOT_SECONDS - left_ms / 1000))

    def shot_times(self, camera_ids: Collection[int]) -> dict[int, int]:
        """When the last picture of each camera was captured, microseconds since 1970, by camera."""
        ids = list(camera_ids)

        def ask() -> list[Any]:
            with self._redis.pipeline(transaction=False) as pipe:
                for id_ in ids:
                    pipe.getrange(f"{_SHOT}{id_}", 0, _HEADER.size - 1)
                return pipe.execute()

        found = self._ask(ask, []) if ids else []
        read = ((id_, _unpack_shot(value)) for id_, value in zip(ids, found, strict=False))
        return {id_: shot.ts_us for id_, shot in read if shot is not None}

    def want_preview(self, processor_id: int) -> None:
        """Somebody looks at this processor's preview: good for 30 s."""

        def ask() -> None:
            now = self._redis.time()[0]
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.zremrangebyscore(_WANTED, "-inf", now)
                pipe.zadd(_WANTED, {str(processor_id): now + WANTED_SECONDS})
                pipe.expire(_WANTED, 2 * WANTED_SECONDS)
                pipe.execute()

        self._ask(ask, None)

    def _ask(self, question: Callable[[], Any], nothing: Any) -> Any:
        """The answer, or `nothing` where Redis is away. One caller at a time finds out that it is back."""
        now = self._clock.monotonic()
        if self._away:
            if now < self._shut_until:
                return nothing
            self._shut_until = now + AWAY_SECONDS
        try:
            answer = question()
        except (RedisError, OSError) as error:
            if not self._away:
                log.warning("nothing is known of what cameras show: %s", type(error).__name__)
            self._away, self._shut_until = True, self._clock.monotonic() + AWAY_SECONDS
            return nothing
        self._away = False
        return answer


def _client(url: str, connect: float, answer: float) -> redis.Redis:
    """No retries of the library's own: they would add up behind its back."""
    return redis.Redis.from_url(
        url,
        socket_timeout=answer,
        **({} if url.startswith("unix://") else {"socket_connect_timeout": connect}),
        retry=Retry(NoBackoff(), 0),
    )


def _pack_numbers(numbers: Numbers) -> str:
    return json.dumps(dataclasses.asdict(numbers), separators=(",", ":"))


def _unpack_numbers(value: bytes | None) -> Numbers | None:
    """None where there are none, or those of another version of this program."""
    if value is None:
        return None
    try:
        values = json.loads(value)
        values["occupancy"] = {int(id_): int(count) for id_, count in values["occupancy"].items()}
        return Numbers(**values)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _pack_shot(shot: Shot) -> bytes:
    return _HEADER.pack(_SHOT_VERSION, shot.ts_us, shot.width, shot.height) + shot.jpeg


def _unpack_shot(value: bytes | None) -> Shot | None:
    if not value or len(value) < _HEADER.size or value[0] != _SHOT_VERSION:
        return None
    _, ts_us, width, height = _HEADER.unpack_from(value)
    return Shot(ts_us, width, height, value[_HEADER.size :])
