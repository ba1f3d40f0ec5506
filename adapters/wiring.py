"""The one place that turns a profile into adapters; each is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from churn.contract import DatasetContract
from churn.errors import ContractError
from churn.ingest import Source
from churn.ports import ExperimentTracker, FeatureStore, ModelRegistry
from churn.scoring import Scorer
from churn.settings import Profile, Settings

__all__ = [
    "build_package",
    "code_version",
    "ensure_stack",
    "experiment_tracker",
    "feature_store",
    "model_registry",
    "source",
]


def feature_store(profile: Profile, dataset: str) -> FeatureStore:
    """Return the tables of one dataset, named as `Settings.namespace` or a table reference names it."""
    from adapters.local.feature_store import LocalFeatureStore

    limits = profile.resources
    return LocalFeatureStore(profile.tables, dataset, memory_limit=limits.memory_limit, threads=limits.threads)


def model_registry(profile: Profile) -> ModelRegistry:
    """Return the registry of models."""
    from adapters.mlflow_registry import MlflowModelRegistry

    return MlflowModelRegistry(profile.mlflow.tracking_uri, profile.mlflow.registry_uri)


def experiment_tracker(profile: Profile, experiment: str) -> ExperimentTracker:
    """Return the record of the run that the stack's experiment tracker has opened for this step."""
    from adapters.mlflow_tracker import MlflowTracker, active_run_id

    return MlflowTracker(profile.mlflow.tracking_uri, experiment, profile.mlflow.artifacts, run_id=active_run_id())


def source(settings: Settings, contract: DatasetContract) -> Source:
    """Return the rows to work on: the user's table, or the contract's simulation.

    Raises:
        ContractError: the table cannot be read, or there is neither a table nor a simulation.
    """
    if settings.data is not None:
        from adapters.local.sources import read_source

        return read_source(settings.data)
    if contract.simulator is None:
        raise ContractError(f"The contract {contract.name!r} names no `simulator`: give your table with --data PATH.")
    from churn.simulator import simulate

    return Source(f"the {contract.simulator} simulation", simulate(contract.simulator, settings.simulation))


def build_package(scorer: Scorer, folder: Path, example: pd.DataFrame, metadata: Mapping[str, str]) -> tuple[Path, str]:
    """Return the scorer packaged for the registry, and the digest of what it does."""
    from adapters.mlflow_package import build_package as build
    from adapters.mlflow_package import package_digest

    package = build(scorer, folder, example=example, metadata=metadata)
    return package, package_digest(package)


def code_version() -> str:
    """Return the commit of this project's code."""
    from adapters.local.git import commit_of

    return commit_of(Path(__file__).parents[1])


def ensure_stack(profile: Profile, experiment: str) -> str:
    """Return the id of the profile's ZenML stack, and see to it that the MLflow experiment is there."""
    from adapters.local.zenml_stack import ensure_stack as register
    from adapters.mlflow_client import ensure_experiment

    ensure_experiment(profile.mlflow.tracking_uri, experiment, profile.mlflow.artifacts)
    return register(profile)
