"""However a database goes away, services say so in words, soon, and work again once it is back."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pymysql
import pytest
from flask import Flask
from sqlalchemy import Update, create_engine, insert, select, text, update
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool, QueuePool

from server import create_app
from server.errors import StorageError
from server.extensions import db
from server.models import User, base, connections
from server.models.connections import PATIENT_OPTION, engine_options
from server.services import storage_errors
from server.services.transactions import translated, writing
from tests.conftest import AppMaker
from tests.databases import SECRET, every_database, migrate
from tests.disks import SmallDisk, small_disk
from tests.servers import MariaDb, PostgreSql, PrivateServer

__all__ = ["small_disk"]

SERVERS = {"mariadb": MariaDb, "postgresql": PostgreSql}
SOON = 6.0


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MariaDb | PostgreSql]:
    """A migrated database on a server of our own."""
    with SERVERS[request.param](connections=12) as server:
        migrate(tmp_path_factory.mktemp("instance"), server.address)
        yield server


@pytest.fixture
def engine(server: MariaDb | PostgreSql, instance: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The application's engine on `server`, less patient than in earnest; `server` is up at the end."""
    monkeypatch.setattr(connections, "GREETING_SECONDS", 2)
    monkeypatch.setattr(connections, "STATEMENT_SECONDS", 2)
    app = create_app(instance, {"SECRET_KEY": SECRET, "SQLALCHEMY_DATABASE_URI": server.address})
    with app.app_context():
        yield db.engine
        server.thaw()
        if not server.running:
            server.start()
        with writing() as session:
            session.query(User).delete()
        db.engine.dispose()


def _add(session: Session, name: str) -> None:
    session.execute(insert(User).values(name=name, password_hash="x"))


def _names(engine: Engine) -> list[str]:
    with translated(), Session(engine) as session:
        return list(session.scalars(select(User.name).order_by(User.name)))


@contextmanager
def refused(words: str = storage_errors.AWAY) -> Iterator[None]:
    """What is done inside must end soon, in a StorageError of these words and no others."""
    begun = time.monotonic()
    with pytest.raises(StorageError) as caught:
        yield
    assert time.monotonic() - begun < SOON
    assert str(caught.value) == words
    assert caught.value.retryable


class TestServers:
    def test_killed_in_the_middle_of_a_transaction(self, server: PrivateServer, engine: Engine) -> None:
        with refused(), writing(engine) as session:
            _add(session, "lost")
            server.kill()
            _add(session, "lost too")
        server.start()
        with writing(engine) as session:
            _add(session, "kept")
        assert _names(engine) == ["kept"]

    def test_killed_before_the_commit(self, server: PrivateServer, engine: Engine) -> None:
        with refused(), writing(engine) as session:
            _add(session, "lost")
            server.kill()
        server.start()
        assert _names(engine) == []

    def test_restarted_between_two_transactions(self, server: PrivateServer, engine: Engine) -> None:
        assert _names(engine) == []
        server.stop()
        server.start()
        assert _names(engine) == [], "a connection that died in the pool is not noticed by anybody"

    def test_stopped_in_the_middle_of_a_transaction(self, server: PrivateServer, engine: Engine) -> None:
        with refused(), writing(engine) as session:
            _add(session, "lost")
            server.stop()
            _add(session, "lost too")

    def test_nobody_listens(self, server: PrivateServer, engine: Engine) -> None:
        server.stop()
        with refused():
            _names(engine)

    def test_frozen_with_connections_in_the_pool(self, server: PrivateServer, engine: Engine) -> None:
        assert _names(engine) == []
        server.freeze()
        with refused():
            _names(engine)
        server.thaw()
        assert _names(engine) == []

    def test_frozen_in_the_middle_of_a_transaction(self, server: PrivateServer, engine: Engine) -> None:
        with refused(), writing(engine) as session:
            _add(session, "lost")
            server.freeze()
            _add(session, "lost too")
        server.thaw()
        with writing(engine) as session:
            _add(session, "kept")
        assert _names(engine) == ["kept"]

    def test_too_many_connections(self, server: MariaDb | PostgreSql, engine: Engine) -> None:
        others = create_engine(server.address, poolclass=NullPool)
        with ExitStack() as held:
            with pytest.raises(DBAPIError):
                for _ in range(40):
                    held.enter_context(others.connect())
            with refused(storage_errors.CROWDED):
                _names(engine)
        assert _names(engine) == []

    def test_wrong_name_of_the_database_or_password(self, server: MariaDb | PostgreSql) -> None:
        address = server.address.replace("/hypersight", "/other").replace("root@", "somebody:hunter2@")
        wrong = create_engine(address, **engine_options(address))
        with refused(storage_errors.REFUSED):
            _names(wrong)

    def test_two_that_wait_for_each_other(self, engine: Engine) -> None:
        with writing(engine) as session:
            _add(session, "a")
            _add(session, "b")
        both_hold_one = threading.Barrier(2, timeout=SOON)
        said: list[str] = []

        def change(*names: str) -> None:
            try:
                with writing(engine) as session:
                    session.execute(_deactivated(names[0]))
                    both_hold_one.wait()
                    session.execute(_deactivated(names[1]))
            except StorageError as error:
                said.append(str(error))

        threads = [threading.Thread(target=change, args=names) for names in (("a", "b"), ("b", "a"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SOON)
        assert said == [storage_errors.BUSY]

    def test_a_row_that_another_holds(self, server: MariaDb | PostgreSql, engine: Engine) -> None:
        with writing(engine) as session:
            _add(session, "a")
        less = "innodb_lock_wait_timeout = 1" if isinstance(server, MariaDb) else "lock_timeout = '200ms'"
        with writing(engine) as holder:
            holder.execute(_deactivated("a"))
            with refused(storage_errors.BUSY), writing(engine) as session:
                session.execute(text(f"SET SESSION {less}"))
                session.execute(_deactivated("a"))

    def test_read_only(self, server: MariaDb | PostgreSql, engine: Engine) -> None:
        setting = "tx_read_only" if isinstance(server, MariaDb) else "default_transaction_read_only"
        with engine.connect() as connection:
            connection.execute(text(f"SET SESSION {setting} = 1"))
            connection.commit()
            with refused(storage_errors.READ_ONLY), translated():
                connection.execute(text("DELETE FROM users"))
            connection.invalidate()

    def test_only_what_says_so_may_take_long(
        self, server: MariaDb | PostgreSql, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connections, "STATEMENT_SECONDS", 1)
        long = text("SELECT SLEEP(1.5)" if isinstance(server, MariaDb) else "SELECT pg_sleep(1.5)")
        with refused(), translated(), engine.connect() as connection:
            connection.execute(long)
        with engine.execution_options(**{PATIENT_OPTION: True}).connect() as connection:
            connection.execute(long)


def test_an_outage_is_noticed_within_ten_seconds() -> None:
    ping_and_connect = 2 * connections.GREETING_SECONDS
    assert max(ping_and_connect, connections.STATEMENT_SECONDS) <= 10
    assert connections._LOCK_SECONDS < connections.STATEMENT_SECONDS, (
        "or a held row would look like an outage"
    )


def _deactivated(name: str) -> Update:
    return update(User).where(User.name == name).values(active=False)


class TestSqlite:
    def test_locked_for_longer_than_its_patience(
        self, make_app: AppMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(base, "BUSY_MS", 100)
        with make_app().app_context(), writing() as holder:
            _add(holder, "a")
            with refused(storage_errors.BUSY), writing() as session:
                _add(session, "b")

    def test_read_only(self, make_app: AppMaker, database: str) -> None:
        path = database.removeprefix("sqlite:///")
        app = make_app(SQLALCHEMY_DATABASE_URI=f"sqlite:///file:{path}?mode=ro&uri=true")
        with app.app_context():
            assert _names(db.engine) == []
            with refused(storage_errors.READ_ONLY), writing() as session:
                _add(session, "a")

    def test_its_directory_is_gone(self, make_app: AppMaker, tmp_path: Path) -> None:
        app = make_app(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/none/such.db")
        with app.app_context(), refused():
            _names(db.engine)

    def test_it_is_no_database(self, make_app: AppMaker, tmp_path: Path) -> None:
        (tmp_path / "text.db").write_text("something else entirely, and long enough to be looked at\n" * 50)
        app = make_app(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/text.db")
        with app.app_context(), refused(storage_errors.DAMAGED):
            _names(db.engine)

    def test_its_disk_is_full_and_then_has_room(
        self, make_app: AppMaker, database: str, small_disk: SmallDisk
    ) -> None:
        path = small_disk.path / "hypersight.db"
        shutil.copy(database.removeprefix("sqlite:///"), path)
        with make_app(SQLALCHEMY_DATABASE_URI=f"sqlite:///{path}").app_context():
            with writing() as session:
                _add(session, "before")
            small_disk.fill()
            with refused(storage_errors.FULL), writing() as session:
                for number in range(5000):
                    _add(session, f"lost {number}")
            assert _names(db.engine) == ["before"]
            small_disk.make_room()
            with writing() as session:
                _add(session, "later")
            assert _names(db.engine) == ["before", "later"]
            with db.engine.connect() as connection:
                assert connection.scalar(text("PRAGMA integrity_check")) == "ok"
            db.engine.dispose()


def test_no_connection_is_left_in_the_pool(make_app: AppMaker, database: str) -> None:
    engine = create_engine(database, poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.1)
    with engine.connect(), refused("all connections to the database are in use"):
        _names(engine)
    engine.dispose()


@every_database
class TestOurOwnMistakesPass:
    @pytest.mark.parametrize(
        "statement",
        ["SELECT * FROM no_such_table", "SELECT no_such_column FROM users", "SELEKT 1"],
    )
    def test_in_sql(self, app: Flask, statement: str) -> None:
        with app.app_context(), pytest.raises(DBAPIError), writing() as session:
            session.execute(text(statement))

    def test_in_rows(self, app: Flask) -> None:
        with app.app_context(), pytest.raises(IntegrityError), writing() as session:
            _add(session, "twice")
            _add(session, "twice")


def _mysql(code: object, text: str) -> pymysql.err.OperationalError:
    return pymysql.err.OperationalError(code, text)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (_mysql(3, 'Error writing file (Errcode: 28 "No space left on device")'), storage_errors.FULL),
        (_mysql(1030, "Got error 28 from storage engine"), storage_errors.FULL),
        (_mysql(1114, "The table 'x' is full"), storage_errors.FULL),
        (_mysql(1290, "running with the --read-only option"), storage_errors.READ_ONLY),
        (_mysql(1030, "Got error 5 from storage engine"), storage_errors.DAMAGED),
        (pymysql.err.InterfaceError(0, ""), storage_errors.AWAY),
        (pymysql.err.InternalError("Packet sequence number wrong"), storage_errors.AWAY),
        (psycopg.errors.DiskFull("could not extend file"), storage_errors.FULL),
        (psycopg.errors.CannotConnectNow("the database system is starting up"), storage_errors.AWAY),
        (psycopg.errors.SerializationFailure("could not serialize"), storage_errors.BUSY),
        (psycopg.errors.DataCorrupted("invalid page"), storage_errors.DAMAGED),
        (psycopg.errors.InvalidPassword("for user postgres"), storage_errors.REFUSED),
        (psycopg.OperationalError("consuming input failed: 192.0.2.1"), storage_errors.AWAY),
        (sqlite3.OperationalError("disk I/O error"), storage_errors.DAMAGED),
        (sqlite3.DatabaseError("database disk image is malformed"), storage_errors.DAMAGED),
    ],
    ids=str,
)
def test_what_is_hard_to_bring_about(said: Exception, words: str) -> None:
    error = DBAPIError.instance("SELECT 1", None, said, Exception)
    with pytest.raises(StorageError, match=f"^{words}$"), translated():
        raise error
