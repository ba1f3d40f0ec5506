"""What the user can mend, found behind what a library made of it."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from churn.core.errors import NotFound, ValidationFailed
from cli.trouble import explain

AGAIN = ", then run the same command again; what was finished is kept."


def raised(outer: BaseException, inner: BaseException, *, hidden: bool = False) -> BaseException:
    """Return `outer` as it is after a library raised it while it handled `inner`."""
    try:
        try:
            raise inner
        except type(inner):
            if hidden:
                raise outer from None
            raise outer  # noqa: B904 - as libraries do
    except type(outer) as error:
        return error


def test_an_error_of_the_project_is_its_own_explanation() -> None:
    assert explain(ValidationFailed("Too many rows are broken: mend the source.")) == (
        "Too many rows are broken: mend the source."
    )


def test_an_error_of_the_project_is_found_behind_those_that_wrap_it() -> None:
    wrapped = RuntimeError("step failed")
    wrapped.__cause__ = ValueError("bad")
    wrapped.__cause__.__cause__ = NotFound("There is no table: run the features pipeline.")
    assert explain(wrapped) == "There is no table: run the features pipeline."


@pytest.mark.parametrize("hidden", [False, True])
def test_an_error_that_a_library_replaced_is_found_too(hidden: bool) -> None:
    assert explain(raised(RuntimeError("step failed"), NotFound("No table."), hidden=hidden)) == "No table."


def test_errors_that_name_each_other_end() -> None:
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__cause__, other.__cause__ = other, one
    assert explain(one) is None


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyError("x"), OSError("no number"), ValueError("locked")])
def test_a_fault_of_the_program_has_no_remedy(error: Exception) -> None:
    assert explain(error) is None


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full: free some space"),
        (errno.EDQUOT, "the disk quota is used up: free some space"),
        (errno.EROFS, "the file system is read-only: choose another folder with --set profile.state=FOLDER"),
        (errno.EACCES, "this user may not write there: change its permissions, or --set profile.state=FOLDER"),
        (errno.EPERM, "this user may not do that: change the permissions, or --set profile.state=FOLDER"),
        (errno.ENOTDIR, "a part of that path is a file where a folder belongs: choose another path"),
        (errno.EEXIST, "a file is there where a folder belongs: choose another path"),
        (errno.EISDIR, "that is a folder and not a file: choose another path"),
    ],
)
def test_a_disk_that_refuses_is_told_in_words_with_the_place(number: int, words: str) -> None:
    wrapped = raised(RuntimeError("step failed"), OSError(number, "as the system says", "/state/x"))
    assert explain(wrapped) == f"/state/x: {words}{AGAIN}"
    assert explain(OSError(number, "as the system says")) == f"{words}{AGAIN}"


def run(database: Path | str, *statements: str, uri: bool = False) -> None:
    with closing(sqlite3.connect(database, timeout=0, isolation_level=None, uri=uri)) as connection:
        for statement in statements:
            connection.execute(statement)


def told(symptom: str, database: Path | str, *statements: str, uri: bool = False) -> str | None:
    """Return what is said of SQLite's own error."""
    with pytest.raises(sqlite3.Error, match=symptom) as caught:
        run(database, *statements, uri=uri)
    return explain(caught.value)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    run(tmp_path / "mlflow.db", "CREATE TABLE t (x)")
    return tmp_path / "mlflow.db"


INSERT = "INSERT INTO t VALUES (1)"


def test_a_database_that_may_not_be_written_is_told_in_words(database: Path) -> None:
    assert told("attempt to write a readonly database", f"file:{database}?mode=ro", INSERT, uri=True) == (
        "SQLite says 'readonly database': this user may not write to the database: change its permissions" + AGAIN
    )


def test_a_database_that_another_process_holds_is_told_in_words(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        assert told("database is locked", database, INSERT) == (
            "SQLite says 'database is locked': another process holds the database for long: wait for it, or stop it"
            + AGAIN
        )


def damage(path: Path, *, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at:] = b"\xff" * (len(content) - at)
    path.write_bytes(content)


@pytest.mark.parametrize(("at", "symptom"), [(0, "file is not a database"), (4096, "disk image is malformed")])
def test_a_database_that_is_damaged_is_told_with_where_to_look(database: Path, at: int, symptom: str) -> None:
    run(database, "INSERT INTO t VALUES (zeroblob(100000))")
    damage(database, at=at)
    message = told(symptom, database, "SELECT * FROM t")
    assert message is not None
    assert message.startswith(
        f"SQLite says {symptom!r}: a database is damaged: `python run.py doctor` names it; restore"
    )


def test_a_database_without_room_is_told_in_words() -> None:
    fill = "CREATE TABLE t AS SELECT zeroblob(100000)"
    assert told("database or disk is full", ":memory:", "PRAGMA max_page_count=1", fill) == (
        "SQLite says 'disk is full': the disk is full: free some space" + AGAIN
    )


def test_a_database_in_a_folder_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    assert told("unable to open database file", tmp_path / "none" / "mlflow.db") == (
        "SQLite says 'unable to open database file': the folder of the database is missing or not writable: change "
        "its permissions" + AGAIN
    )


def test_a_database_error_is_found_in_the_text_of_the_library_that_wraps_it() -> None:
    wrapped = RuntimeError("(sqlite3.OperationalError) database is locked\n[SQL: UPDATE runs]")
    assert str(explain(wrapped)).startswith("SQLite says 'database is locked'")
    assert explain(RuntimeError("the front door database is locked")) is None


def test_a_full_disk_below_a_database_names_the_folder_of_the_run_where_it_is_known() -> None:
    full = sqlite3.OperationalError("database or disk is full")
    assert str(explain(full, Path("/data/.churn"))) == (
        "SQLite says 'disk is full' in /data/.churn: the disk is full: free some space" + AGAIN
    )


def test_a_component_of_the_stack_whose_package_is_missing_is_told_with_the_package() -> None:
    told = explain(
        ImportError(
            "No module named 'slack_sdk'\n\nThe `slack` integration that you are trying to use is not installed in "
            "your current environment. Please make sure that it is installed by either using our CLI: `zenml "
            "integration install slack` or by manually installing its requirements: `pip install 'slack-sdk==3.30.0'`"
        )
    )
    assert told == (
        "A component of the ZenML stack needs the integration 'slack', which is not installed: `uv pip install "
        "'slack-sdk==3.30.0'` installs it, or name another component in `profile.stack`."
    )
    assert explain(ImportError("No module named 'slack_sdk'")) is None
