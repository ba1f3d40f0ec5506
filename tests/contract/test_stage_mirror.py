"""What every mirror of the stages keeps of its port's promises."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from churn.core.errors import StoreError
from churn.ports.stages import StageMirror
from tests.fakes.ports.stages import InMemoryStages
from tests.forks import Python

ZENML = """
import json, sys
from adapters.local.zenml import ZenmlStageMirror
from churn.core.errors import StoreError
from zenml.client import Client
mirror = ZenmlStageMirror()
def endpoint(model, version):
    return Client().get_model_version(model, f"v{version}").run_metadata["endpoint"]
def stages(model):
    return {version.name: version.stage for version in Client().list_model_versions(model).items}
own = {"stages": stages, "endpoint": endpoint}
for line in sys.stdin:
    call, arguments = json.loads(line)
    try:
        answer = [(own.get(call) or getattr(mirror, call))(*arguments), None]
    except StoreError as error:
        answer = [None, str(error)]
    print(json.dumps(answer), flush=True)
"""


class Memory(InMemoryStages):
    """The fake, with a way to see what it shows."""

    def endpoint(self, model: str, version: int) -> str:
        return self.addresses[model, version]

    def shown(self, model: str) -> dict[str, str]:
        return {f"v{version}": stage for (name, version), stage in self.stages.items() if name == model}


class Zenml(StageMirror):
    """The adapter in a process of its own, since ZenML knows one home a process."""

    def __init__(self, home: Path) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("ZENML_", "XDG_"))}
        quiet = {"ZENML_ANALYTICS_OPT_IN": "false", "ZENML_LOGGING_VERBOSITY": "ERROR"}
        self.process = Python(ZENML, environment={**own, **quiet, "HOME": str(home)})

    def show_candidate(self, model: str, version: int, description: str) -> None:
        self._ask("show_candidate", model, version, description)

    def show_champion(self, model: str, version: int) -> None:
        self._ask("show_champion", model, version)

    def show_withdrawn(self, model: str, version: int) -> None:
        self._ask("show_withdrawn", model, version)

    def show_endpoint(self, model: str, version: int, address: str) -> None:
        self._ask("show_endpoint", model, version, address)

    def endpoint(self, model: str, version: int) -> str:
        return str(self._ask("endpoint", model, version))

    def shown(self, model: str) -> dict[str, str]:
        found: dict[str, str] = self._ask("stages", model)
        return found

    def _ask(self, call: str, *arguments: object) -> Any:
        print(json.dumps([call, arguments]), file=self.process.stdin, flush=True)
        answer, refused = json.loads(self.process.stdout.readline())
        if refused:
            raise StoreError(refused)
        return answer


@pytest.fixture(scope="module", params=["in memory", "ZenML"])
def mirror(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memory | Zenml]:
    if request.param == "in memory":
        yield Memory()
        return
    zenml = Zenml(tmp_path_factory.mktemp("home"))
    yield zenml
    zenml.process.communicate()


def test_a_champion_that_is_not_known_is_made_known(mirror: Memory | Zenml) -> None:
    mirror.show_champion("churn_new", 7)
    assert mirror.shown("churn_new") == {"v7": "production"}


def test_one_version_is_in_production_and_the_one_before_goes_to_the_archive(mirror: Memory | Zenml) -> None:
    for version in (1, 2, 2, 1):
        mirror.show_champion("churn_one", version)
    assert mirror.shown("churn_one") == {"v1": "production", "v2": "archived"}


def test_a_candidate_goes_to_staging_and_leaves_production_alone(mirror: Memory | Zenml) -> None:
    mirror.show_champion("churn_two", 1)
    mirror.show_candidate("churn_two", 2, "the second")
    mirror.show_candidate("churn_two", 3, "the third")
    assert mirror.shown("churn_two") == {"v1": "production", "v2": "archived", "v3": "staging"}
    mirror.show_champion("churn_two", 3)
    assert mirror.shown("churn_two") == {"v1": "archived", "v2": "archived", "v3": "production"}


def test_a_champion_that_is_trained_again_stays_in_production_and_an_old_version_comes_back(
    mirror: Memory | Zenml,
) -> None:
    for version in (1, 2):
        mirror.show_champion("churn_again", version)
    mirror.show_candidate("churn_again", 2, "the same model")
    mirror.show_candidate("churn_again", 1, "the first, once more")
    assert mirror.shown("churn_again") == {"v1": "staging", "v2": "production"}


def test_a_champion_that_is_withdrawn_goes_to_the_archive_and_none_is_in_production(mirror: Memory | Zenml) -> None:
    mirror.show_champion("churn_five", 1)
    mirror.show_withdrawn("churn_five", 1)
    assert mirror.shown("churn_five") == {"v1": "archived"}


def test_a_version_has_the_address_where_it_answers_last(mirror: Memory | Zenml) -> None:
    for port in (1, 2):
        mirror.show_endpoint("churn_six", 1, f"http://127.0.0.1:{port}")
    assert mirror.endpoint("churn_six", 1) == "http://127.0.0.1:2"


def test_models_do_not_mix(mirror: Memory | Zenml) -> None:
    mirror.show_champion("churn_three", 1)
    mirror.show_candidate("churn_four", 1, "a first")
    assert mirror.shown("churn_three") == {"v1": "production"}
    assert mirror.shown("churn_four") == {"v1": "staging"}
