"""Whether Spark can run here, and which engine a run takes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from adapters.local import machine_checks as machine
from adapters.spark.availability import OLDEST_JAVA, active_session, chosen_engine, java_version, trouble
from churn.core.errors import ConfigError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without Java."""
    for name in ("JAVA_HOME", "DATABRICKS_RUNTIME_VERSION", "PYSPARK_GATEWAY_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path


def install_java(home: Path, version: str) -> None:
    program = home / "bin" / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("said", "version"), [("17.0.15", 17), ("21", 21), ("1.8.0_402", 8), ("25-ea", 25), ("unknown", None)]
)
def test_java_says_its_version(home: Path, said: str, version: int | None) -> None:
    install_java(home, said)
    assert java_version() == version


def test_java_home_comes_before_the_path(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_java(home, "21.0.1")
    monkeypatch.setenv("PATH", "")
    assert java_version() is None
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert java_version() == 21
    monkeypatch.setenv("JAVA_HOME", str(home / "gone"))
    assert java_version() is None


@pytest.mark.parametrize(
    ("java", "lacking"),
    [
        (None, "there is no Java: install Java 17"),
        ("11.0.2", "Java is version 11, and Spark needs 17"),
        ("17.0.1", None),
    ],
)
def test_spark_needs_a_java_that_is_new_enough(home: Path, java: str | None, lacking: str | None) -> None:
    if java:
        install_java(home, java)
    found = trouble()
    assert found is None if lacking is None else found is not None and found.startswith(lacking)


def test_a_machine_without_pyspark_is_told_how_to_get_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_java(home, f"{OLDEST_JAVA}.0.1")
    monkeypatch.setitem(sys.modules, "pyspark", None)
    assert (
        trouble() == "PySpark is not installed: `make spark`, or `pip install '.[spark]'` in an environment of your own"
    )
    with pytest.raises(ConfigError, match=r"--engine spark cannot be had .*PySpark is not installed.* --engine local"):
        chosen_engine("spark", 10**9, 0)
    assert chosen_engine("auto", 10**9, 0) == "local"
    assert machine.spark().status == "ok", "nobody needs Spark who did not install it"


def test_pyspark_without_java_is_warned_of(home: Path) -> None:
    found = machine.spark()
    assert (found.status, found.found) == ("warn", "there is no Java")
    assert found.remedy.startswith("install Java 17 (apt-get install openjdk-17-jre-headless)")
    install_java(home, "17.0.15")
    assert machine.spark().found.endswith("with Java 17")


@pytest.mark.parametrize(
    ("asked", "rows", "engine"),
    [("auto", 99, "local"), ("auto", 100, "spark"), ("local", 100, "local"), ("spark", 1, "spark")],
)
def test_many_rows_go_to_spark_where_it_can_run(home: Path, asked: str, rows: int, engine: str) -> None:
    install_java(home, "17.0.15")
    assert chosen_engine(asked, rows, 100) == engine  # type: ignore[arg-type]


def test_nobody_starts_spark_to_find_out_whether_it_runs(home: Path) -> None:
    assert active_session() is None
