"""The profile `hybrid`, typed: ZenML and computing here, runs and registered models in the workspace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .workspace import Workspace

ROOT = Path(__file__).parents[2]


Typed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def typed(workspace: Workspace, tmp_path: Path) -> Typed:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("ZENML_", "MLFLOW_", "XDG_"))}
    state = f"profile.state={tmp_path / 'state'}"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "run.py", *arguments, "--stack", "hybrid", "--set", state]
        environment = {**own, **workspace.environment(), "HOME": str(tmp_path)}
        return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)

    return run


def test_training_registers_in_unity_catalog_what_it_computed_here(
    workspace: Workspace, typed: Typed, tmp_path: Path
) -> None:
    small = ("--set", "simulation.customers=500", "--set", "tuning.mode=off", "--json")
    refused = typed("--pipeline", "training", *small)
    assert refused.returncode == 2
    assert "Make it: python run.py stack setup --stack hybrid" in refused.stderr
    workspace.catalog.add_schema("main.telco_simulated")
    done = typed("--pipeline", "training", *small)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    model = workspace.mlflow.models["main.telco_simulated.churn_telco_simulated"]
    assert (result["version"], model["aliases"]) == (1, {"Challenger": 1})
    assert model["versions"][1]["tags"]["data_table"] == "churn_training"
    assert workspace.files.path("/Models/main/telco_simulated/churn_telco_simulated/1/MLmodel").is_file()
    runs = list(workspace.files.path("/WorkspaceInternal/Mlflow/Artifacts").glob("*/Runs/*/artifacts/metrics.json"))
    assert len(runs) == 1, "all steps of a run write to one MLflow run"
    assert "Tracing" not in done.stderr
    left = [path for path in tmp_path.rglob("*") if path.is_file() and "workspace" not in path.parts]
    tokens = [token.encode() for token in workspace.tokens]
    held = [path for path in left if any(token in path.read_bytes() for token in tokens)]
    assert held == [], "a token lies in a file that the run left"
