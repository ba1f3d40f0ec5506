"""How long the gate's statistics take on IBM's Telco data, part by part, and beside a plain scikit-learn loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.gate_trainers import MONEY, without
from benchmarks.quality_peers import warm_up
from churn.data.contract import DatasetContract
from churn.data.labels import sides_of
from churn.data.tables import EVENT_TIME, FEATURE_TIME, LABEL, LABEL_TIME, SPLIT
from churn.data.training_set import TrainingSet, customer_values, read_training_set
from churn.evaluation.evaluate import EvaluationSettings
from churn.gate.comparison import PairedRows, ScoredRows, compare
from churn.gate.quality import quality_checks
from churn.gate.recipes import compare_recipes
from churn.gate.settings import GateSettings
from churn.lifecycle.training import evaluate_holdout
from churn.model.model import ChurnModel
from churn.training.recipe import Recipe
from churn.training.train import ModelSettings, TrainingData, train
from churn.training.trials import TuningSettings

__all__ = ["print_times"]

_DROPPED = ("contract", "internet_service")
_LOOP = 100


@dataclass
class Watch:
    """Wall and CPU seconds by part."""

    parts: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, name: str, work: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        found = work()
        self.parts[name] = time.perf_counter() - wall, time.process_time() - cpu
        return found


def print_times(contract: DatasetContract, data: TrainingData) -> None:
    """Judge the full trainer's model against one without contract and internet; print what took how long."""
    warm_up()
    settings, fewer = GateSettings(), without(contract, *_DROPPED)
    table = joined(contract, data)
    rows, fewer_rows = (read_training_set(table, each) for each in (contract, fewer))
    new = train(rows.side("train").data, contract, ModelSettings(), seed=0).model
    old = train(fewer_rows.side("train").data, fewer, ModelSettings(), seed=0).model
    recipes = [
        Recipe.of(each, ModelSettings(), TuningSettings(), ModelSettings().boosting) for each in (fewer, contract)
    ]
    watch, holdout = Watch(), rows.side("holdout")
    evaluations = [
        watch.take(
            f"evaluation of the {who}, 500 resamples",
            lambda model=model: evaluate_holdout(
                model, rows, contract, money=MONEY, settings=EvaluationSettings(), seed=0
            ),
        )
        for who, model in (("champion", old), ("challenger", new))
    ]
    paired = paired_rows(contract, holdout, old, new)
    compared = watch.take(
        f"version question, {settings.resamples:,} paired resamples",
        lambda: compare(paired, MONEY, settings, name="holdout", seed=0),
    )
    refitted = watch.take(
        f"recipe question, {settings.repeats} x {settings.folds} folds each",
        lambda: compare_recipes(*recipes, table, settings=settings, seed=0, threads=2, progress=lambda *_: None),
    )
    checks = quality_checks(
        "recipe",
        holdout=compared,
        newest=None,
        recipes=refitted,
        evaluation=evaluations[1],
        settings=settings,
        currency=MONEY.currency,
    )
    print(
        f"\nthe gate's statistics on IBM Telco ({len(rows.rows):,} rows, holdout {len(holdout.rows):,}): wall and CPU s"
    )
    for name, (wall, cpu) in [*watch.parts.items(), ("together", np.sum(list(watch.parts.values()), axis=0))]:
        print(f"{name:50s}{wall:8.1f}{cpu:8.1f}")
    print("\nwhat the gate says of it")
    for check in checks:
        print(f"{check.verdict:6s}{check.name:14s}{check.sentence}")
    print_loop(paired, settings, watch.parts[f"version question, {settings.resamples:,} paired resamples"][0])


def print_loop(paired: PairedRows, settings: GateSettings, seconds: float) -> None:
    """Print resamples per second of ours, with every metric and slice, and of AUC and log loss in a loop."""
    from sklearn.metrics import log_loss, roc_auc_score

    label, random = np.asarray(paired.label), np.random.default_rng(0)
    start = time.perf_counter()
    for _ in range(_LOOP):
        drawn = random.integers(0, len(label), len(label))
        for side in (paired.champion, paired.challenger):
            roc_auc_score(label[drawn], side.probability[drawn])
            log_loss(label[drawn], side.probability[drawn])
    plain, ours = _LOOP / (time.perf_counter() - start), settings.resamples / seconds
    print(f"\npaired resamples per second on {len(label):,} rows")
    print(f"{'ours: 8 metrics of both models, every slice':50s}{ours:8,.0f}")
    print(f"{'scikit-learn in a loop: AUC and log loss of both':50s}{plain:8,.0f}")
    print(f"{'ratio':50s}{ours / plain:8.0f}")


def joined(contract: DatasetContract, data: TrainingData) -> pa.Table:
    """Return the customers as the table that the features pipeline joins for training."""
    time_ = pd.Timestamp("2024-01-01", tz="UTC")
    frame = pd.DataFrame({name: data.columns[name] for name in (*contract.columns, *_stored(contract))})
    frame = frame.assign(
        **{
            contract.entity_key: data.entity,
            EVENT_TIME: time_,
            FEATURE_TIME: time_,
            LABEL: data.label,
            LABEL_TIME: time_ + pd.Timedelta(days=contract.label.window_days),
            SPLIT: sides_of(data.entity, 0.2, "churn"),
        }
    )
    return pa.Table.from_pandas(frame.sort_values(contract.entity_key), preserve_index=False)


def _stored(contract: DatasetContract) -> list[str]:
    return [spec.name for spec in contract.stored_features]


def paired_rows(contract: DatasetContract, holdout: TrainingSet, old: ChurnModel, new: ChurnModel) -> PairedRows:
    """Return the holdout with what both models say of it."""
    return PairedRows(
        label=holdout.data.label,
        entity=holdout.data.entity,
        event_time=holdout.rows[EVENT_TIME],
        value=customer_values(holdout, contract, MONEY),
        champion=ScoredRows(old.probability(holdout.columns), old.thresholds["f1"]),
        challenger=ScoredRows(new.probability(holdout.columns), new.thresholds["f1"]),
        slices={name: holdout.columns[name] for name in contract.slices},
    )
