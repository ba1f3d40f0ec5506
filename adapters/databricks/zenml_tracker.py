"""ZenML's experiment tracker for MLflow on Databricks, with the credentials that Databricks' SDK finds.

ZenML's own wants a token or secret stored with the component; here none is, on a laptop or in a job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator
from zenml.integrations.mlflow.experiment_trackers import MLFlowExperimentTracker
from zenml.integrations.mlflow.flavors import MLFlowExperimentTrackerFlavor
from zenml.integrations.mlflow.flavors.mlflow_experiment_tracker_flavor import MLFlowExperimentTrackerConfig

from churn.profile import DatabricksSettings

from ..mlflow.client import ensure_experiment
from .workspace import export

if TYPE_CHECKING:
    from mlflow.entities import Experiment
    from zenml.config.step_run_info import StepRunInfo

__all__ = ["TRACKER", "DatabricksTracker", "DatabricksTrackerConfig", "DatabricksTrackerFlavor"]

TRACKER = "databricks_mlflow"


class DatabricksTrackerConfig(MLFlowExperimentTrackerConfig):
    """`tracking_uri` is `databricks`; host and configuration profile are those of the project's profile."""

    tracking_uri: str = "databricks"
    enable_unity_catalog: bool = True
    config_profile: str | None = Field(default=None, description="As profile.databricks.config_profile.")

    @model_validator(mode="after")
    def _ensure_databricks_host_if_necessary(self) -> Self:
        """Need no host: the SDK finds it."""
        return self

    @model_validator(mode="after")
    def _ensure_exactly_one_authentication_method_if_necessary(self) -> Self:
        """Need no stored credential: the SDK finds one."""
        return self


class DatabricksTracker(MLFlowExperimentTracker):
    """One MLflow run for all steps of a ZenML run, found again by its name."""

    def prepare_step_run(self, info: StepRunInfo) -> None:
        """Let MLflow find the workspace, then open or find the run."""
        self.configure_mlflow()
        super().prepare_step_run(info)

    def _set_active_experiment(self, experiment_name: str) -> Experiment:
        """Return the experiment; MLflow's call that makes it the active one advertises something else."""
        from mlflow import MlflowClient

        return MlflowClient().get_experiment(ensure_experiment("databricks", experiment_name, None))

    def configure_mlflow(self) -> None:
        """Set addresses, and no credential."""
        config: DatabricksTrackerConfig = self.config  # type: ignore[assignment]
        settings = DatabricksSettings(host=config.databricks_host, config_profile=config.config_profile)
        super().configure_mlflow()
        export(settings, config.tracking_uri)


class DatabricksTrackerFlavor(MLFlowExperimentTrackerFlavor):
    """The flavor, for ZenML's list of them."""

    @property
    def name(self) -> str:
        """The flavor's name in a profile."""
        return TRACKER

    @property
    def display_name(self) -> str:
        """The flavor's name in the dashboard."""
        return "MLflow on Databricks"

    @property
    def config_class(self) -> type[DatabricksTrackerConfig]:
        """What it is configured with."""
        return DatabricksTrackerConfig

    @property
    def implementation_class(self) -> type[DatabricksTracker]:
        """What it does."""
        return DatabricksTracker
