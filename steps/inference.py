"""Batch inference: every customer scored by the version that is live, into the table of predictions."""

from __future__ import annotations

import datetime as dt
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

from zenml import log_metadata, step

from adapters import wiring
from churn.contract import DatasetContract
from churn.inference.intake import take_in
from churn.inference.predictions import BATCH_ID
from churn.inference.record import record
from churn.inference.run import champion_of, run_batch
from churn.inference.summary import BatchSummary
from churn.ports import FeatureStore
from churn.profile import TableSnapshot, snapshot_of
from churn.progress import advance, note, stage
from churn.reporting.batch_report import batch_headline, batch_page
from churn.settings import Settings
from churn.tables import TableRef
from churn.validation import ValidationReport

from .pages import write_page

__all__ = ["score"]


@step(enable_cache=False, experiment_tracker=True)
def score(
    settings: Settings, contract: DatasetContract
) -> tuple[Annotated[TableSnapshot, "predictions"], Annotated[BatchSummary, "batch"]]:
    """Score what is known of every customer, or was at a time; the same batch again is found and left alone."""
    with stage("score"), tempfile.TemporaryDirectory() as folder:
        profile, asked, now = settings.profile, settings.inference, dt.datetime.now(dt.UTC)
        dataset, name = settings.namespace(contract), settings.registered_name(contract)
        store = wiring.feature_store(profile, dataset)
        version = champion_of(wiring.governance(settings, dataset, name).look().champion, name)
        scorer = wiring.packaged_scorer(profile, version, into=Path(folder))
        features, intake = _features(store, settings, contract, now)
        engine = wiring.batch_engine(profile, dataset, asked.engine, scorer, rows=features.rows)
        summary = run_batch(
            store, engine, version, scorer,
            contract=contract, features=features, settings=asked, now=now, intake=intake,
            tell=partial(advance, "score"),
        )  # fmt: skip
        record(summary, wiring.experiment_tracker(profile, name))
        log_metadata({"rows": summary.rows, "value_at_stake": summary.value_at_stake, "version": version.version})
        write_page(profile, batch_page(summary, next_command="python run.py ui"))
        note("score", batch_headline(summary))
        return snapshot_of(store, summary.predictions, where={BATCH_ID: summary.batch_id}), summary


def _features(
    store: FeatureStore, settings: Settings, contract: DatasetContract, now: dt.datetime
) -> tuple[TableRef, ValidationReport | None]:
    """Return the table to score, the features there are or what was handed in, and what became of its rows."""
    if settings.data is None:
        return store.latest(contract.table("features").name), None
    features, report = take_in(store, wiring.source(settings, contract), contract, now=now)
    note("score", f"{report.accepted:,} of {report.rows:,} rows kept the contract, {report.quarantined:,} did not")
    return features, report
