"""Training runs at once, on a machine where nothing is set up yet, in one home and one state folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from churn.ports.registry import CHALLENGER, MODEL_DIGEST
from tests.e2e.project import Project, Ran

pytestmark = pytest.mark.timeout(300)

MODEL = "churn_telco_simulated"
SEEDS = (1, 1, 2)


@pytest.fixture(scope="module")
def project(new_user: Callable[..., Project]) -> Project:
    return new_user("at-once", fresh=True)


@pytest.fixture(scope="module")
def runs(project: Project) -> list[Ran]:
    started = [project.start(*project.arguments("training", "tuning.mode=off", f"seed={seed}")) for seed in SEEDS]
    return [command.finished() for command in started]


@pytest.fixture(scope="module")
def zenml(project: Project, runs: list[Ran]) -> dict[str, Any]:
    return project.zenml()


def test_all_of_them_finish(runs: list[Ran]) -> None:
    for run in runs:
        run.succeeded()


def test_the_same_run_twice_registers_one_version_and_another_seed_a_second(project: Project, runs: list[Ran]) -> None:
    versions = project.registry.versions(MODEL)
    assert sorted(version.tags["seed"] for version in versions) == ["1", "2"]
    by_seed = {int(version.tags["seed"]): version for version in versions}
    for seed, run in zip(SEEDS, runs, strict=True):
        assert f"{MODEL} version {by_seed[seed].version} is @Challenger" in run.out
    assert Counter("(new)" in run.out for run in runs) == {True: 2, False: 1}


def test_both_versions_are_complete_and_one_is_the_challenger(project: Project, runs: list[Ran]) -> None:
    assert project.incomplete_versions(MODEL) == []
    assert sorted(version.aliases for version in project.registry.versions(MODEL)) == [(), (CHALLENGER,)]


def test_the_tables_are_whole_and_hold_the_customers_once(project: Project, runs: list[Ran]) -> None:
    assert project.damaged_tables("telco_simulated") == []
    rows = {name: ref.rows for name, ref in project.tables("telco_simulated").items()}
    holdout = rows.pop("churn_baseline")
    assert 0 < holdout < 900
    assert rows == {"bronze_customers": 1800, "churn_features": 1800, "churn_labels": 900, "churn_training": 900}


def test_zenml_has_one_stack_for_them_and_every_run_completed(zenml: dict[str, Any]) -> None:
    assert len(zenml["stacks"]) == 2, "the default and this project's"
    assert zenml["active_stack"] == "default"
    assert [run["status"] for run in zenml["runs"]] == ["completed"] * len(SEEDS)


def test_zenmls_model_versions_mirror_the_registry(project: Project, zenml: dict[str, Any]) -> None:
    mirrored = zenml["models"][MODEL]
    for version in project.registry.versions(MODEL):
        mirror = mirrored[f"v{version.version}"]
        assert mirror["metadata"]["mlflow_version"] == str(version.version)
        assert mirror["metadata"][MODEL_DIGEST] == version.tags[MODEL_DIGEST]
    assert sorted(version["stage"] for version in mirrored.values()) == ["archived", "staging"]
