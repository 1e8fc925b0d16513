"""The private servers of the tests do what tests rely on."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from tests.servers import MariaDb, PostgreSql, PrivateServer, Redis


@pytest.fixture(scope="module", params=[MariaDb, PostgreSql], ids=["mariadb", "postgresql"])
def database_server(request: pytest.FixtureRequest) -> Iterator[MariaDb | PostgreSql]:
    with request.param() as server:
        yield server


def _sql(server: MariaDb | PostgreSql, *statements: str) -> list[int]:
    """Run these on a connection of their own; the rows of the last."""
    engine = create_engine(server.address)
    try:
        with engine.begin() as connection:
            for statement in statements[:-1]:
                connection.execute(text(statement))
            result = connection.execute(text(statements[-1]))
            return list(result.scalars()) if result.returns_rows else []
    finally:
        engine.dispose()


@pytest.mark.parametrize("end", [PrivateServer.stop, PrivateServer.kill], ids=["stopped", "killed"])
def test_a_database_comes_back_on_its_port_with_its_data(
    database_server: MariaDb | PostgreSql, end: Callable[[PrivateServer], None]
) -> None:
    _sql(database_server, "CREATE TABLE kept (n INTEGER)", "INSERT INTO kept VALUES (7)")
    port = database_server.port
    end(database_server)
    assert not database_server.running
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)
    database_server.start()
    assert database_server.port == port
    assert _sql(database_server, "SELECT n FROM kept") == [7]
    _sql(database_server, "DROP TABLE kept")


def test_a_stop_cuts_clients_off(database_server: MariaDb | PostgreSql) -> None:
    engine = create_engine(database_server.address)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        database_server.stop()
        with pytest.raises(DBAPIError) as caught:
            connection.execute(text("SELECT 1"))
        assert caught.value.connection_invalidated
    engine.dispose()
    database_server.start()


def test_a_frozen_database_accepts_and_says_nothing_until_it_goes_on(
    database_server: MariaDb | PostgreSql,
) -> None:
    database_server.freeze()
    with socket.create_connection(("127.0.0.1", database_server.port), 5) as connection:
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    database_server.thaw()
    assert database_server.answers()


def test_a_frozen_database_can_be_killed(database_server: MariaDb | PostgreSql) -> None:
    database_server.freeze()
    database_server.kill()
    database_server.start()
    assert database_server.answers()


def test_only_so_many_are_let_in() -> None:
    with PostgreSql(connections=3) as server:
        held = [psycopg.connect(server._postgres) for _ in range(3)]
        with pytest.raises(psycopg.OperationalError, match="too many"):
            psycopg.connect(server._postgres)
        for connection in held:
            connection.close()


@pytest.mark.parametrize(("keeps", "left"), [(True, b"v"), (False, None)], ids=["kept", "empty"])
def test_redis_comes_back_with_or_without_its_data(keeps: bool, left: bytes | None) -> None:
    with Redis(keeps) as server:
        client = redis.Redis.from_url(server.address, socket_timeout=5)
        client.set("k", "v")
        server.kill()
        with pytest.raises(redis.ConnectionError):
            client.get("k")
        server.start()
        assert client.get("k") == left
        client.close()


@pytest.mark.parametrize("kind", [MariaDb, PostgreSql, Redis])
def test_nothing_is_left_after_a_failure(kind: type[PrivateServer]) -> None:
    with pytest.raises(KeyboardInterrupt), kind() as server:
        pids, directory = server._processes(), server._directory
        server.freeze()
        raise KeyboardInterrupt
    assert pids
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists() and os.getpgid(pid) == os.getpgid(0)]
    assert not directory.exists()


def test_a_start_that_fails_says_why_and_leaves_nothing() -> None:
    server = MariaDb()
    with socket.socket() as taken, pytest.raises(RuntimeError, match=r"(?s)did not start.*port"):
        taken.bind(("127.0.0.1", server.port))
        server.__enter__()
    assert not server._directory.exists()
