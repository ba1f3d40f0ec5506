"""Runs on Databricks keep every promise of the tracker's port, through MLflow's own client."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from adapters.mlflow.tracker import MlflowTracker
from tests.contract import test_experiment_tracker as suite
from tests.contract.test_experiment_tracker import *  # noqa: F403 - the suite of the port, with `place` below
from tests.contract.test_experiment_tracker import Place, Recorded

from .mlflow_places import FOLDER, reached
from .workspace import Workspace

numbers = itertools.count()


@pytest.fixture
def place(shared_workspace: Workspace) -> Place:
    from mlflow import MlflowClient

    reached(shared_workspace)
    tracker = MlflowTracker("databricks", f"{FOLDER}/training", None)

    def read() -> Recorded:
        recorded = suite.read_mlflow("databricks", tracker.run_id())
        run = MlflowClient(tracking_uri="databricks").get_run(tracker.run_id())
        place = f"/WorkspaceInternal/Mlflow/Artifacts/{run.info.experiment_id}/Runs/{run.info.run_id}/artifacts"
        root = shared_workspace.files.path(place)
        files = {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}
        return dataclasses.replace(recorded, files=files)

    tracker.run_id()
    return Place(tracker, read)


def test_an_experiment_lies_in_the_folder_of_the_profile(shared_workspace: Workspace, place: Place) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri="databricks")
    experiment = client.get_experiment(client.get_run(place.tracker.run_id()).info.experiment_id)
    assert experiment.name == f"{FOLDER}/training"
    assert experiment.artifact_location.startswith("dbfs:/databricks/mlflow-tracking/")


def test_an_experiment_whose_creation_was_answered_by_nobody_is_found_again(shared_workspace: Workspace) -> None:
    reached(shared_workspace)
    shared_workspace.faults.lose("POST /api/2.0/mlflow/experiments/create")
    tracker = MlflowTracker("databricks", f"{FOLDER}/lost_{next(numbers)}", None)
    assert tracker.run_id()
