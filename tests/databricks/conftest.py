"""Workspaces of the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .warm import Warm
from .workspace import Workspace


@pytest.fixture(autouse=True)
def untouched_environment() -> Iterator[None]:
    """A profile leaves addresses in the environment of the process; they end with the test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace of this test's own, with the catalog `main`."""
    with Workspace(tmp_path / "workspace") as running:
        yield running


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """Starts tasks of jobs, and commands, as forks of a process that has imported the libraries."""
    with Warm() as process:
        yield process


@pytest.fixture(scope="session")
def shared_workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace for many tests, with the volume `main.churn.files` and a schema for each data set."""
    with Workspace(tmp_path_factory.mktemp("workspace")) as running:
        running.catalog.add_volume("main.churn.files")
        for dataset in ("toy", "telco", "telco_simulated", "saas", "saas_simulated"):
            running.catalog.add_schema(f"main.{dataset}")
        yield running
