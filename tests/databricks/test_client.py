"""Finding a workspace: credentials, addresses, and what is told where there are none."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from adapters.databricks.workspace import client_of, explained, export, tags_of
from churn.core.errors import NotFound, StoreError
from churn.profile import DatabricksSettings

from .workspace import Workspace, unreachable

SHORT = DatabricksSettings(retry_timeout_seconds=2, http_timeout_seconds=2)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials but those of the test."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_CONFIG_PROFILE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def test_the_environment_a_configuration_profile_and_a_service_principal_are_found(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = f"[DEFAULT]\n[ada]\nhost = {workspace.url}\ntoken = {workspace.token('ada')}\n"
    (tmp_path / ".databrickscfg").write_text(text)
    assert client_of(DatabricksSettings(config_profile="ada")).current_user.me().user_name == "ada"
    for name, value in workspace.environment("bob").items():
        monkeypatch.setenv(name, value)
    assert client_of(DatabricksSettings()).current_user.me().user_name == "bob"
    monkeypatch.delenv("DATABRICKS_TOKEN")
    for name, value in workspace.service_principal("ci").items():
        monkeypatch.setenv(name, value)
    assert client_of(DatabricksSettings(host=workspace.url)).current_user.me().user_name == "ci"


def test_without_credentials_the_remedy_is_told(workspace: Workspace) -> None:
    for settings in (DatabricksSettings(), DatabricksSettings(host=workspace.url)):
        with pytest.raises(StoreError, match=r"No credentials for Databricks were found .*databricks auth login"):
            client_of(settings)


@pytest.mark.parametrize("kind", ["refused", "silent"])
def test_a_workspace_that_is_down_is_told_within_half_a_minute(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi0")
    started = time.monotonic()
    with unreachable() as silent, pytest.raises(StoreError, match=r"does not answer .*check the address"):
        client_of(DatabricksSettings(host=silent if kind == "silent" else "http://127.0.0.1:9"))
    assert time.monotonic() - started < 30


def test_each_refusal_is_told_with_what_to_do(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = workspace.environment()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    client = client_of(SHORT)
    with (
        pytest.raises(NotFound, match=r"could not read the schema: Schema 'main\.none' does not exist\.$"),
        explained("read the schema"),
    ):
        client.schemas.get("main.none")
    workspace.catalog.deny("USE CATALOG", "main")
    with (
        pytest.raises(StoreError, match=r"USE CATALOG on Catalog 'main'\. Ask an administrator"),
        explained("read the schema"),
    ):
        client.schemas.get("main.none")
    workspace.faults.refuse("GET .*", 429, times=100)
    with (
        pytest.raises(StoreError, match=r"did not answer in time .*Type the command again later"),
        explained("read the schema"),
    ):
        client.schemas.get("main.none")
    workspace.faults.clear()
    workspace.expire(environment["DATABRICKS_TOKEN"])
    with pytest.raises(StoreError, match=r"expired\. Your login has ended: log in with"), explained("read the schema"):
        client.schemas.get("main.none")


def test_mlflow_in_this_process_and_its_children_finds_the_same_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    export(DatabricksSettings(config_profile="ada"), "databricks")
    shown = {
        name: os.environ.get(name) for name in ("DATABRICKS_HOST", "DATABRICKS_CONFIG_PROFILE", "MLFLOW_TRACKING_URI")
    }
    assert shown == {"DATABRICKS_HOST": None, "DATABRICKS_CONFIG_PROFILE": "ada", "MLFLOW_TRACKING_URI": "databricks"}
    assert os.environ["MLFLOW_USE_DATABRICKS_SDK_MODEL_ARTIFACTS_REPO_FOR_UC"] == "true"


def test_what_is_made_carries_the_id_of_the_project() -> None:
    assert tags_of(DatabricksSettings(project="dev"), dataset="telco") == {
        "managed_by": "churn",
        "churn_project": "dev",
        "dataset": "telco",
    }
