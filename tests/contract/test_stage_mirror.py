"""What every mirror of the stages keeps of its port's promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from churn.errors import StoreError
from churn.ports import Stage, StageMirror
from tests.fakes.stage_mirror import InMemoryStages

ZENML = """
import json, sys
from adapters.local.zenml_models import ZenmlStageMirror
from churn.errors import StoreError
from zenml.client import Client
mirror = ZenmlStageMirror()
def stages(model):
    return {version.name: version.stage for version in Client().list_model_versions(model).items}
for line in sys.stdin:
    call, arguments = json.loads(line)
    try:
        answer = [mirror.set_stage(*arguments), None] if call == "set_stage" else [stages(*arguments), None]
    except StoreError as error:
        answer = [None, str(error)]
    print(json.dumps(answer), flush=True)
"""


class Memory(InMemoryStages):
    """The fake, with a way to see what it shows."""

    def shown(self, model: str) -> dict[str, str]:
        return {f"v{version}": stage for (name, version), stage in self.stages.items() if name == model}


class Zenml(StageMirror):
    """The adapter in a process of its own, since ZenML knows one home a process."""

    def __init__(self, home: Path) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("ZENML_", "XDG_"))}
        quiet = {"ZENML_ANALYTICS_OPT_IN": "false", "ZENML_LOGGING_VERBOSITY": "ERROR"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", ZENML],
            cwd=Path(__file__).parents[2],
            env={**own, **quiet, "HOME": str(home)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def set_stage(self, model: str, version: int, stage: Stage) -> None:
        self._ask("set_stage", model, version, stage)

    def shown(self, model: str) -> dict[str, str]:
        found: dict[str, str] = self._ask("stages", model)
        return found

    def _ask(self, call: str, *arguments: object) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
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


def test_a_version_that_is_not_known_is_made_known(mirror: Memory | Zenml) -> None:
    mirror.set_stage("churn_new", 7, "production")
    assert mirror.shown("churn_new") == {"v7": "production"}


def test_one_version_is_in_production_and_the_one_before_goes_to_the_archive(mirror: Memory | Zenml) -> None:
    for version in (1, 2, 2, 1):
        mirror.set_stage("churn_one", version, "production")
    assert mirror.shown("churn_one") == {"v1": "production", "v2": "archived"}


def test_a_challenger_in_staging_leaves_production_alone(mirror: Memory | Zenml) -> None:
    mirror.set_stage("churn_two", 1, "production")
    mirror.set_stage("churn_two", 2, "staging")
    mirror.set_stage("churn_two", 3, "staging")
    assert mirror.shown("churn_two") == {"v1": "production", "v2": "archived", "v3": "staging"}
    mirror.set_stage("churn_two", 3, "production")
    mirror.set_stage("churn_two", 2, "archived")
    assert mirror.shown("churn_two") == {"v1": "archived", "v2": "archived", "v3": "production"}


def test_models_do_not_mix(mirror: Memory | Zenml) -> None:
    mirror.set_stage("churn_three", 1, "production")
    mirror.set_stage("churn_four", 1, "staging")
    assert mirror.shown("churn_three") == {"v1": "production"}
    assert mirror.shown("churn_four") == {"v1": "staging"}
