"""The one place that turns a profile into adapters; each is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from churn.approval.governance import Governance
from churn.core.errors import ConfigError, ContractError, ModelError
from churn.data.contract import DatasetContract
from churn.data.ingest import Source
from churn.gate.candidate import Candidate
from churn.model.scorer import Scorer
from churn.ports.ledger import DecisionLedger
from churn.ports.registry import MODEL_DIGEST, ModelRegistry, ModelVersion
from churn.ports.stages import StageMirror
from churn.ports.tables import FeatureStore
from churn.ports.tracker import ExperimentTracker
from churn.scoring.engine import BatchEngine
from churn.scoring.settings import Engine
from churn.settings import Profile, Settings

if TYPE_CHECKING:
    from .mlflow.load import PackagedScorer

__all__ = [
    "batch_engine",
    "build_package",
    "candidate",
    "code_version",
    "decision_ledger",
    "ensure_stack",
    "experiment_tracker",
    "feature_store",
    "governance",
    "identity",
    "model_registry",
    "packaged_scorer",
    "source",
    "stage_mirror",
]


def feature_store(profile: Profile, dataset: str) -> FeatureStore:
    """Return the tables of one dataset, named as `Settings.namespace` or a table reference names it."""
    from .local.feature_store import LocalFeatureStore

    limits = profile.resources
    return LocalFeatureStore(profile.tables, dataset, memory_limit=limits.memory_limit, threads=limits.threads)


def model_registry(profile: Profile) -> ModelRegistry:
    """Return the registry of models."""
    from .mlflow.registry import MlflowModelRegistry

    return MlflowModelRegistry(profile.mlflow.tracking_uri, profile.mlflow.registry_uri)


def decision_ledger(profile: Profile, dataset: str) -> DecisionLedger:
    """Return the record of decisions about the models of one dataset."""
    from .local.decision_ledger import LocalDecisionLedger

    return LocalDecisionLedger(profile.tables, dataset)


def stage_mirror(profile: Profile) -> StageMirror:
    """Return what the dashboard shows of the versions of a model."""
    from .local.zenml_models import ZenmlStageMirror

    return ZenmlStageMirror()


def governance(settings: Settings, dataset: str, model: str) -> Governance:
    """Return everything that decisions about one model need; its ledger lies with the tables of `dataset`."""
    profile = settings.profile
    registry, ledger = model_registry(profile), decision_ledger(profile, dataset)
    return Governance(registry, ledger, stage_mirror(profile), model, settings.approval)


def identity() -> str:
    """Return who runs this: `CHURN_USER`, or the user of the operating system.

    Raises:
        ConfigError: neither is known.
    """
    import getpass
    import os

    try:
        return os.environ.get("CHURN_USER", "").strip() or getpass.getuser()
    except (OSError, KeyError) as error:
        raise ConfigError("The operating system does not know who you are: set CHURN_USER to your name.") from error


def experiment_tracker(profile: Profile, experiment: str) -> ExperimentTracker:
    """Return the record of the run that the stack's experiment tracker has opened for this step."""
    from .mlflow.tracker import MlflowTracker, active_run_id

    return MlflowTracker(profile.mlflow.tracking_uri, experiment, profile.mlflow.artifacts, run_id=active_run_id())


def source(settings: Settings, contract: DatasetContract) -> Source:
    """Return the rows to work on: the user's table, or the contract's simulation.

    Raises:
        ContractError: the table cannot be read, or there is neither a table nor a simulation.
    """
    if settings.data is not None:
        from .local.sources import read_source

        return read_source(settings.data)
    if contract.simulator is None:
        raise ContractError(f"The contract {contract.name!r} names no `simulator`: give your table with --data PATH.")
    from churn.simulation import simulate

    return Source(f"the {contract.simulator} simulation", simulate(contract.simulator, settings.simulation))


def build_package(
    scorer: Scorer, folder: Path, example: pd.DataFrame, *, metadata: Mapping[str, Any], card: str
) -> tuple[Path, str]:
    """Return the scorer packaged for the registry, and the digest of what it does."""
    from .mlflow.manifest import package_digest
    from .mlflow.package import build_package as build

    package = build(scorer, folder, example=example, metadata=metadata, card=card)
    return package, package_digest(package)


def candidate(profile: Profile, version: ModelVersion, *, into: Path) -> Candidate:
    """Return a registered version as the gate examines it; arguments and errors as for `packaged_scorer`."""
    package = packaged_scorer(profile, version, into=into)
    return Candidate(
        version, package.metadata, package.inputs, package.card, package.size, package.score, package.thresholds
    )


def packaged_scorer(profile: Profile, version: ModelVersion, *, into: Path) -> PackagedScorer:
    """Return a registered version, fetched below `into`, checked against its registered digest, and loaded.

    Raises:
        ModelError: it carries no digest, or is not what was registered; nothing of it was executed.
        StoreError: the registry does not answer, or the files are gone.
    """
    from .mlflow.load import load_package

    digest = version.tags.get(MODEL_DIGEST)
    if not digest:
        raise ModelError(
            f"Version {version.version} of {version.name!r} carries no digest, so nobody can tell what it is: register "
            "models with `python run.py --pipeline training`."
        )
    return load_package(model_registry(profile).download(version.name, version.version, into), expected_digest=digest)


def batch_engine(profile: Profile, dataset: str, engine: Engine, scorer: PackagedScorer, *, rows: int) -> BatchEngine:
    """Return what scores batches of a dataset's customers, and set the scorer up for it.

    Args:
        profile: The machine.
        dataset: The tables' namespace.
        engine: `auto` chooses by what is there and by `rows`.
        scorer: The model; its folder must still be there.
        rows: Rows of the table that is scored.

    Raises:
        ConfigError: Spark is asked for and cannot run here.
    """
    from .local.batch_engine import LocalBatchEngine
    from .spark.availability import chosen_engine

    store, folder, limits = feature_store(profile, dataset), profile.state / "scoring" / dataset, profile.resources
    scorer.use_threads(1)  # parts are scored side by side
    if chosen_engine(engine, rows, limits.spark_from) == "local":
        return LocalBatchEngine(store, folder, limits.threads)
    from .spark.engine import SparkBatchEngine
    from .spark.shipping import ShippedPackage

    package = ShippedPackage.of(scorer.folder, scorer.digest)
    return SparkBatchEngine(store, folder, limits.threads, package=package, memory=limits.memory_limit)


def code_version() -> str:
    """Return the commit of this project's code."""
    from .local.git import commit_of

    return commit_of(Path(__file__).parents[1])


def ensure_stack(profile: Profile, experiment: str) -> str:
    """Return the id of the profile's ZenML stack, and see to it that the MLflow experiment is there."""
    from .local.zenml_stack import ensure_stack as register
    from .mlflow.client import ensure_experiment

    ensure_experiment(profile.mlflow.tracking_uri, experiment, profile.mlflow.artifacts)
    return register(profile)
