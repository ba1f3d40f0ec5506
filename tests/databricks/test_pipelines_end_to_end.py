"""All pipelines, typed on a laptop and for Databricks with the same settings: what they leave is the same.

For Databricks each step is a task of a job: a process that knows the job's payload alone, runs the wheel of the volume,
and reports to a ZenML server on loopback. Tables and decisions are in Unity Catalog, which is Sail here; volumes are
folders of the tasks' machine; runs and models are in the workspace.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from adapters.decision_rows import record_of
from adapters.mlflow.registry import MlflowModelRegistry
from churn.data.tables import TABLES
from tests.conftest import ROOT
from tests.e2e.project import DEPLOYABLE

from .sail_server import runtime, sail_server
from .warm import Started, Warm
from .workspace import Workspace
from .zenml_server import zenml_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

DATASET, MODEL = "telco_simulated", "churn_telco_simulated"
SETTINGS = (*DEPLOYABLE, "evaluation.resamples=100", "inference.reasons=treated", "approval.policy=manual")
PIPELINES = ("features", "training", "gate", "deployment", "inference", "monitoring")
TABLES_OF_A_RUN = [
    name for name in TABLES if name not in {"quarantine", "campaign_effects", "decisions", "retrainings"}
]
OF_THE_CLOCK = {"ingested_at", "at", "scored_at", "planned_at", "contacted_at", "measured_at"}
"""When something was done, which is later in the second run."""
OF_CONTENT = {"batch_id", "digest", "summary", "report", "content"}
"""What tells a version of a table, which each store does in its own way, or names it in a document."""
ESTIMATED = {"number", "lower", "upper", "se"}
NOT_COMPARED = OF_THE_CLOCK | OF_CONTENT


class User:
    """Somebody who types commands for one stack."""

    def __init__(self, warm: Warm, home: Path, stack: str, *settings: str, **environment: str) -> None:
        self.state, self._warm, self._home, self._stack = home / "state", warm, home, stack
        self._settings = (*SETTINGS, f"profile.state={self.state}", *settings)
        path = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")]))
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(home), **environment, "PYTHONPATH": path}
        home.mkdir()

    def start(self, *arguments: str) -> Started:
        line = [str(ROOT / "run.py"), *arguments, "--stack", self._stack, *(f"--set={each}" for each in self._settings)]
        return self._warm.start(line, self._environment, self._home, task=False)

    def run(self, *arguments: str, code: int = 0) -> str:
        """Return what the command printed, once it has ended with that exit code."""
        started = self.start(*arguments)
        out, err = started.communicate()
        assert started.returncode == code, out + err
        return out

    def pipeline(self, name: str, code: int = 0) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.run("--pipeline", name, "--json", code=code))
        return said

    def pipelines(self) -> dict[str, dict[str, Any]]:
        """Run them all but monitoring, with an approval between two deployments, and return what each said."""
        said = {name: self.pipeline(name) for name in ("features", "training")}
        said["gate"] = self.pipeline("deployment", code=4)
        self.run("approve", "--version", "1", "--reason", "Better.")
        return said | {name: self.pipeline(name) for name in ("deployment", "inference")}


class Side(NamedTuple):
    """One of the two: what the pipelines said, and where files and tables are."""

    said: dict[str, dict[str, Any]]
    files: Path
    tables: Path

    def rows(self, table: str) -> pa.Table:
        """Return the rows of a table, in the order of its key."""
        rows = pa.table(DeltaTable(self.tables / table).to_pyarrow_table())
        return rows.sort_by([(name, "ascending") for name in rows.column_names if name not in NOT_COMPARED | ESTIMATED])


class Both(NamedTuple):
    """What came of the commands on both sides, and how the one that was interrupted ended."""

    laptop: Side
    databricks: Side
    workspace: Workspace
    registry: MlflowModelRegistry
    interrupted: tuple[int | None, str]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, require: Callable[[object, str], None]) -> Iterator[Both]:
    probe = ["unshare", "--mount", "--map-root-user", "true"]
    works = shutil.which("unshare") and not subprocess.run(probe, check=False, capture_output=True).returncode
    require(works, "`unshare --mount --map-root-user`, for /Volumes")
    folder = tmp_path_factory.mktemp("both")
    volumes, tables = folder / "workspace" / "files" / "Volumes", folder / "warehouse" / DATASET
    for made in (volumes, tables, folder / "zenml"):
        made.mkdir(parents=True)
    with sail_server(folder, volumes, require) as address, zenml_server(folder / "zenml") as zenml:
        brought = runtime(address, tables.parent)
        with (
            Warm(brought, volumes) as warm,
            Workspace(volumes.parents[1], runtime={**brought, "SPARK_REMOTE": address}, warm=warm) as workspace,
        ):
            workspace.catalog.add_volume("main.churn.files")
            workspace.catalog.add_schema(f"main.{DATASET}")
            laptop = User(warm, folder / "laptop", "local")
            soon, there = "profile.databricks.jobs.poll_seconds=0.2", {**zenml, **brought, **workspace.environment()}
            databricks = User(warm, folder / "databricks", "databricks", soon, **there)
            said = laptop.pipelines() | {"monitoring": laptop.pipeline("monitoring")}
            here = Side(said, laptop.state, laptop.state / "tables" / DATASET)
            away = Side(databricks.pipelines(), volumes / "main" / "churn" / "files", tables)
            interrupted = interrupt_monitoring(databricks, workspace)
            yield Both(here, away, workspace, MlflowModelRegistry(f"sqlite:///{laptop.state}/mlflow.db"), interrupted)


def interrupt_monitoring(user: User, workspace: Workspace) -> tuple[int | None, str]:
    """Press Ctrl-C while the first task runs, wait until the job has ended, and return how the command did."""
    before, typed = len(workspace.jobs.runs), user.start("--pipeline", "monitoring")
    while len(workspace.jobs.runs) == before or not (run := [*workspace.jobs.runs.values()][-1]).tasks[0].process:
        assert typed.returncode is None, typed.communicate()
        time.sleep(0.05)
    time.sleep(1)  # the command is told the number of the run, and follows it
    os.kill(typed.pid, signal.SIGINT)
    _, err = typed.communicate()
    assert workspace.jobs.wait(run.run_id).result == "SUCCESS", [task.output for task in run.tasks]
    return typed.returncode, err


@pytest.mark.parametrize("pipeline", PIPELINES[:-1])
def test_each_pipeline_says_the_same(both: Both, pipeline: str) -> None:
    here, there = (side.said[pipeline] for side in (both.laptop, both.databricks))
    told = {"pipeline", "dataset", "version", "verdict", "exit"} & here.keys()
    assert {name: there[name] for name in told} == {name: here[name] for name in told}
    if pipeline != "gate":  # which says when it ran
        assert there["message"] == here["message"]


def test_each_step_was_a_task_of_the_job_of_its_pipeline(both: Both) -> None:
    runs = [(run.settings["name"], len(run.tasks), run.result) for run in both.workspace.jobs.runs.values()]
    steps = {"features": 2, "training": 8, "gate": 4, "deployment": 4, "inference": 2, "monitoring": 2}
    names = {name: f"churn-{'deployment' if name == 'gate' else name}-{DATASET}" for name in PIPELINES}
    assert runs == [(names[name], steps[name], "SUCCESS") for name in PIPELINES]


def test_the_registered_model_is_the_same_to_the_last_bit(both: Both) -> None:
    (laptop,) = both.registry.versions(MODEL)
    model = both.workspace.mlflow.models[f"main.{DATASET}.{MODEL}"]
    assert "Champion" in model["aliases"]
    assert sorted(model["aliases"]) == sorted(laptop.aliases)
    databricks = model["versions"][1]["tags"]
    names = [name for name in laptop.tags if name.startswith("metric_") or name in ("model_digest", "gate", "seed")]
    assert {"model_digest", "gate"} < {*names}
    assert {name: databricks.get(name) for name in names} == {name: laptop.tags[name] for name in names}


@pytest.mark.parametrize("table", TABLES_OF_A_RUN)
def test_each_table_holds_the_same_rows(both: Both, table: Any) -> None:
    here, there = (side.rows(TABLES[table].name) for side in (both.laptop, both.databricks))
    assert (there.column_names, there.schema.types) == (here.column_names, here.schema.types)
    assert there.num_rows == here.num_rows > 0
    for name in here.column_names:
        if name in ESTIMATED and table == "profile_metrics":  # sums of many numbers, in whatever order threads add them
            assert there[name].is_null().equals(here[name].is_null()), name
            values, expected = (side[name].fill_null(0.0).to_numpy() for side in (there, here))
            assert values == pytest.approx(expected, rel=1e-9, nan_ok=True), name
        elif name not in NOT_COMPARED:
            assert there[name].equals(here[name]), name


def test_decisions_and_verdicts_are_the_same(both: Both) -> None:
    def told(side: Side) -> list[Any]:
        rows = side.rows("decisions").to_pylist()
        records = [record_of(row, "decisions") for row in sorted(rows, key=lambda row: row["sequence"])]
        # Folders of packages have not the same size: one that is served by Databricks brings its code.
        numbers = [{name: number for name, number in each.numbers.items() if name != "size"} for each in records]
        return [
            (each.kind, each.version, each.champion, each.verdicts, each.digests["model"], measured)
            for each, measured in zip(records, numbers, strict=True)
        ]

    assert told(both.databricks) == told(both.laptop)
    assert [record[0] for record in told(both.databricks)][-3:] == ["promotion_begun", "promoted", "deployed"]


def test_the_list_of_the_campaign_is_the_same(both: Both) -> None:
    def lists(side: Side) -> dict[str, list[dict[str, str]]]:
        """Return the rows of each list, by the name of the file after that of the batch."""
        found = {}
        for path in side.files.glob("campaigns/*.csv"):
            rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
            kept = [{name: row[name] for name in row if name not in NOT_COMPARED} for row in rows]
            found[path.name.partition(".")[2]] = kept
        return found

    assert lists(both.laptop).keys() == {"csv", "control.csv"}
    assert len(lists(both.laptop)["csv"]) > 100
    assert lists(both.databricks) == lists(both.laptop)


def test_ctrl_c_leaves_the_job_alone_and_says_how_to_end_it(both: Both) -> None:
    code, err = both.interrupted
    assert code == 130
    assert "Interrupted. The run goes on in Databricks: http" in err
    assert "`zenml pipeline runs stop " in err
