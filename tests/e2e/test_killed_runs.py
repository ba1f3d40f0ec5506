"""`kill -9` at one point after the other, and the same command again: it ends where an uninterrupted run ends.

It is the other simulated business that is trained here: another contract is all that it takes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import NamedTuple

import pytest

from churn.ports.registry import CHALLENGER, MODEL_DIGEST, ModelVersion
from tests.e2e.project import Command, Project, Ran

pytestmark = pytest.mark.timeout(300)

MODEL, DATASET = "churn_saas_simulated", "saas_simulated"
TRIALS, SIX = 6, "tuning.max_trials=6"


class Aftermath(NamedTuple):
    """What a killed run printed, and what it left."""

    ran: Ran
    versions: list[ModelVersion]
    incomplete_versions: list[int]
    damaged_tables: list[str]


@pytest.fixture(scope="module")
def project(new_user: Callable[..., Project]) -> Project:
    return new_user("killed")


@pytest.fixture(scope="module")
def uninterrupted(project: Project) -> Project:
    other = project.with_state(project.state.with_name("uninterrupted"))
    other.train(SIX, dataset=DATASET).succeeded()
    return other


@pytest.fixture(scope="module")
def killed(project: Project) -> dict[str, Aftermath]:
    """The same command, killed at later and later points."""
    bronze = project.state / "tables" / DATASET / "bronze_customers"
    points: dict[str, Callable[[Command], Ran]] = {
        "writing a table": lambda run: run.killed_when(lambda: any(bronze.glob("*/*.parquet"))),
        "tuning": lambda run: run.killed_at(" 3/6 "),
        "storing the model": lambda run: run.killed_when(lambda: any((project.state / "mlflow").rglob("MLmodel"))),
        "registering it": lambda run: run.killed_when(lambda: rows_in(project, "model_versions") > 0),
    }
    return {name: aftermath(project, kill) for name, kill in points.items()}


@pytest.fixture(scope="module")
def last(project: Project, killed: dict[str, Aftermath]) -> Ran:
    return project.train(SIX, dataset=DATASET)


def aftermath(project: Project, kill: Callable[[Command], Ran]) -> Aftermath:
    ran = kill(project.start(*project.arguments("training", SIX, dataset=DATASET)))
    versions = project.registry.versions(MODEL)
    return Aftermath(ran, versions, project.incomplete_versions(MODEL), project.damaged_tables(DATASET))


def rows_in(project: Project, table: str) -> int:
    with closing(sqlite3.connect(f"file:{project.state}/mlflow.db?mode=ro", uri=True, timeout=10)) as database:
        return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def trials(project: Project) -> list[tuple[str, dict[str, str], dict[str, float]]]:
    """Return what MLflow holds of every trial that ended, in the order of the study."""
    experiment = project.mlflow.get_experiment_by_name(MODEL)
    found = project.mlflow.search_runs([experiment.experiment_id], "tags.trial_state != 'FAIL'")
    found.sort(key=lambda run: int(run.data.tags["trial"]))
    return [(run.data.tags["trial_state"], run.data.params, run.data.metrics) for run in found]


def test_no_kill_leaves_a_damaged_table_or_half_a_version(killed: dict[str, Aftermath]) -> None:
    for after in killed.values():
        assert after.ran.code == -9
        assert after.damaged_tables == []
        assert after.incomplete_versions == []
    assert [len(after.versions) for after in killed.values()] == [0, 0, 0, 1]


def test_finished_trials_are_not_run_again(killed: dict[str, Aftermath]) -> None:
    def numbers(point: str) -> list[int]:
        lines = killed[point].ran.steps["tune"]
        return [int(line.partition("/")[0]) for line in lines if f"/{TRIALS}  best" in line]

    assert numbers("tuning") == [1, 2, 3]
    resumed = numbers("storing the model")
    assert len(resumed) == TRIALS - 3
    assert min(resumed) > 3
    assert killed["registering it"].ran.cached >= {"tune", "train", "evaluate"}


def test_the_trials_are_those_of_an_uninterrupted_run(
    project: Project, killed: dict[str, Aftermath], uninterrupted: Project
) -> None:
    assert len(trials(project)) == TRIALS
    assert trials(project) == trials(uninterrupted)


def test_the_next_run_clears_what_the_killed_ones_left(project: Project, last: Ran) -> None:
    last.succeeded()
    assert [run["status"] for run in project.zenml()["runs"]].count("running") == 0
    assert {status for run in project.zenml()["runs"] for status in run["steps"].values()} <= {
        *("completed", "cached", "failed"),
    }
    assert rows_in(project, "runs WHERE status = 'RUNNING'") == 0
    assert rows_in(project, "logged_models WHERE status = 1 AND lifecycle_stage = 'active'") == 0
    assert not any(path.name.startswith(".at-work") for path in project.state.iterdir())
    project.run("data", "vacuum", f"--set=profile.state={project.state}").succeeded()
    held = {".job_data_vacuum.lock"}  # by the command itself, while it looks
    assert {path.name for path in project.state.rglob("*.lock") if path.parent.name != "stacks"} == held


def test_the_same_command_then_ends_in_the_model_of_an_uninterrupted_run(
    project: Project, uninterrupted: Project, last: Ran
) -> None:
    assert f"{MODEL} version 1 is @Challenger" in last.succeeded().out
    (version,), (expected,) = project.registry.versions(MODEL), uninterrupted.registry.versions(MODEL)
    assert version.tags[MODEL_DIGEST] == expected.tags[MODEL_DIGEST]
    assert version.aliases == (CHALLENGER,)
    assert version.description == expected.description
    assert project.tables(DATASET)["churn_training"].key == ("account_id", "transaction_ts")
    assert project.tables(DATASET).keys() == uninterrupted.tables(DATASET).keys()
    assert [ref.content_id for ref in project.tables(DATASET).values()] == [
        ref.content_id for ref in uninterrupted.tables(DATASET).values()
    ]
