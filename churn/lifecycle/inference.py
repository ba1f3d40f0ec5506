"""One batch from beginning to end: what is scored by which version, whether it was before, and what it came to."""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Literal

import pyarrow as pa

from ..core.errors import ContractError, NotEnoughData, NotFound, nearest
from ..core.progress import advance
from ..data.contract import DatasetContract
from ..data.tables import EVENT_TIME, SPLIT
from ..data.validation import ValidationReport, ValidationSettings
from ..ports.registry import CHAMPION, ModelVersion
from ..ports.tables import FeatureStore, TableRef
from ..scoring.engine import BatchEngine, PackagedModel, Tell, Work
from ..scoring.predictions import BATCH_ID, Batch, batch_id_of, policy_of
from ..scoring.rows import BatchScorer, score_batches
from ..scoring.settings import InferenceSettings
from ..scoring.summary import BatchSummary, histogram
from ..settings import Settings
from .features import build_features, ingest
from .workspace import Workspace

__all__ = ["champion_of", "run_batch", "score"]

_BASELINE_ROWS = 20_000


def score(workspace: Workspace, settings: Settings) -> BatchSummary:
    """Score the newest row of every customer with the version that is live; a delivered table is added first.

    Of a delivery all rows that keep the contract are taken, however many do not: the others wait in quarantine.

    Raises:
        NotFound: no version is live, or there is no feature table.
        ConfigError: a table is delivered to a data set whose rows are simulated.
        NotEnoughData: nothing was known by `inference.as_of`, or no customer could be scored.
    """
    contract, store = workspace.contract, workspace.tables
    version = champion_of(workspace.governance(settings.approval).look().champion, workspace.model)
    intake = None
    if settings.data is not None:
        every_row = settings.model_copy(update={"validation": ValidationSettings(max_quarantine_share=1.0)})
        bronze, intake = ingest(workspace, every_row)
        build_features(workspace, settings, bronze)
    features = store.latest(contract.table("features").name)
    with tempfile.TemporaryDirectory() as folder:
        scorer = workspace.load(version, Path(folder))
        return run_batch(
            store,
            workspace.engine(settings.inference.engine, scorer, rows=features.rows),
            version,
            scorer,
            contract=contract,
            features=features,
            settings=settings.inference,
            now=workspace.clock(),
            tell=partial(advance, "score"),
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


def run_batch(
    store: FeatureStore,
    engine: BatchEngine,
    version: ModelVersion,
    scorer: PackagedModel,
    *,
    contract: DatasetContract,
    features: TableRef,
    settings: InferenceSettings,
    now: dt.datetime,
    tell: Tell,
    intake: ValidationReport | None = None,
) -> BatchSummary:
    """Score what was known of every customer at a time, unless that very batch is there.

    Args:
        store: The tables of the dataset.
        engine: What scores.
        version: The version that is live, resolved once: the whole batch is of it.
        scorer: It, loaded.
        contract: The dataset contract.
        features: The table to score.
        settings: As of which time, and with which reasons; who counts as current.
        now: The time.
        tell: Hears how it goes.
        intake: What became of the rows of a table that was delivered for this run.

    Raises:
        NotEnoughData: nothing was known by `as_of`, or no customer could be scored.
        ContractError: the table lacks a column that the model reads.
        StoreError: a table or the disk refuses; nothing of the batch is visible.
    """
    _require_columns(store, features, scorer, version)
    as_of = settings.as_of or now
    known = store.known_until(features, as_of)
    if known is None:
        raise NotEnoughData(
            f"Nothing in {features.name} (version {features.version}, {features.rows:,} rows) was known by "
            f"{as_of:%Y-%m-%d %H:%M} UTC, so that there is nobody to score: give a later --as-of, or fill the table by "
            "`python run.py --pipeline features`."
        )
    max_age = _max_age(contract, settings)
    batch = Batch(
        batch_id=batch_id_of(scorer.digest, features, known, settings.reasons, max_age),
        entity=contract.entity_key,
        model_name=version.name,
        model_version=version.version,
        model_alias=CHAMPION,
        threshold_policy=policy_of(scorer.scoring),
        features=features,
        as_of=known,
        scored_at=now,
        reasons=settings.reasons,
        max_age=max_age,
    )
    with engine.exclusive(batch.batch_id):
        before = _finished(store, contract, batch)
        if before is not None:
            seen = {"asked_as_of": as_of, "intake": intake}
            return before.model_copy(update={**seen, "unchanged": True, "seconds": 0.0, "resumed": 0})
        started = time.monotonic()
        work = engine.score(scorer, batch, contract, tell)
        baseline = _baseline(store, contract, scorer)
        seconds = time.monotonic() - started
        summary = _summary(batch, work, scorer, engine.name, baseline, seconds=seconds, asked=as_of, intake=intake)
        summary = summary.model_copy(update={"gone": _known(store, batch) - summary.rows})
        store.upsert(contract.table("batches"), _row(summary))
        engine.forget(batch.batch_id)
    if not summary.scored:
        rules = ", ".join(f"no row that {rule.removeprefix('the row ')}" for rule in summary.rejected)
        raise NotEnoughData(
            f"None of {summary.rows:,} customers in {features.name} could be scored ({rules}): they are in the "
            "quarantine table, and the table of predictions holds nothing of this batch. Mend the source."
        )
    return summary


def _max_age(contract: DatasetContract, settings: InferenceSettings) -> dt.timedelta:
    return dt.timedelta(days=contract.label.window_days if settings.max_age_days is None else settings.max_age_days)


def _known(store: FeatureStore, batch: Batch) -> int:
    """Return how many customers the table has a row of by then, however old."""
    return sum(rows.num_rows for rows in store.latest_rows(batch.features, batch.as_of, [batch.entity]))


def _require_columns(store: FeatureStore, features: TableRef, scorer: BatchScorer, version: ModelVersion) -> None:
    present = store.scan(features).schema.names
    missing = [name for name in scorer.needed if name not in present]
    if missing:
        hints = "".join(nearest(name, [each for each in present if each not in scorer.kinds]) for name in missing)
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
    found = store.scan(ref, ["summary"], where={BATCH_ID: batch.batch_id}).read_all()["summary"].to_pylist()
    if not found:
        return None
    summary = BatchSummary.model_validate_json(found[0])
    there = store.scan(predictions, ["probability"], where={BATCH_ID: batch.batch_id})
    if not summary.scored or sum(rows.num_rows for rows in there) != summary.scored:
        return None
    return summary.model_copy(update={"predictions": predictions})


def _baseline(store: FeatureStore, contract: DatasetContract, scorer: BatchScorer) -> tuple[int, ...] | None:
    """Return how the model scores the customers whom no model learned from; None where there are none."""
    try:
        rows = store.latest(contract.table("training").name)
        columns = [contract.entity_key, EVENT_TIME, *_present(store, rows, scorer)]
        held_out = store.scan(rows, columns, where={SPLIT: "holdout"})
        counts, seen = histogram([]), 0
        for scored in score_batches(scorer, held_out, entity=contract.entity_key, reasons="none"):
            counts = counts + histogram(scored.rows.column("probability"))
            seen += scored.rows.num_rows
            if seen >= _BASELINE_ROWS:
                break
    except (NotFound, ContractError):
        return None
    return tuple(counts.tolist()) if seen else None


def _present(store: FeatureStore, ref: TableRef, scorer: BatchScorer) -> list[str]:
    names = store.scan(ref).schema.names
    return [name for name in scorer.kinds if name in names]


def _summary(
    batch: Batch,
    work: Work,
    scorer: PackagedModel,
    engine: Literal["local", "spark"],
    baseline: tuple[int, ...] | None,
    *,
    seconds: float,
    asked: dt.datetime,
    intake: ValidationReport | None,
) -> BatchSummary:
    tally = work.tally
    there = work.table
    rows = tally.scored + tally.quarantined
    return BatchSummary(
        batch_id=batch.batch_id,
        dataset=batch.features.dataset,
        entity=batch.entity,
        model_name=batch.model_name,
        model_version=batch.model_version,
        model_alias=batch.model_alias,
        model_digest=scorer.digest,
        threshold_policy=batch.threshold_policy,
        predictions=there,
        features=batch.features,
        as_of=batch.as_of,
        asked_as_of=asked,
        scored_at=batch.scored_at,
        engine=engine,
        reasons=batch.reasons,
        rows=rows,
        scored=tally.scored,
        quarantined=tally.quarantined,
        treated=tally.treated,
        value_at_stake=tally.value_at_stake,
        currency=scorer.scoring["money"]["currency"],
        mean_probability=tally.probability / tally.scored if tally.scored else None,
        scores=tuple(tally.scores.tolist()),
        baseline=baseline,
        rejected=dict(tally.rejected),
        intake=intake,
        unseen=dict(tally.unseen),
        resumed=work.resumed,
        seconds=seconds,
    )


def _row(summary: BatchSummary) -> pa.Table:
    shown = ["model_name", "model_version", "as_of", "scored_at", "scored", "quarantined", "treated", "value_at_stake"]
    values = {BATCH_ID: summary.batch_id, **{name: getattr(summary, name) for name in shown}}
    return pa.Table.from_pylist([{**values, "summary": summary.model_dump_json()}])
