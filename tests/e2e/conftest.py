"""Fixtures of the tests that type command lines."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.project import Callers, Project, one_worker_at_a_time
from tests.forks import Python

A_USER_OF_ZENML = """
import sys
from zenml.client import Client
from adapters.mlflow.client import connect

connect(f"sqlite:///{sys.argv[2]}")
client = Client()
client.create_stack_component("notebooks", "local", "artifact_store", {"path": sys.argv[1]})
client.create_stack("laptop", {"orchestrator": "default", "artifact_store": "notebooks"})
client.activate_stack("laptop")
"""


@pytest.fixture(scope="module")
def callers() -> Iterator[Callers]:
    listening = Callers()
    yield listening
    listening.close()


@pytest.fixture(scope="session")
def zenml_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which ZenML was used before, with a stack of the user's own, beside an empty store of MLflow.

    It is made once, for all workers: MLflow takes three seconds for a store.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    home, done = shared / "zenml-home", shared / "zenml-home.done"
    with one_worker_at_a_time(shared / "zenml-home.lock"):
        if not done.exists():
            home.mkdir(exist_ok=True)
            own = {name: value for name, value in os.environ.items() if not name.startswith(("ZENML_", "XDG_"))}
            quiet = {"ZENML_ANALYTICS_OPT_IN": "false", "ZENML_LOGGING_VERBOSITY": "ERROR"}
            places = str(shared / "notebooks"), str(home / "mlflow.db")
            user = Python(A_USER_OF_ZENML, *places, folder=shared, environment={**own, **quiet, "HOME": str(home)})
            assert user.communicate() == ("", ""), user.returncode
            done.touch()
    return home


@pytest.fixture(scope="module")
def new_user(
    tmp_path_factory: pytest.TempPathFactory, callers: Callers, request: pytest.FixtureRequest
) -> Callable[..., Project]:
    """`new_user("name")` is a user of ZenML, `new_user("name", fresh=True)` one whose home is empty."""

    def make(name: str, *, fresh: bool = False) -> Project:
        zenml_home = None if fresh else request.getfixturevalue("zenml_home")
        return Project.in_folder(tmp_path_factory.mktemp(name), proxy=callers.address, zenml_home=zenml_home)

    return make
