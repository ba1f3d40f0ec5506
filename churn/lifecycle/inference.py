"""Scores one batch: finds version and rows, resumes or reuses an equal batch, records the summary."""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..core.errors import ContractError, NotEnoughData, NotFound, nearest
from ..core.progress import advance
from ..data.contract import DatasetContract
from ..data.validation import ValidationReport
from ..ports.batch import Batch, BatchEngine, BatchProgress, BatchResult
from ..ports.registry import CHAMPION, ModelVersion
from ..ports.tables import FeatureStore, TableRef
from ..ports.tracker import ExperimentTracker
from ..scoring.baseline import baseline_scores, batch_shift
from ..scoring.batch import BATCH_ID, BatchSummary, batch_id_of
from ..scoring.policy import policy_of
from ..scoring.rows import LoadedModel
from ..scoring.settings import InferenceSettings
from ..settings import Settings
from .features import build_features, ingest
from .workspace import Workspace

__all__ = ["champion_of", "record_batch", "require_champion", "run_batch", "score"]


def score(workspace: Workspace, settings: Settings) -> BatchSummary:
    """Score the newest row of every customer with the version that is live; a delivered table is added first.

    Of a delivery all rows are taken that are a customer at a time, however many are not: those wait in quarantine. What
    else breaks the contract is scored as a missing value, and counted.

    Raises:
        NotFound: no version is live, or there is no feature table.
        ConfigError: a table is delivered to a data set whose rows are simulated.
        NotEnoughData: nothing was known by `inference.as_of`, or no customer could be scored.
    """
    contract, store = workspace.contract, workspace.tables
    advance("score", 0, 0, "loads the champion and looks for the newest rows")
    version = champion_of(workspace.approval(settings.approval).read().champion, workspace.model)
    intake = None
    if settings.data is not None:
        bronze, intake = ingest(workspace, settings, purpose="scoring")
        build_features(workspace, settings, bronze)
    features = store.latest(contract.table("features").name)
    with tempfile.TemporaryDirectory() as folder:
        model = workspace.load(version, Path(folder))
        return run_batch(
            store,
            workspace.engine(settings.inference.engine, model, rows=features.rows),
            version,
            model,
            contract=contract,
            features=features,
            settings=settings.inference,
            now=workspace.clock(),
            progress=partial(advance, "score"),
            intake=intake,
        )


def champion_of(champion: ModelVersion | None, model: str) -> ModelVersion:
    """Return the version that is live.

    Raises:
        NotFound: there is none.
    """
    if champion is None:
        raise NotFound(
            f"{model} has no @{CHAMPION} to score with: let a version go live by `python run.py --pipeline deployment` "
            "(a first one is trained by `--pipeline training`)."
        )
    return champion


def require_champion(workspace: Workspace, settings: Settings) -> None:
    """Look whether a version is live, before anything slow begins.

    Raises:
        NotFound: none is.
        DecisionRefused: registry and ledger are not about the same models and decisions.
        StoreError: one of them cannot be read.
    """
    champion_of(workspace.approval(settings.approval).read().champion, workspace.model)


def run_batch(
    store: FeatureStore,
    engine: BatchEngine,
    version: ModelVersion,
    model: LoadedModel,
    *,
    contract: DatasetContract,
    features: TableRef,
    settings: InferenceSettings,
    now: dt.datetime,
    progress: BatchProgress,
    intake: ValidationReport | None = None,
) -> BatchSummary:
    """Score what was known of every customer at a time, unless that very batch is there.

    Args:
        store: The tables of the dataset.
        engine: What scores.
        version: The version that is live, resolved once: the whole batch is of it.
        model: It, loaded; the engine was made with it.
        contract: The dataset contract.
        features: The table to score.
        settings: As of which time, and with which reasons; who counts as current.
        now: The time.
        progress: Called as rows are done.
        intake: What became of the rows of a table that was delivered for this run.

    Raises:
        NotEnoughData: nothing was known by `as_of`, or no customer could be scored.
        ContractError: the table lacks a column that the model reads.
        StoreError: a table or the disk refuses; nothing of the batch is visible.
    """
    _require_columns(store, features, model, version)
    as_of = settings.as_of or now
    known_until = store.known_until(features, as_of)
    if known_until is None:
        raise NotEnoughData(
            f"Nothing in {features.name} (version {features.version}, {features.rows:,} rows) was known by "
            f"{as_of:%Y-%m-%d %H:%M} UTC, so that there is nobody to score: give a later --as-of, or fill the table by "
            "`python run.py --pipeline features`."
        )
    max_age = settings.max_age(contract)
    batch = Batch(
        batch_id=batch_id_of(model.digest, features, known_until, settings.reasons, max_age),
        entity=contract.entity_key,
        model_name=version.name,
        model_version=version.version,
        model_alias=CHAMPION,
        threshold_policy=policy_of(model.scoring),
        inputs=tuple(model.kinds),
        features=features,
        as_of=known_until,
        scored_at=now,
        explain=settings.reasons,
        top_reasons=model.scoring["reasons"]["top"],
        predictions=contract.table("predictions"),
        quarantine=contract.table("quarantine"),
        max_age=max_age,
    )
    with store.exclusive("inference"):
        before = _finished(store, contract, batch)
        if before is not None:
            request = {"asked_as_of": as_of, "intake": intake}
            return before.model_copy(update={**request, "unchanged": True, "seconds": 0.0, "resumed": 0})
        started = time.monotonic()
        result = engine.score(batch, progress)
        summary = _summary(
            batch,
            result,
            model,
            seconds=time.monotonic() - started,
            engine=engine.name,
            asked_as_of=as_of,
            intake=intake,
            inactive=_customers_known(store, batch) - result.scored - result.quarantined,
            lately_inactive=_customers_known(store, batch, max_age + dt.timedelta(days=contract.label.window_days))
            - result.scored
            - result.quarantined,
            max_age_days=max_age.days,
            baseline=baseline_scores(store, contract, model.digest),
            shift=batch_shift(
                store,
                contract,
                store.latest_rows(features, known_until, _present(store, features, model), max_age=max_age),
                result.scores,
                result.mean_probability,
                model_digest=model.digest,
                kinds=model.kinds,
                described=model.described,
            ),
        )
        store.upsert(contract.table("batches"), _row(summary))
        engine.forget(batch.batch_id)
    if not summary.scored:
        rules = ", ".join(f"no row that {rule.removeprefix('the row ')}" for rule in summary.rejected)
        raise NotEnoughData(
            f"None of {summary.rows:,} customers in {features.name} could be scored ({rules}): they are in the "
            "quarantine table, and the table of predictions holds nothing of this batch. Mend the source."
        )
    return summary


def _present(store: FeatureStore, features: TableRef, model: LoadedModel) -> list[str]:
    present = store.scan(features).schema.names
    return [name for name in model.kinds if name in present]


def _customers_known(store: FeatureStore, batch: Batch, max_age: dt.timedelta | None = None) -> int:
    """Return how many customers the table has a row of by then, at most `max_age` older than the newest of all."""
    rows = store.latest_rows(batch.features, batch.as_of, [batch.entity], max_age=max_age)
    return sum(part.num_rows for part in rows)


def _require_columns(store: FeatureStore, features: TableRef, model: LoadedModel, version: ModelVersion) -> None:
    present = store.scan(features).schema.names
    missing = [name for name in model.needed if name not in present]
    if missing:
        hints = "".join(nearest(name, [column for column in present if column not in model.kinds]) for name in missing)
        raise ContractError(
            f"{version.name} version {version.version} reads {', '.join(missing)}, which {features.name} lacks"
            f"{hints or '.'} Score with the dataset contract that the model was trained with, or train and deploy a "
            "model for this one."
        )


def _finished(store: FeatureStore, contract: DatasetContract, batch: Batch) -> BatchSummary | None:
    """Return what a batch came to that is there as a whole; one of which nobody could be scored is tried again."""
    try:
        ref = store.latest(contract.table("batches").name)
        predictions = store.latest(contract.table("predictions").name)
    except NotFound:
        return None
    summaries = store.scan(ref, ["summary"], where={BATCH_ID: batch.batch_id}).read_all()["summary"].to_pylist()
    if not summaries:
        return None
    summary = BatchSummary.read(summaries[0])
    stored = store.scan(predictions, ["probability"], where={BATCH_ID: batch.batch_id})
    if not summary.scored or sum(rows.num_rows for rows in stored) != summary.scored:
        return None
    return summary.model_copy(update={"predictions": predictions})


def _summary(batch: Batch, result: BatchResult, model: LoadedModel, **run: Any) -> BatchSummary:
    return BatchSummary(
        batch_id=batch.batch_id,
        dataset=batch.features.dataset,
        entity=batch.entity,
        model_name=batch.model_name,
        model_version=batch.model_version,
        model_alias=batch.model_alias,
        model_digest=model.digest,
        threshold_policy=batch.threshold_policy,
        predictions=result.table,
        features=batch.features,
        as_of=batch.as_of,
        scored_at=batch.scored_at,
        reasons=batch.explain,
        rows=result.scored + result.quarantined,
        scored=result.scored,
        quarantined=result.quarantined,
        treated=result.treated,
        no_value=result.no_value,
        value_at_stake=result.value_at_stake,
        currency=model.scoring["money"]["currency"],
        mean_probability=result.mean_probability,
        scores=result.scores,
        rejected=dict(result.rejected),
        unseen=dict(result.unseen),
        missing=dict(result.missing),
        resumed=result.resumed,
        **run,
    )


def _row(summary: BatchSummary) -> pa.Table:
    shown = ["model_name", "model_version", "as_of", "scored_at", "scored", "quarantined", "treated", "value_at_stake"]
    values = {BATCH_ID: summary.batch_id, **{name: getattr(summary, name) for name in shown}}
    return pa.Table.from_pylist([{**values, "summary": summary.stored()}])


_RECORDED = {
    "batch_id",
    "dataset",
    "model_name",
    "model_version",
    "model_digest",
    "threshold_policy",
    "as_of",
    "engine",
    "reasons",
    "unchanged",
}


def record_batch(summary: BatchSummary, tracker: ExperimentTracker, files: Mapping[str, str], described: str) -> None:
    """Leave the batch's counts, its files by their names, and its description in Markdown with the tracker."""
    tracker.describe(described)
    params = summary.model_dump(mode="json", include=_RECORDED)
    tracker.log_params({**params, "features_version": summary.features.version, "features": summary.features.name})
    counts = {name: float(getattr(summary, name)) for name in ("rows", "scored", "quarantined", "treated", "resumed")}
    mean = {} if summary.mean_probability is None else {"mean_probability": summary.mean_probability}
    stake = {"value_at_stake": summary.value_at_stake, "rows_per_second": summary.rows_per_second}
    tracker.log_metrics({**counts, **stake, **mean})
    for name, content in files.items():
        tracker.log_file(name, content)
    tracker.log_file("batch.json", summary.model_dump_json(indent=1))
