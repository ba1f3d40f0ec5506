"""What one online store has and the other has not: files, formats, passwords, a server that goes away."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from adapters.local.online_postgresql import PostgresOnlineStore
from adapters.local.online_sqlite import SqliteOnlineStore
from churn.core.errors import StoreError
from tests import postgresql
from tests.contract.test_online_store import publish


def test_a_file_of_another_format_is_refused_and_stays(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "telco.db") as file:
        file.execute("PRAGMA user_version = 9")
    store = SqliteOnlineStore(tmp_path, "telco")
    with pytest.raises(StoreError, match=r"telco\.db has format 9, .* reads format 1: remove it"):
        store.get("a")
    with pytest.raises(StoreError, match="has format 9"):
        publish(store, ("a", 1, 1, "x", 1.0))


def test_a_publication_of_another_version_of_the_project_is_named(tmp_path: Path) -> None:
    store = SqliteOnlineStore(tmp_path, "telco")
    publish(store, ("a", 1, 1, "x", 1.0))
    with sqlite3.connect(tmp_path / "telco.db") as file:
        file.execute("UPDATE publications SET publication = '{\"later\": 1}'")
    with pytest.raises(StoreError, match=r"telco\.db was published by another version of this project: remove it"):
        store.publication()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "telco.db").write_text("no database\n" * 100)
    with pytest.raises(StoreError, match=r"telco\.db does not answer \(file is not a database\).*publish"):
        SqliteOnlineStore(tmp_path, "telco").get("a")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="does not answer"):
        publish(SqliteOnlineStore(tmp_path / "file" / "online", "telco"), ("a", 1, 1, "x", 1.0))


def test_a_reader_notices_that_the_file_was_removed_and_made_again(tmp_path: Path) -> None:
    reader = SqliteOnlineStore(tmp_path, "telco")
    publish(reader, ("a", 1, 1, "x", 1.0))
    assert reader.get("a") is not None
    for file in tmp_path.glob("telco.db*"):
        file.unlink()
    publish(SqliteOnlineStore(tmp_path, "telco"), ("b", 1, 1, "x", 1.0))
    assert reader.publication() is not None
    assert reader.get("a") is None
    assert reader.get("b") is not None


def test_a_new_connection_asks_for_the_password_of_now(require: Callable[[object, str], None]) -> None:
    require(postgresql.programs(), "PostgreSQL: apt-get install postgresql")
    passwords = ["first"]
    with postgresql.running() as address:
        store = PostgresOnlineStore(address, "telco", lambda: passwords[-1])
        publish(store, ("a", 1, 1, "x", 1.0))
        with psycopg.connect(address, password="first", autocommit=True) as admin:
            admin.execute("ALTER USER churn PASSWORD 'second'")
        store.close()
        with pytest.raises(StoreError, match=r"postgresql://churn@127\.0\.0\.1:\d+/postgres does not answer"):
            publish(store, ("a", 2, 2, "x", 1.0))
        passwords.append("second")
        publish(store, ("a", 2, 2, "x", 1.0))
        assert store.get("a") is not None
        with psycopg.connect(address, password="second", autocommit=True) as admin:
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            admin.execute(ended + " AND usename = 'churn'")
        assert store.get("a") is not None
    with pytest.raises(StoreError, match=r"does not answer \(.*\): see that the server runs"):
        store.get("a")
    store.close()


@pytest.mark.timeout(60)
def test_a_server_that_stops_answering_delays_one_reader_and_refuses_the_next_at_once(
    require: Callable[[object, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    require(postgresql.programs(), "PostgreSQL: apt-get install postgresql")
    with postgresql.running() as address:
        store = PostgresOnlineStore(address, "telco", lambda: "first")
        publish(store, ("a", 1, 1, "x", 1.0))
        assert store.get("a") is not None
        with psycopg.connect(address, password="first") as admin:
            query = "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'churn'"
            readers = [pid for (pid,) in admin.execute(query)]
        for pid in readers:
            os.kill(pid, signal.SIGSTOP)
        try:
            assert _seconds_of_a_refusal(store) < 4
            assert _seconds_of_a_refusal(store) < 0.1
        finally:
            for pid in readers:
                os.kill(pid, signal.SIGCONT)
        store.close()
    gone = PostgresOnlineStore(address, "telco", lambda: "first")
    assert _seconds_of_a_refusal(gone) < 6
    assert _seconds_of_a_refusal(gone) < 0.1
    gone.close()
    assert not caplog.messages


def _seconds_of_a_refusal(store: PostgresOnlineStore) -> float:
    begun = time.perf_counter()
    with pytest.raises(StoreError, match="does not answer"):
        store.rows(["a"])
    return time.perf_counter() - begun
