"""All pipelines, typed on a laptop and for Databricks with the same settings: what they leave is the same.

For Databricks each step is a task of a job: a process that knows the job's payload alone, runs the wheel of the volume,
and reports to a ZenML server on loopback. Tables and decisions are in Unity Catalog, which is Sail here; volumes are
folders of the tasks' machine; runs and models are in the workspace, and features online in PostgreSQL.

The first version is deployed by the pipeline on both sides. The second one is deployed by the pipeline on the laptop,
and by the deployment job on Databricks, which the version starts.
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

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable

from adapters.decision_rows import record_of
from adapters.mlflow.registry import MlflowModelRegistry
from churn.data.tables import TABLES
from tests.conftest import ROOT
from tests.e2e.project import DEPLOYABLE

from .runs import Run
from .sail_server import runtime, sail_server
from .warm import Started, Warm
from .workspace import Workspace
from .zenml_server import zenml_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

DATASET, MODEL = "telco_simulated", "churn_telco_simulated"
FULL_NAME, PASSWORD = f"main.{DATASET}.{MODEL}", "of-the-online-store-7Qx"
SETTINGS = (*DEPLOYABLE, "evaluation.resamples=100", "inference.reasons=treated", "approval.policy=manual")
PIPELINES = ("features", "training", "gate", "deployment", "inference", "retraining", "monitoring")
NEXT = (
    "--set=model.boosting.reg_lambda=50",
    "--set=gate.rule=non-inferiority",
    "--set=gate.folds=2",
    "--set=gate.margins={log_loss: 1, roc_auc: 1, profit_share: 9, slice_log_loss: 9}",
)
"""What makes another model, which is no worse by wide margins."""
TABLES_OF_A_RUN = [
    name for name in TABLES if name not in {"quarantine", "campaign_effects", "decisions", "retrainings"}
]
OF_THE_CLOCK = {"ingested_at", "at", "scored_at", "planned_at", "contacted_at", "measured_at"}
"""When something was done, which is later in the second run."""
OF_CONTENT = {"batch_id", "digest", "summary", "report", "content"}
"""What tells a version of a table, which each store does in its own way, or names it in a document."""
ESTIMATED, SUMMED = {"number", "lower", "upper", "se", "value_at_stake"}, {"profile_metrics", "batches"}
"""Sums of many numbers, in whatever order threads add them."""
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
        own = [
            argument for argument in arguments if argument.startswith("--set=")
        ]  # which win over the settings of all
        words = [argument for argument in arguments if argument not in own]
        line = [
            str(ROOT / "run.py"),
            *words,
            "--stack",
            self._stack,
            *(f"--set={each}" for each in self._settings),
            *own,
        ]
        return self._warm.start(line, self._environment, self._home, task=False)

    def run(self, *arguments: str, code: int = 0) -> str:
        """Return what the command printed, once it has ended with that exit code."""
        started = self.start(*arguments)
        out, err = started.communicate()
        assert started.returncode == code, out + err
        return out

    def pipeline(self, name: str, *settings: str, code: int = 0) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.run("--pipeline", name, "--json", *settings, code=code))
        return said

    def pipelines(self) -> dict[str, dict[str, Any]]:
        """Run them all but monitoring, with an approval between two deployments, and return what each said."""
        said = {name: self.pipeline(name) for name in ("features", "training")}
        said["gate"] = self.pipeline("deployment", code=4)
        self.run("approve", "--version", "1", "--reason", "Better.")
        return said | {name: self.pipeline(name) for name in ("deployment", "inference", "retraining")}

    def deploy_the_next(self) -> None:
        """Train another model, and deploy it."""
        self.pipeline("training", *NEXT)
        self.pipeline("deployment", *NEXT, code=4)
        self.run("approve", "--version", "2", "--reason", "No worse.")
        self.pipeline("deployment", *NEXT)


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
    deployed: Deployed
    secrets: frozenset[str]
    folder: Path


class Deployed(NamedTuple):
    """What the deployment job came to: each run by what it was of, and what `deployment-job wait` said."""

    runs: dict[str, Run]
    attempts: dict[str, list[str]]
    waits: tuple[str, str, str]


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, require: Callable[[object, str], None], postgresql_server: str
) -> Iterator[Both]:
    probe = ["unshare", "--mount", "--map-root-user", "true"]
    works = shutil.which("unshare") and not subprocess.run(probe, check=False, capture_output=True).returncode
    require(works, "`unshare --mount --map-root-user`, for /Volumes")
    folder = tmp_path_factory.mktemp("both")
    volumes, tables = folder / "workspace" / "files" / "Volumes", folder / "warehouse" / DATASET
    for made in (volumes, tables, folder / "zenml"):
        made.mkdir(parents=True)
    with psycopg.connect(postgresql_server, password="first", autocommit=True) as admin:
        admin.execute(f"CREATE ROLE jobs LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
    online = postgresql_server.replace("churn@", "jobs@")
    with sail_server(folder, volumes, require) as address, zenml_server(folder / "zenml") as zenml:
        brought = runtime(address, tables.parent)
        with (
            Warm(brought, volumes) as warm,
            Workspace(volumes.parents[1], runtime={**brought, "SPARK_REMOTE": address}, warm=warm) as workspace,
        ):
            laptop = User(warm, folder / "laptop", "local")
            there = {**zenml, **brought, **workspace.environment()}
            own = (
                "profile.databricks.jobs.poll_seconds=0.2",
                f"profile.online={{store: postgresql, address: '{online}'}}",
            )
            databricks = User(warm, folder / "databricks", "databricks", *own, **there)
            databricks.run("stack", "setup")
            workspace.secrets.values["churn"] = {"CHURN_ONLINE_PASSWORD": (PASSWORD, 0)}
            said = laptop.pipelines() | {"monitoring": laptop.pipeline("monitoring")}
            laptop.deploy_the_next()
            here = Side(said, laptop.state, laptop.state / "tables" / DATASET)
            away = Side(databricks.pipelines(), volumes / "main" / "churn" / "files", tables)
            interrupted = interrupt_monitoring(databricks, workspace)
            deployed = deploy_by_the_job(databricks, workspace)
            registry = MlflowModelRegistry(f"sqlite:///{laptop.state}/mlflow.db")
            secrets = frozenset({*workspace.tokens, PASSWORD, zenml["ZENML_STORE_PASSWORD"]})
            yield Both(here, away, workspace, registry, interrupted, deployed, secrets, folder)


def deploy_by_the_job(user: User, workspace: Workspace) -> Deployed:
    """Let the next version be deployed by the job that it starts, and others be refused by it."""
    user.run("deployment-job", "create", *NEXT)
    user.pipeline("training", *NEXT)
    waits = user.run("deployment-job", "wait", "--version", "2", code=4)
    (run,) = [run for run in workspace.jobs.runs.values() if run.parameters.get("model_version") == "2"]
    attempts = {"waits": results(run)}
    workspace.jobs.wait(workspace.mlflow.approve(FULL_NAME, 2), 600)
    attempts["approved"] = results(run)
    live = user.run("deployment-job", "wait", "--version", "2")
    models, versions = (
        workspace.files.path("/Models/" + FULL_NAME.replace(".", "/")),
        workspace.mlflow.models[FULL_NAME]["versions"],
    )
    shutil.copytree(models / "2", models / "3")
    versions[3] = {**versions[2], "version": "3", "tags": {**versions[2]["tags"], "Approval_Check": "Approved"}}
    versions[4] = {**versions[2], "version": "4", "tags": {**versions[2]["tags"], "dataset": "saas"}}
    runs = {"the next": run}
    for what, version in (("rejected", "3"), ("of another data set", "4"), ("missing", "9")):
        parameters = {"model_name": FULL_NAME, "model_version": version}
        started = workspace.client().jobs.run_now(run.job["job_id"], job_parameters=parameters).run_id
        runs[what] = workspace.jobs.wait(started, 600)
        attempts[what] = results(runs[what])
    failed = user.run("deployment-job", "wait", "--version", "3", code=3)
    del versions[3], versions[4]
    return Deployed(runs, attempts, (waits, live, failed))


def results(run: Run) -> list[str]:
    return [task.result for task in run.tasks]


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
    steps = {"features": 2, "training": 8, "gate": 4, "deployment": 4, "inference": 2, "retraining": 3, "monitoring": 2}
    names = {name: f"churn-{'deployment' if name == 'gate' else name}-{DATASET}" for name in PIPELINES}
    assert runs[: len(PIPELINES)] == [(names[name], steps[name], "SUCCESS") for name in PIPELINES]


@pytest.mark.parametrize("number", [1, 2])
def test_each_registered_model_is_the_same_to_the_last_bit(both: Both, number: int) -> None:
    laptop = next(version for version in both.registry.versions(MODEL) if version.version == number)
    model = both.workspace.mlflow.models[FULL_NAME]
    assert sorted(alias for alias, version in model["aliases"].items() if version == number) == sorted(laptop.aliases)
    databricks = model["versions"][number]["tags"]
    own = ("model_digest", "gate", "seed", "Approval_Check")
    names = [name for name in laptop.tags if name.startswith("metric_") or name in own]
    assert {"model_digest", "gate", "Approval_Check"} < {*names}
    assert {name: databricks.get(name) for name in names} == {name: laptop.tags[name] for name in names}


@pytest.mark.parametrize("table", TABLES_OF_A_RUN)
def test_each_table_holds_the_same_rows(both: Both, table: Any) -> None:
    here, there = (side.rows(TABLES[table].name) for side in (both.laptop, both.databricks))
    if table == "gate_reports":
        there = there.filter(pc.less(there["version"], 3))  # which the laptop does not have
    assert (there.column_names, there.schema.types) == (here.column_names, here.schema.types)
    assert there.num_rows == here.num_rows > 0
    for name in here.column_names:
        if name in ESTIMATED and table in SUMMED:
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
        measured_anew = {"size", "latency"}
        numbers = [
            {name: number for name, number in each.numbers.items() if name not in measured_anew} for each in records
        ]
        return [
            (each.kind, each.version, each.champion, each.verdicts, each.digests["model"], measured)
            for each, measured in zip(records, numbers, strict=True)
        ]

    away = [record for record in told(both.databricks) if record[1] in (1, 2)]
    assert away == told(both.laptop)
    assert [record[0] for record in away][-4:] == ["approved", "promotion_begun", "promoted", "deployed"]


def test_the_next_version_is_deployed_by_the_job_that_it_starts(both: Both) -> None:
    waits, live, _ = both.deployed.waits
    assert both.deployed.attempts["waits"] == ["SUCCESS", "FAILED", "UPSTREAM_FAILED"]
    assert "waits for a person" in waits
    assert both.deployed.attempts["approved"] == ["SUCCESS"] * 3
    assert "Version 2 of" in live
    run = both.deployed.runs["the next"]
    assert "customers are online" in run.tasks[2].output
    assert both.workspace.mlflow.models[FULL_NAME]["aliases"]["Champion"] == 2


@pytest.mark.parametrize(
    ("what", "attempts", "answer"),
    [
        ("rejected", ["SUCCESS", "FAILED", "UPSTREAM_FAILED"], "is not approved"),
        ("of another data set", ["FAILED", "UPSTREAM_FAILED", "UPSTREAM_FAILED"], "was trained on the data set saas"),
        ("missing", ["FAILED", "UPSTREAM_FAILED", "UPSTREAM_FAILED"], "has no version 9"),
    ],
)
def test_a_version_that_cannot_be_deployed_is_answered_and_recorded(
    both: Both, what: str, attempts: list[str], answer: str
) -> None:
    run = both.deployed.runs[what]
    assert both.deployed.attempts[what] == attempts, [task.output for task in run.tasks]
    failed = next(task for task in run.tasks if task.result == "FAILED")
    assert answer in failed.error
    assert "Traceback" not in failed.output
    version = run.parameters["model_version"]
    records = [json.loads(path.read_text()) for path in (both.databricks.files / "deployment-job").iterdir()]
    own = sorted((record for record in records if record["model_version"] == version), key=lambda record: record["at"])
    assert [(record["task"], record["passed"]) for record in own][-1] == (failed.key, False)
    assert answer in own[-1]["sentence"]
    assert both.workspace.mlflow.models[FULL_NAME]["aliases"]["Champion"] == 2


def test_a_rejected_version_is_on_record_in_the_ledger(both: Both) -> None:
    rows = both.databricks.rows("decisions").to_pylist()
    kinds = [record_of(row, "decisions").kind for row in rows if record_of(row, "decisions").version == 3]
    assert kinds[:1] == ["gate_refused"]
    assert "is not approved" in both.deployed.waits[2]


def test_no_secret_is_left_anywhere(both: Both) -> None:
    puts = both.workspace.calls("POST /api/2.0/secrets/put")
    sent = {f"{call.method} {call.path}": call.body for call in both.workspace.requests if call not in puts}
    login = both.folder / "databricks" / ".config" / "zenml" / "credentials.yaml"  # ZenML's own, of the user who types
    files = {str(path): path.read_bytes() for path in both.folder.rglob("*") if path.is_file() and path != login}
    outputs = {
        f"{run.run_id} {task.key}": task.output.encode()
        for run in both.workspace.jobs.runs.values()
        for task in run.tasks
    }
    jobs = {
        "jobs": json.dumps(both.workspace.jobs.jobs).encode(),
        "models": json.dumps(both.workspace.mlflow.models).encode(),
    }
    places = {**sent, **files, **outputs, **jobs}
    assert len(places) > 500
    secrets = [secret.encode() for secret in both.secrets]
    assert {place for place, content in places.items() for secret in secrets if secret in content} == set()


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
