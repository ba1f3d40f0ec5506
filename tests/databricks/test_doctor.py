"""What `doctor` finds of a workspace: each fault with its remedy, and nothing is changed."""

from __future__ import annotations

import datetime as dt
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from databricks.sdk.service.catalog import PermissionsChange, Privilege

from adapters.databricks.doctor import diagnose_workspace
from adapters.databricks.reach import NAME
from adapters.local.machine_checks import Finding
from churn.profile import Profile
from churn.settings import read_configuration

from .workspace import Workspace, unreachable

CONFIGS = Path(__file__).parents[2] / "configs"
GRANTS = {
    ("catalog", "main"): [Privilege.USE_CATALOG],
    ("schema", "main.telco"): [Privilege.USE_SCHEMA, Privilege.CREATE_TABLE, Privilege.CREATE_MODEL],
    ("schema", "main.churn"): [Privilege.USE_SCHEMA, Privilege.CREATE_TABLE, Privilege.CREATE_MODEL],
    ("volume", "main.churn.files"): [Privilege.READ_VOLUME, Privilege.WRITE_VOLUME],
}


def profile_of(stack: str, **asked: str) -> Profile:
    return read_configuration(
        CONFIGS, stack, overrides=[f"profile.{key}={value}" for key, value in asked.items()]
    ).profile


class Health(BaseHTTPRequestHandler):
    """A ZenML server that is well."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def zenml() -> Iterator[str]:
    """The address of a ZenML server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def ready(workspace: Workspace, zenml: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Workspace:
    """A workspace in which everything is there and granted, and a ZenML client of a server."""
    for name, value in {**workspace.environment(), "ZENML_STORE_URL": zenml}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    workspace.catalog.add_volume("main.churn.files")
    workspace.catalog.add_schema("main.telco")
    workspace.lakebase.add_project("churn")
    client = workspace.client("admins")
    for (kind, name), privileges in GRANTS.items():
        client.grants.update(kind, name, changes=[PermissionsChange(principal="ada@example.com", add=privileges)])
    workspace.requests.clear()
    return workspace


def look(stack: str = "databricks", later: float = 0) -> dict[str, Finding]:
    now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=later)
    return {finding.name: finding for finding in diagnose_workspace(profile_of(stack), "main.telco", now)}


def test_where_everything_is_there_nothing_fails_and_nothing_is_changed(ready: Workspace) -> None:
    found = look()
    assert {name: finding.status for name, finding in found.items() if finding.status == "fail"} == {}
    assert found["workspace"].found.endswith("as ada@example.com")
    assert found["credentials"].found == "pat, from DATABRICKS_TOKEN"
    assert "packages are replaced" in found["runtime"].found
    assert found["online store"].found == "lakebase at projects/churn/branches/production/endpoints/primary"
    assert {request.path for request in ready.requests if request.method != "GET"} == {
        *(f"/api/2.0/workspace/{what}" for what in ("mkdirs", "import", "delete")),
        "/api/2.2/jobs/runs/submit",
    }


def test_an_online_store_that_is_not_there_is_told_with_the_command_that_makes_it(ready: Workspace) -> None:
    ready.lakebase.resources.clear()
    finding = look()["online store"]
    assert (finding.status, finding.remedy) == ("fail", "python run.py stack setup --stack databricks")
    assert "projects/churn/branches/production/endpoints/primary does not exist" in finding.found


def test_a_job_of_one_task_tries_the_zenml_server_and_leaves_nothing_but_its_run(ready: Workspace) -> None:
    python = ".".join(map(str, sys.version_info[:3]))
    finding = look()[NAME]
    assert (finding.status, python in finding.found) == ("ok" if python.startswith("3.12.") else "warn", True)
    assert [*ready.client().jobs.list()] == []
    assert [*ready.files.path("/Workspace/Shared/churn").iterdir()] == []


def test_a_zenml_server_that_no_task_reaches_is_told_with_the_reason(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("ZENML_STORE_URL", address)
    finding = look()[NAME]
    assert finding.status == "fail"
    assert f"a task does not reach {address} (urllib.error.URLError: <urlopen error" in finding.found
    assert "network policy" in finding.remedy


@pytest.mark.parametrize("fault", ["refused", "lost"])
def test_a_job_that_may_not_be_started_is_no_verdict_and_a_lost_answer_no_second_run(
    ready: Workspace, fault: str
) -> None:
    if fault == "refused":
        ready.faults.refuse("POST /api/2.2/jobs/runs/submit", 403)
        finding = look()[NAME]
        assert (finding.status, "Injected by the test" in finding.found) == ("warn", True)
    else:
        ready.faults.lose("POST /api/2.2/jobs/runs/submit")
        look()
        assert len(ready.jobs.runs) == 1


@pytest.mark.parametrize(
    ("kind", "name", "privilege"),
    [
        ("catalog", "main", Privilege.USE_CATALOG),
        ("schema", "main.telco", Privilege.CREATE_MODEL),
        ("volume", "main.churn.files", Privilege.WRITE_VOLUME),
    ],
)
def test_the_exact_missing_privilege_is_named_with_the_statement_that_grants_it(
    ready: Workspace, kind: str, name: str, privilege: Privilege
) -> None:
    change = PermissionsChange(principal="ada@example.com", remove=[privilege])
    ready.client("admins").grants.update(kind, name, changes=[change])
    finding = look()[f"{kind} {name}"]
    shown = privilege.value.replace("_", " ")
    assert (finding.status, finding.found) == ("fail", f"without {shown}")
    assert finding.remedy == f"GRANT {shown} ON {kind.upper()} `{name.replace('.', '`.`')}` TO `ada@example.com`"


def test_rights_on_a_registered_model_of_somebody_else_are_looked_at(ready: Workspace) -> None:
    model = "main.telco.churn_telco"
    ready.mlflow.models[model] = {"name": model, "versions": {}, "aliases": {}, "tags": {}}
    finding = look()[f"model {model}"]
    needed = "EXECUTE, APPLY TAG"
    assert (finding.status, finding.found) == ("fail", f"without {needed}")
    assert finding.remedy == f"GRANT {needed} ON FUNCTION `main`.`telco`.`churn_telco` TO `ada@example.com`"
    granted = [Privilege.EXECUTE, Privilege.APPLY_TAG]
    change = PermissionsChange(principal="ada@example.com", add=granted)
    ready.client("admins").grants.update("function", model, changes=[change])
    assert look()[f"model {model}"].status == "ok"
    ready.mlflow.models[model]["owner"] = "ada@example.com"
    assert look()[f"model {model}"].status == "ok"


def test_what_may_not_be_seen_at_all_is_named_too(ready: Workspace) -> None:
    ready.catalog.deny("USE SCHEMA", "main.telco")
    finding = look()["schema main.telco"]
    assert finding.status == "fail"
    assert finding.remedy == "GRANT USE SCHEMA ON SCHEMA `main`.`telco` TO `ada@example.com`"


def test_what_is_missing_is_made_by_the_setup(ready: Workspace) -> None:
    del ready.catalog.volumes["main.churn.files"]
    finding = look()["volume main.churn.files"]
    assert (finding.status, finding.remedy) == ("fail", "python run.py stack setup --stack databricks")


@pytest.mark.parametrize(("later", "status"), [(50, "ok"), (120, "fail"), (-120, "fail")])
def test_a_clock_that_is_off_is_told(ready: Workspace, later: float, status: str) -> None:
    assert look(later=later)["clock"].status == status


def test_a_job_needs_a_zenml_server_and_a_laptop_does_not(ready: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look()["ZenML server"].status == "ok"
    monkeypatch.setenv("ZENML_STORE_URL", "sqlite:////home/ada/zenml.db")
    assert look()["ZenML server"].status == "fail"
    assert look("hybrid")["ZenML server"].status == "ok"


def test_a_table_that_forgets_its_versions_is_named(ready: Workspace) -> None:
    kept = {"properties": {"delta.deletedFileRetentionDuration": "interval 3650 days"}}
    ready.catalog.tables["main.telco.kept"] = {"full_name": "main.telco.kept", "name": "kept", **kept}
    assert look()["retention"].status == "ok"
    ready.catalog.tables["main.telco.old"] = {"full_name": "main.telco.old", "name": "old"}
    assert look()["retention"].found == "old: Databricks removes replaced files after 7 days"


def test_a_login_that_ended_and_a_workspace_that_is_away_end_the_look(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for token in ready.tokens:
        ready.expire(token)
    [finding] = look().values()
    assert (finding.status, "expired" in finding.found) == ("fail", True)
    assert "databricks auth login" in finding.remedy
    with unreachable() as silent:
        monkeypatch.setenv("DATABRICKS_HOST", silent)
        [finding] = look().values()
    assert finding.status == "fail"
    assert "check the address" in finding.remedy
