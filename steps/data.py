"""Data stages: from the source to the feature and label tables, and from there to the training set."""

from __future__ import annotations

from typing import Annotated

from zenml import step

from adapters.wiring import connect
from churn.data.contract import DatasetContract
from churn.data.leakage import LeakageReport
from churn.data.snapshot import TableSnapshot
from churn.data.validation import ValidationReport
from churn.lifecycle import features, training
from churn.settings import Settings

from .reporting import stage

__all__ = ["build_features", "build_training_set", "ingest"]


@step(enable_cache=False)
def ingest(
    settings: Settings, contract: DatasetContract, purpose: features.Purpose = "tables"
) -> tuple[Annotated[TableSnapshot, "bronze"], Annotated[ValidationReport, "validation"]]:
    """Take the source's rows into the bronze table; those that break the contract go to quarantine, with the rule."""
    with stage("ingest", evidence="validation"):
        bronze, report = features.ingest(connect(contract, settings.model_name), settings, purpose=purpose)
        return bronze, report


@step(enable_cache=False)
def build_features(
    bronze: TableSnapshot, settings: Settings, contract: DatasetContract
) -> tuple[Annotated[TableSnapshot, "features"], Annotated[TableSnapshot, "labels"]]:
    """Derive the feature table and the label table from the bronze rows."""
    with stage("build_features"):
        workspace = connect(contract, settings.model_name)
        stored, labels = features.build_features(workspace, settings, bronze)
        return stored, labels


@step(enable_cache=False)
def build_training_set(
    features: TableSnapshot, labels: TableSnapshot, settings: Settings, contract: DatasetContract
) -> tuple[Annotated[TableSnapshot, "training_set"], Annotated[LeakageReport, "leakage"]]:
    """Join each mature outcome with the features known at its time, and prove that nothing leaks."""
    with stage("build_training_set", evidence="leakage"):
        workspace = connect(contract, settings.model_name)
        rows, report = training.build_training_set(workspace, settings, features, labels)
        return rows, report
