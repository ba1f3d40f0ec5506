"""Each command that changes a workspace, with a fault at each of its calls: typed again it leaves what it should.

A call is refused (429, 503), dropped, or its answer is lost after its effect; or nobody answers from that call on, as
when the command is killed there. What is there in the end is what a command leaves to which nothing happened.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk.clock import RealClock

from adapters.databricks.code import Code
from adapters.databricks.deployment_job import DeploymentJob
from adapters.databricks.jobs import job_payload, place_job
from adapters.databricks.monitor import PlatformMonitor
from adapters.databricks.stack import destroy, setup
from churn.core.errors import ChurnError
from churn.profile import DatabricksSettings, JobSettings, MonitorSettings
from churn.settings import Settings, load_contract, read_configuration
from cli.context import CONFIGS

from .serving_case import ServingCase
from .workspace import Workspace

pytestmark = pytest.mark.timeout(300)

TELCO = load_contract(CONFIGS, "telco")
LAKEBASE = "projects/online/branches/production/endpoints/primary"
CHANGING = {"POST", "PUT", "PATCH", "DELETE"}
ALWAYS = 1_000_000
Command = Callable[[], object]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SDK's clock run while it waits, so that a workspace that is away costs no time."""
    now = [1_000_000.0]
    monkeypatch.setattr(RealClock, "time", lambda _: now[0])
    monkeypatch.setattr(RealClock, "sleep", lambda _, seconds: now.__setitem__(0, now[0] + seconds))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel is, which is built once."""
    return tmp_path_factory.mktemp("state")


def settings_of(**more: Any) -> DatabricksSettings:
    return DatabricksSettings(retry_timeout_seconds=5, **more)


def jobs_of(settings: DatabricksSettings) -> list[dict[str, Any]]:
    with_jobs = settings.model_copy(update={"jobs": JobSettings()})
    folder = f"{settings.volume_path}/code"
    code = Code(f"{folder}/churn.whl", f"{folder}/requirements.txt", f"{folder}/profile.json")
    return [
        job_payload(with_jobs, name, "telco", {"ingest": [], "train": ["ingest"]}, code)
        for name in ("training", "features")
    ]


def _setup(workspace: Workspace, state: Path) -> Command:
    settings = settings_of()
    files = {f"{settings.volume_path}/code/churn.whl": b"wheel", f"{settings.volume_path}/code/profile.json": b"{}"}
    return lambda: setup(settings, TELCO, files=True, lakebase=LAKEBASE, jobs=jobs_of(settings), code=files)


def _deployment_job(workspace: Workspace, state: Path) -> Command:
    job, settings = _linkable(workspace, state)
    return lambda: job.create(settings)


def _unlink(workspace: Workspace, state: Path) -> Command:
    job, settings = _linkable(workspace, state)
    job.create(settings)
    return job.unlink


def _linkable(workspace: Workspace, state: Path) -> tuple[DeploymentJob, Settings]:
    workspace.catalog.add_volume("main.churn.files")
    workspace.catalog.add_schema("main.telco")
    own = (f"profile.state={state}", "profile.databricks.jobs={timeout_seconds: 600}")
    settings, profile = read_configuration(
        CONFIGS, "hybrid", None, (*own, "profile.databricks.retry_timeout_seconds=5")
    )
    return DeploymentJob(profile, TELCO, "churn_telco"), settings


def _first_release(workspace: Workspace, state: Path) -> Command:
    case = ServingCase(workspace, can_query=["group:crm"])
    return lambda: case.host.ensure(1, within=5)


def _next_release(workspace: Workspace, state: Path) -> Command:
    case = ServingCase(workspace, log="own")
    case.host.ensure(1, within=5)
    return lambda: case.host.ensure(2, within=5)


def _monitor(workspace: Workspace, state: Path) -> Command:
    settings = settings_of(monitor=MonitorSettings(warehouse_id="0a1b"))
    table = "main.telco.churn_predictions"
    workspace.catalog.add_schema("main.telco")
    workspace.catalog.schemas["main.telco"]["schema_id"] = "5c"
    workspace.catalog.tables[table] = {"full_name": table, "table_id": "7f"}
    monitor = PlatformMonitor(workspace.client(), settings, "telco", "main.telco")
    return lambda: (monitor.place(), monitor.place_alert())


def _destroy(workspace: Workspace, state: Path) -> Command:
    case, client = ServingCase(workspace), workspace.client()
    case.host.ensure(1, within=5)
    _setup(workspace, state)()
    settings = settings_of(jobs=JobSettings(), monitor=MonitorSettings(warehouse_id="0a1b"))
    PlatformMonitor(client, settings, "telco", "main.telco").place_alert()
    client.jobs.create(name="somebody's")
    workspace.secrets.values["churn"] = {"schedule-7": ("token", 0), "somebody's": ("password", 0)}
    (nightly, _) = jobs_of(settings)
    nightly |= {"name": "churn-schedule-nightly", "parameters": [{"name": "secret", "default": "schedule-7"}]}
    place_job(client, settings, nightly)
    return lambda: destroy(settings)


COMMANDS = {
    "stack setup": _setup,
    "deployment-job create": _deployment_job,
    "deployment-job unlink": _unlink,
    "a first release": _first_release,
    "the next release": _next_release,
    "stack monitor": _monitor,
    "stack destroy": _destroy,
}
TRANSIENT, DEAD, DEAD_AFTER = ("429", "503", "drop", "lose"), "dead", "dead after its effect"


def inject(workspace: Workspace, fault: str, call: int) -> None:
    """Let something go wrong with a call, or with it and all that come after it."""
    faults = workspace.faults
    if fault.isdigit():
        faults.refuse(".*", int(fault), after=call)
    if fault == "drop":
        faults.drop(".*", after=call)
    if fault in ("lose", DEAD_AFTER):
        faults.lose(".*", after=call)
    if fault in (DEAD, DEAD_AFTER):
        faults.drop(".*", times=ALWAYS, after=call)


def content(workspace: Workspace) -> dict[str, Any]:
    """Return all that is in a workspace, with numbers that it gave itself left out."""
    jobs = {job["job_id"]: job["settings"] for job in workspace.jobs.jobs.values()}
    names = {str(job_id): settings["name"] for job_id, settings in jobs.items()}
    root = workspace.files.folder
    return copy.deepcopy(
        {
            "schemas": [
                (name, found.get("comment"), found.get("properties"))
                for name, found in sorted(workspace.catalog.schemas.items())
            ],
            "volumes": [(name, found.get("comment")) for name, found in sorted(workspace.catalog.volumes.items())],
            "tags": workspace.catalog.tags,
            "files": sorted(
                (str(path.relative_to(root)), path.stat().st_size if path.is_file() else None)
                for path in root.rglob("*")
            ),
            "jobs": sorted(jobs.values(), key=lambda job: job["name"]),
            "models": {
                name: {
                    **model,
                    "created": 0,
                    "updated": 0,
                    "deployment_job_id": names.get(str(model.get("deployment_job_id")), ""),
                }
                for name, model in workspace.mlflow.models.items()
            },
            "endpoints": {
                name: {key: found.get(key) for key in ("tags", "state", "telemetry_config", "ai_gateway")}
                | {"config": {k: v for k, v in (found.get("config") or {}).items() if k != "config_version"}}
                for name, found in workspace.serving.endpoints.items()
            },
            "grants": [
                sorted(json.dumps(entry, sort_keys=True) for entry in granted)
                for granted in workspace.serving.grants.values()
            ],
            "lakebase": sorted(name for name in workspace.lakebase.resources if "/operations/" not in name),
            "monitors": workspace.monitors.monitors,
            "alerts": [
                {key: value for key, value in alert.items() if key != "id"}
                for alert in workspace.monitors.alerts.values()
            ],
            "secrets": {scope: sorted(values) for scope, values in workspace.secrets.values.items()},
        }
    )


def changes(workspace: Workspace) -> list[str]:
    """Return what changed something; permissions are granted anew each time."""
    asked = [f"{request.method} {request.path}" for request in workspace.requests if request.method in CHANGING]
    return [route for route in asked if "/permissions/" not in route]


def cases(name: str, calls: list[str]) -> Iterator[tuple[int, str]]:
    """Yield each call with what happens to it: a read is not answered; what changes something is struck in turn."""
    for call, route in enumerate(calls):
        if "/fs/" in route and name != "stack setup":
            continue  # the same uploads
        if route.split()[0] not in CHANGING:
            if name != "deployment-job create":  # which takes long, and reads as `unlink` does
                yield call, DEAD
            continue
        yield call, TRANSIENT[call % len(TRANSIENT)]
        yield call, DEAD_AFTER


@pytest.mark.parametrize("name", COMMANDS)
def test_a_fault_at_any_call_leaves_what_no_fault_leaves_once_the_command_is_typed_again(
    name: str, state: Path, tmp_path: Path
) -> None:
    def run(fault: str, call: int) -> tuple[dict[str, Any], list[str]]:
        """Return what is left and what was wrong; without a fault, what is asked."""
        with Workspace(tmp_path / f"{call}-{fault}") as workspace, pytest.MonkeyPatch.context() as patch:
            for key, value in workspace.environment().items():
                patch.setenv(key, value)
            command = COMMANDS[name](workspace, state)
            before, wrong = len(workspace.requests), list[str]()
            inject(workspace, fault, call)
            try:
                command()
            except ChurnError as error:
                wrong = [f"was not tried again: {error}"] * (fault in TRANSIENT)
                workspace.faults.clear()
                command()
            workspace.faults.clear()
            if not fault:
                return content(workspace), [f"{one.method} {one.path}" for one in workspace.requests[before:]]
            left, changed = content(workspace), len(changes(workspace))
            command()
            return left, wrong + [f"typed again: {route}" for route in changes(workspace)[changed:]]

    clean, calls = run("", 0)
    wrong: list[str] = []
    for call, fault in cases(name, calls):
        left, more = run(fault, call)
        more += [f"{key} is {left[key]}, not {clean[key]}" for key in clean if clean[key] != left[key]]
        wrong += [f"{fault} at {calls[call]}: {text}" for text in more]
    assert not wrong, "\n".join(wrong)
