"""Leakage checks: no row of a training set knows what was not known at its prediction time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.compute as pc
from pydantic import Field

from ..core.errors import LeakageError
from ..core.frozen import Frozen
from ..core.shares import hash_shares
from ..model.frame import Columns, FloatArray
from ..ports.tables import FeatureStore, TableRef
from .contract import DatasetContract
from .tables import EVENT_TIME, FEATURE_TIME, LABEL, LABEL_TIME, SPLIT, WEIGHT
from .training_set import drawn_rows, read_training_set
from .untreated import UntreatedRows, untreated_rows

__all__ = [
    "LeakageCheck",
    "LeakageReport",
    "LeakageSettings",
    "check_leakage",
    "check_training_set",
    "halves",
    "univariate_auc",
]

_BINS = 50
_SHRINKAGE = 10.0


class LeakageSettings(Frozen):
    """When a feature is too good to be true."""

    max_feature_auc: float = Field(
        default=0.9, ge=0.5, le=1, description="The ROC AUC above which one feature alone is held to know the outcome."
    )
    trusted: tuple[str, ...] = Field(default=(), description="Features that may be that good: you know why they are.")
    max_rows: int = Field(
        default=200_000, ge=1, description="Rows in which features are checked; of more, whole customers are drawn."
    )


class LeakageCheck(Frozen):
    """One check, whether it held, and its finding."""

    name: str
    passed: bool
    finding: str


class LeakageReport(Frozen):
    """Every leakage check of a training set, and how well each feature alone predicts the label.

    `untreated` says what past campaigns cost the training set; None where none touched it.
    """

    checks: tuple[LeakageCheck, ...]
    feature_auc: dict[str, float]
    untreated: UntreatedRows | None = None

    @property
    def passed(self) -> bool:
        """Whether every check held."""
        return all(check.passed for check in self.checks)

    def require(self) -> None:
        """Stop a run whose training set leaks.

        Raises:
            LeakageError: naming each check that failed and what it found.
        """
        failed = [f"{check.name}: {check.finding}" for check in self.checks if not check.passed]
        if failed:
            raise LeakageError(
                "The training set knows what it could not have known. " + " ".join(failed), evidence=self
            )


def check_training_set(
    store: FeatureStore, ref: TableRef, contract: DatasetContract, cutoff: dt.datetime, settings: LeakageSettings
) -> LeakageReport:
    """Return every leakage check of a stored training set; nothing after `cutoff` may be known.

    Times and sides are checked in every row, features in those of customers drawn at random, about `max_rows` of them.

    Raises:
        NotEnoughData: the table has no rows, because no outcome is mature.
    """
    drawn, _ = drawn_rows(store, ref, contract, pc.scalar(True), limit=settings.max_rows, seed=0)
    training = read_training_set(drawn, contract)
    untreated = untreated_rows(store, ref, contract)
    names = [contract.entity_key, EVENT_TIME, FEATURE_TIME, LABEL_TIME, SPLIT]
    keys = store.read(ref, names if untreated is None else [*names, WEIGHT])
    return check_leakage(
        training.rows,
        training.columns,
        entity=training.entity,
        event_time=EVENT_TIME,
        label=LABEL,
        split=SPLIT,
        cutoff=cutoff,
        settings=settings,
        every=(keys if untreated is None else keys.filter(pc.field(WEIGHT) > 0)).to_pandas(),
        untreated=untreated,
    )


def check_leakage(
    rows: pd.DataFrame,
    features: Columns,
    *,
    entity: str,
    event_time: str,
    label: str,
    split: str,
    cutoff: dt.datetime,
    settings: LeakageSettings,
    every: pd.DataFrame | None = None,
    untreated: UntreatedRows | None = None,
) -> LeakageReport:
    """Run every leakage check.

    Args:
        rows: The training set's own columns: customer, event time, `feature_ts`, label (0/1), `label_ts`, split and,
            where campaigns touched it, how many rows each stands for.
        features: Every feature the model would see, arrays of shape `(n_rows,)`.
        entity: Name of the customer column in `rows`; likewise `event_time`, `label` and `split`.
        event_time: See `entity`.
        label: See `entity`.
        split: See `entity`.
        cutoff: Nothing after it may be known.
        settings: When a feature is too good to be true.
        every: The same columns of all rows, where `rows` are those of some customers, drawn from them.
        untreated: What past campaigns cost the rows; None where none touched them.
    """
    outcome = rows[label].to_numpy(dtype=np.int8)
    half = halves(rows[entity])
    weight = rows[WEIGHT].to_numpy(dtype=np.float64) if WEIGHT in rows else None
    aucs = {name: univariate_auc(values, outcome, half, weight) for name, values in features.items()}
    all_rows = rows if every is None else every
    return LeakageReport(
        checks=(
            *([] if untreated is None else [_untouched(all_rows, untreated)]),
            _times(all_rows, event_time, cutoff),
            _copies(features, outcome, label),
            _too_good(aucs, settings),
            _sides(all_rows, entity, split),
        ),
        feature_auc=aucs,
        untreated=untreated,
    )


def halves(entity: Iterable[str]) -> npt.NDArray[np.bool_]:
    """Return which half of the customers each row is in, by a hash of the customer's key, shape `(n_rows,)`."""
    return hash_shares(entity, 0.5, "leakage")


def univariate_auc(
    values: npt.NDArray[np.generic],
    label: npt.NDArray[np.int8],
    half: npt.NDArray[np.bool_],
    weight: FloatArray | None = None,
) -> float:
    """Return the ROC AUC that one feature reaches alone, 0.5 to 1, whatever the shape of its effect.

    The feature's values (numbers in up to 50 bins of equal mass, missing as a bin of its own) are scored by their
    churn rate among the customers of the other half, shrunk towards the mean: a key that is unique to each row learns
    nothing that way, while a copy of the label, a threshold on it or its missing values all show.

    Args:
        values: The feature, shape `(n_rows,)`.
        label: 1 churned, 0 stayed, shape `(n_rows,)`.
        half: Which half of the customers each row is in, shape `(n_rows,)`; see `halves`.
        weight: How many rows each stands for, shape `(n_rows,)`; None where each stands for itself alone.
    """
    if label.min() == label.max():
        return 0.5
    codes = _binned(values)
    bins = int(codes.max()) + 1
    cells = codes + bins * half
    counted = (label, None) if weight is None else (label * weight, weight)
    churned, count = (np.bincount(cells, weights, 2 * bins).reshape(2, bins) for weights in counted)
    # Each half is scored by the other one's rates; where that is empty all rows have the same score.
    total = count.sum(axis=1, keepdims=True)
    prior = np.where(
        total > 0, churned.sum(axis=1, keepdims=True) / np.where(total > 0, total, 1), np.average(label, weights=weight)
    )
    score = ((churned + _SHRINKAGE * prior) / (count + _SHRINKAGE))[::-1]
    _, level = np.unique(score, return_inverse=True)
    positive = np.bincount(level.ravel(), churned.ravel())
    negative = np.bincount(level.ravel(), (count - churned).ravel())
    below = np.cumsum(negative) - negative / 2
    auc = float(positive @ below / (positive.sum() * negative.sum()))
    return max(auc, 0.5)


def _binned(values: npt.NDArray[np.generic]) -> npt.NDArray[np.intp]:
    """Return a code from 0 for each value: its bin or category; missing values have a code of their own."""
    if values.dtype == object:
        return pd.factorize(values, use_na_sentinel=False)[0]
    numbers = values.astype(np.float64)
    present = numbers[~np.isnan(numbers)]
    edges = np.unique(np.quantile(present, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(present) else present
    return np.where(np.isnan(numbers), len(edges) + 1, np.searchsorted(edges, numbers, side="right")).astype(np.intp)


def _untouched(rows: pd.DataFrame, untreated: UntreatedRows) -> LeakageCheck:
    treated = int((rows[WEIGHT] <= 0).sum()) if WEIGHT in rows else 0
    return LeakageCheck(
        name="No outcome of a contacted customer",
        passed=not treated,
        finding=" ".join(filter(None, (untreated.sentence, untreated.cost)))
        if not treated
        else f"{treated:,} rows are of customers who were contacted within their outcome window: build the label table "
        "anew with `python run.py --pipeline features`.",
    )


def _times(rows: pd.DataFrame, event_time: str, cutoff: dt.datetime) -> LeakageCheck:
    late_features = int((rows[FEATURE_TIME] > rows[event_time]).sum())
    late_labels = int((rows[LABEL_TIME] > pd.Timestamp(cutoff)).sum())
    passed = late_features == late_labels == 0
    sentence = (
        f"all {len(rows):,} rows see only features up to their own time, and labels known by {cutoff:%Y-%m-%d}"
        if passed
        else f"{late_features:,} rows have features from after their own time, {late_labels:,} have labels from after "
        f"the cut-off {cutoff:%Y-%m-%d %H:%M}. Correct the event times of the source, or the table that was joined."
    )
    return LeakageCheck(name="Nothing from the future", passed=passed, finding=sentence)


def _copies(features: Columns, label: npt.NDArray[np.int8], label_name: str) -> LeakageCheck:
    copies = [name for name, values in features.items() if name == label_name or _determines(values, label)]
    return LeakageCheck(
        name="No copy of the label",
        passed=not copies,
        finding="no feature is the label under another name"
        if not copies
        else f"{', '.join(copies)} always tells the outcome. Take it out of the contract's `columns`.",
    )


def _determines(values: npt.NDArray[np.generic], label: npt.NDArray[np.int8]) -> bool:
    """Whether each of a few distinct values goes with one outcome only, as in a copy of the label."""
    codes, uniques = pd.factorize(values, use_na_sentinel=False)
    if len(uniques) > min(20, len(label) // 10) or label.min() == label.max():
        return False
    rate = np.bincount(codes, weights=label) / np.bincount(codes)
    return bool(np.isin(rate, (0.0, 1.0)).all())


def _too_good(aucs: Mapping[str, float], settings: LeakageSettings) -> LeakageCheck:
    suspects = {n: a for n, a in aucs.items() if a > settings.max_feature_auc and n not in settings.trusted}
    best = max(aucs, key=lambda name: aucs[name])
    listed = ", ".join(f"{name} (ROC AUC {auc:.3f})" for name, auc in suspects.items())
    return LeakageCheck(
        name="No feature too good to be true",
        passed=not suspects,
        finding=f"the best single feature is {best}, ROC AUC {aucs[best]:.3f}"
        if not suspects
        else f"{listed} alone predicts the outcome better than leakage.max_feature_auc = {settings.max_feature_auc:g}: "
        "it was probably written after the customer left. Take it out of the contract's `columns`; if you know why "
        "it is that good, list it under leakage.trusted.",
    )


def _sides(rows: pd.DataFrame, entity: str, split: str) -> LeakageCheck:
    sides = rows.groupby(entity)[split].nunique()
    both = sides.index[sides > 1]
    return LeakageCheck(
        name="Every customer on one side of the split",
        passed=both.empty,
        finding=f"{len(sides):,} customers, each in train or in the holdout"
        if both.empty
        else f"{len(both):,} customers are on both sides, such as {', '.join(map(str, both[:3]))}. The split was "
        "changed by hand: build the label table anew.",
    )
