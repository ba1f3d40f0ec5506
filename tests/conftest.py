"""Fixtures that several suites share."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


MEMORY = Path("/dev/shm")
FREE_BYTES = 4 << 30
"""What the tests' folders may take at most; they take a fifth of it."""


def pytest_configure() -> None:
    """Keep the tests' folders in memory where there is room, and give the main module of a worker a specification.

    ZenML and MLflow commit hundreds of small transactions a run, and a disk takes 8 ms for each. PySpark takes a main
    module without a specification for its own doctests. Garbage is looked for seldom: a test process holds a million
    objects that stay, and looking through them took a third of the time of collecting the tests.
    """
    gc.set_threshold(100_000, 20, 50)
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > FREE_BYTES and os.access(MEMORY, os.W_OK):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
    main = sys.modules["__main__"]
    if main.__spec__ is None and not hasattr(main, "__file__"):
        main.__spec__ = ModuleSpec("__main__", None)


def pytest_collection_finish() -> None:
    """Leave what was imported to collect the tests out of every later look for garbage."""
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let what was left out be freed at the end: libraries complain of what is not."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Commands that run in this process make their files private, and only theirs."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def telco_csv() -> Path:
    """IBM's published Telco file; the project never ships it, and the tests on it are skipped where nobody named it."""
    if named := os.environ.get("TELCO_CSV"):
        assert Path(named).is_file(), f"TELCO_CSV names no file: {named}"
        return Path(named)
    path = ROOT.parent / "shared" / "data" / "telco_customer_churn.csv"
    if not path.is_file():
        pytest.skip("needs IBM's Telco CSV: set TELCO_CSV to the file")
    return path


@pytest.fixture(scope="session")
def require() -> Callable[[object, str], None]:
    """`require(found, "chromium: apt-get install chromium")` skips where a real component is missing.

    In continuous integration every component is there, so that a missing one is a failure.
    """

    def check(found: object, what: str) -> None:
        if not found:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"needs {what}")

    return check


@pytest.fixture(scope="session")
def postgresql_server(require: Callable[[object, str], None]) -> Iterator[str]:
    """The address of a PostgreSQL server whose user `churn` has the password `first`."""
    from tests import postgresql

    require(postgresql.programs(), "PostgreSQL: apt-get install postgresql")
    with postgresql.running() as address:
        yield address
