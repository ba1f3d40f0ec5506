"""What every place of studies keeps of its port's promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import optuna
import psycopg
import pytest

from adapters.local.studies import DatabaseStudies, sqlite_url
from churn.core.errors import StoreError
from churn.ports.studies import Studies
from tests.fakes.ports.studies import InMemoryStudies
from tests.postgresql import programs, running


def in_memory(folder: Path) -> Studies:
    return InMemoryStudies()


def in_sqlite(folder: Path) -> Studies:
    return DatabaseStudies(sqlite_url(folder / "state" / "studies.db"))


@pytest.fixture(scope="module")
def server(require: Callable[[object, str], None]) -> Iterator[str]:
    """The address of PostgreSQL."""
    require(programs(), "PostgreSQL: apt-get install postgresql")
    with running() as address:
        yield address


@pytest.fixture
def in_postgresql(server: str) -> Studies:
    name = f"studies_{uuid4().hex}"
    with psycopg.connect(server, password="first", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return DatabaseStudies(f"{server.rpartition('/')[0]}/{name}", lambda: "first")


@pytest.fixture(params=[in_memory, in_sqlite, "in_postgresql"])
def studies(request: pytest.FixtureRequest, tmp_path: Path) -> Studies:
    if isinstance(request.param, str):
        server: Studies = request.getfixturevalue(request.param)
        return server
    make: Callable[[Path], Studies] = request.param
    return make(tmp_path)


def test_what_was_told_is_there_when_the_storage_is_opened_again(studies: Studies) -> None:
    study = optuna.create_study(storage=studies.storage(), study_name="one")
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    study.tell(trial, 0.25)
    again = optuna.load_study(storage=studies.storage(), study_name="one")
    assert [(told.value, told.params) for told in again.trials] == [(0.25, trial.params)]


def test_studies_of_two_names_do_not_mix(studies: Studies) -> None:
    for name in ("one", "two"):
        study = optuna.create_study(storage=studies.storage(), study_name=name, direction="maximize")
        study.tell(study.ask(), 1.0)
    assert len(optuna.load_study(storage=studies.storage(), study_name="two").trials) == 1
    assert sorted(optuna.get_all_study_names(studies.storage())) == ["one", "two"]


def test_a_database_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"studies in sqlite:.*studies\.db cannot be used \(unable to open"):
        DatabaseStudies(sqlite_url(tmp_path / "file" / "studies.db")).storage()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "studies.db").write_text("not a database\n" * 100)
    with pytest.raises(StoreError, match=r"not a database\): correct profile\.state, or move the file away"):
        DatabaseStudies(sqlite_url(tmp_path / "studies.db")).storage()


def test_no_password_is_shown() -> None:
    with pytest.raises(StoreError, match=r"studies in sqlite://me:\*\*\*@") as caught:
        DatabaseStudies("sqlite://me:secret@nowhere/studies.db").storage()
    assert "secret" not in str(caught.value)


def test_a_password_that_changes_is_read_for_each_new_connection(server: str) -> None:
    passwords = iter(["first", "second", "second"])
    storage = DatabaseStudies(server, lambda: next(passwords)).storage()
    with psycopg.connect(server, password="first", autocommit=True) as connection:
        connection.execute("ALTER USER churn PASSWORD 'second'")
    try:
        storage.engine.dispose()
        assert storage.get_all_studies() == []
    finally:
        with psycopg.connect(server, password="second", autocommit=True) as connection:
            connection.execute("ALTER USER churn PASSWORD 'first'")


def test_a_server_that_refuses_is_named_without_the_password(server: str) -> None:
    with pytest.raises(StoreError, match=r"cannot be used \(.*\): correct profile\.studies\.address") as caught:
        DatabaseStudies(server, lambda: "wrong-one").storage()
    assert "wrong-one" not in str(caught.value)
