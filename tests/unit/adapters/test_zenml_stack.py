"""The ZenML stack that a profile describes."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.local.zenml import component_settings
from churn.core.errors import ConfigError
from churn.settings import read_configuration

CONFIGS = Path(__file__).parents[3] / "configs"


def test_the_stacks_tracker_has_the_one_mlflow_address_of_the_profile() -> None:
    profile = read_configuration(CONFIGS, overrides=["profile.mlflow.tracking_uri=http://mlflow:5000"]).profile
    assert component_settings(profile, "experiment_tracker") == {"tracking_uri": "http://mlflow:5000"}
    assert component_settings(profile, "artifact_store") == {"path": f"{profile.state}/artifacts"}


def test_a_second_mlflow_address_is_refused() -> None:
    override = "profile.stack.experiment_tracker.settings={tracking_uri: 'sqlite:///other.db'}"
    with pytest.raises(ConfigError, match=r"the address of MLflow is `profile\.mlflow\.tracking_uri` alone"):
        read_configuration(CONFIGS, overrides=[override])


def test_artifacts_on_databricks_lie_in_the_volume_of_the_profile() -> None:
    asked = ["profile.databricks.catalog=dev", "profile.databricks.config_profile=ada"]
    profile = read_configuration(CONFIGS, "databricks", overrides=asked).profile
    expected = {"path": "volumes://dev/churn/files/artifacts", "config_profile": "ada"}
    assert component_settings(profile, "artifact_store") == expected


@pytest.mark.parametrize("stack", ["databricks", "hybrid"])
def test_runs_on_databricks_are_tracked_with_the_credentials_that_the_sdk_finds(stack: str) -> None:
    profile = read_configuration(CONFIGS, stack, overrides=["profile.databricks.host=https://w.example.com"]).profile
    expected = {"tracking_uri": "databricks", "databricks_host": "https://w.example.com"}
    assert component_settings(profile, "experiment_tracker") == expected
