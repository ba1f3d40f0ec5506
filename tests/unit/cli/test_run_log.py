"""The log of a run: what it holds, what stays out of it, and how long it is kept."""

from __future__ import annotations

import logging
import os
import re
import time
from pathlib import Path

import pytest

from churn.core.progress import note
from cli.run_log import RunLog


def logged(folder: Path, *typed: str, days: float = 30) -> str:
    log = RunLog(typed)
    log.open(folder, "training-gym", days)
    note("ingest", "960 rows")
    logging.getLogger("library").error("a library has a problem")
    try:
        raise ValueError("inner")
    except ValueError as error:
        log.failed(error, "It failed.")
    log.close()
    note("ingest", "after the end")
    assert log.path is not None
    return log.path.read_text(encoding="utf-8")


def test_every_line_has_its_time_and_a_failure_its_whole_traceback(tmp_path: Path) -> None:
    text = logged(tmp_path, "--pipeline", "training")
    lines = text.splitlines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    run  python run\.py --pipeline training", lines[0]
    )
    for part in (
        "ingest: 960 rows",
        "a library has a problem",
        "It failed.",
        "Traceback (most recent",
        "ValueError: inner",
    ):
        assert part in text
    assert "after the end" not in text


@pytest.mark.parametrize(
    ("typed", "kept_out"),
    [
        (["explain", "--customer", "7590-VHVEG"], "7590-VHVEG"),
        (["explain", "--customer=7590-VHVEG"], "7590-VHVEG"),
        (["approve", "--reason", "she said yes"], "she said yes"),
        (["approve", "--as", "Ada"], "Ada"),
        (["--set", "profile.mlflow.tracking_uri=postgresql://me:s3cret@db/x"], "s3cret"),
        (["--set", "profile.mlflow.tracking_uri=https://t0ken@host"], "t0ken"),
    ],
)
def test_customers_people_and_passwords_on_the_command_line_stay_out(
    tmp_path: Path, typed: list[str], kept_out: str
) -> None:
    assert kept_out not in logged(tmp_path, *typed)


def test_old_logs_are_removed_by_the_next_run_and_nothing_else(tmp_path: Path) -> None:
    old, new, other = tmp_path / "old.log", tmp_path / "new.log", tmp_path / "old.txt"
    for path, days in ((old, 8), (new, 6), (other, 8)):
        path.touch()
        os.utime(path, (time.time() - days * 86_400,) * 2)
    logged(tmp_path, days=7)
    assert not old.exists()
    assert new.exists()
    assert other.exists()


def test_where_no_log_can_be_written_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    log = RunLog([])
    log.open(tmp_path / "file" / "logs", "training", 30)
    log.write("nothing happens")
    log.close()
    assert log.path is None
