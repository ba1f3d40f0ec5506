"""A workspace in which MLflow's unmodified client finds experiments and registered models."""

from __future__ import annotations

import os

from adapters.databricks.workspace import export, make_folder
from churn.profile import DatabricksSettings

from .workspace import Workspace

__all__ = ["FOLDER", "reached"]

FOLDER = "/Shared/churn"


def reached(workspace: Workspace) -> DatabricksSettings:
    """Let this process work with a workspace as a profile does, and return the profile's section."""
    settings = DatabricksSettings(host=workspace.url, retry_timeout_seconds=5)
    os.environ.update(workspace.environment())
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    export(settings, "databricks")
    make_folder(settings)
    return settings
