"""The profile `hybrid`, typed: ZenML and computing here, runs and registered models in the workspace."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .warm import Warm
from .workspace import Workspace

ROOT = Path(__file__).parents[2]


Typed = Callable[..., tuple[int | None, str, str]]


@pytest.fixture
def typed(workspace: Workspace, tmp_path: Path, warm: Warm) -> Typed:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("ZENML_", "MLFLOW_", "XDG_"))}
    state = f"profile.state={tmp_path / 'state'}"

    def run(*arguments: str) -> tuple[int | None, str, str]:
        command = [str(ROOT / "run.py"), *arguments, "--stack", "hybrid", "--set", state]
        environment = {**own, **workspace.environment(), "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
        started = warm.start(command, environment, tmp_path, task=False)
        out, err = started.communicate()
        return started.returncode, out, err

    return run


def test_training_registers_in_unity_catalog_what_it_computed_here(
    workspace: Workspace, typed: Typed, tmp_path: Path
) -> None:
    small = ("--set", "simulation.customers=500", "--set", "tuning.mode=off", "--json")
    code, _, err = typed("--pipeline", "training", *small)
    assert code == 2
    assert "Make it: python run.py stack setup --stack hybrid" in err
    workspace.catalog.add_schema("main.telco_simulated")
    code, out, err = typed("--pipeline", "training", *small)
    assert code == 0, err
    result = json.loads(out)
    model = workspace.mlflow.models["main.telco_simulated.churn_telco_simulated"]
    assert (result["version"], model["aliases"]) == (1, {"Challenger": 1})
    assert model["versions"][1]["tags"]["data_table"] == "churn_training"
    assert workspace.files.path("/Models/main/telco_simulated/churn_telco_simulated/1/MLmodel").is_file()
    runs = list(workspace.files.path("/WorkspaceInternal/Mlflow/Artifacts").glob("*/Runs/*/artifacts/metrics.json"))
    assert len(runs) == 1, "all steps of a run write to one MLflow run"
    assert "Tracing" not in err
    left = [path for path in tmp_path.rglob("*") if path.is_file() and "workspace" not in path.parts]
    tokens = [token.encode() for token in workspace.tokens]
    held = [path for path in left if any(token in path.read_bytes() for token in tokens)]
    assert held == [], "a token lies in a file that the run left"
