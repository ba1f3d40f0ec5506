"""Data stages: from the source to the feature and label tables, and from there to the training set."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from zenml import save_artifact, step

from adapters import wiring
from churn.core.progress import note, stage
from churn.data.contract import DatasetContract
from churn.data.ingest import conform, to_bronze
from churn.data.labels import labels_of
from churn.data.leakage import LeakageReport
from churn.data.snapshot import TableSnapshot, snapshot_of
from churn.data.training_set import bronze_to_features, check_training_set, read_training_set
from churn.data.validation import ValidationReport, validate
from churn.settings import Settings

__all__ = ["build_features", "build_training_set", "ingest"]


@step(enable_cache=False)
def ingest(
    settings: Settings, contract: DatasetContract
) -> tuple[Annotated[TableSnapshot, "bronze"], Annotated[ValidationReport, "validation"]]:
    """Take the source's rows into the bronze table; those that break the contract go to quarantine, with the rule."""
    with stage("ingest"):
        store = wiring.feature_store(settings.profile, settings.namespace(contract))
        batch = conform(wiring.source(settings, contract), contract)
        accepted, quarantine, report = validate(batch, contract, settings.validation, now=dt.datetime.now(dt.UTC))
        if quarantine.num_rows:
            store.upsert(contract.table("quarantine"), quarantine)
        if not report.passed:
            save_artifact(report, "validation")
        report.require()
        # A simulation is a whole world, a user's table a delivery that adds to the ones before.
        write = store.upsert if settings.data else store.replace
        ref = write(contract.table("bronze"), to_bronze(accepted, contract))
        note("ingest", f"{report.accepted:,} rows from {report.source}, {report.quarantined:,} to quarantine")
        return snapshot_of(store, ref), report


@step(enable_cache=False)
def build_features(
    bronze: TableSnapshot, settings: Settings, contract: DatasetContract
) -> tuple[Annotated[TableSnapshot, "features"], Annotated[TableSnapshot, "labels"]]:
    """Derive the feature table and the label table from the bronze rows."""
    with stage("build_features"):
        store = wiring.feature_store(settings.profile, settings.namespace(contract))
        rows = store.read(bronze.ref)
        features = store.replace(contract.table("features"), bronze_to_features(rows, contract))
        labels = store.replace(contract.table("labels"), labels_of(rows, contract, settings.split))
        note("build_features", f"{features.rows:,} feature rows, {labels.rows:,} known outcomes")
        return snapshot_of(store, features), snapshot_of(store, labels)


@step(enable_cache=False)
def build_training_set(
    features: TableSnapshot, labels: TableSnapshot, settings: Settings, contract: DatasetContract
) -> tuple[Annotated[TableSnapshot, "training_set"], Annotated[LeakageReport, "leakage"]]:
    """Join each mature outcome with the features known at its time, and prove that nothing leaks."""
    with stage("build_training_set"):
        store = wiring.feature_store(settings.profile, settings.namespace(contract))
        cutoff = settings.training_set.cutoff or dt.datetime.now(dt.UTC)
        ref = store.point_in_time_join(labels.ref, features.ref, contract.table("training"), known_by=cutoff)
        report = check_training_set(read_training_set(store.read(ref), contract), cutoff, settings.leakage)
        if not report.passed:
            save_artifact(report, "leakage")
        report.require()
        note("build_training_set", f"{ref.rows:,} rows with a mature outcome, {len(report.checks)} leakage checks held")
        return snapshot_of(store, ref), report
