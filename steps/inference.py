"""Batch inference: every customer scored by the version that is live, into the table of predictions."""

from __future__ import annotations

import datetime as dt
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

from zenml import log_metadata, step

from adapters import wiring
from churn.core.progress import advance, note, stage
from churn.data.contract import DatasetContract
from churn.data.snapshot import TableSnapshot, snapshot_of
from churn.data.validation import ValidationReport
from churn.lifecycle.batch_record import record
from churn.lifecycle.inference import champion_of, run_batch
from churn.lifecycle.intake import take_in
from churn.ports.tables import FeatureStore, TableRef
from churn.scoring.predictions import BATCH_ID
from churn.scoring.summary import BatchSummary
from churn.settings import Settings
from reports.batch_report import batch_headline, batch_page, score_chart

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
        page = batch_page(summary, next_command="python run.py ui")
        files = {"charts/scores.svg": score_chart(summary), "report.html": page}
        record(summary, wiring.experiment_tracker(profile, name), files)
        log_metadata({"rows": summary.rows, "value_at_stake": summary.value_at_stake, "version": version.version})
        write_page(profile, page)
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
