"""Compares champion and challenger on the same rows, resampled together by customer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..core.errors import DataError
from ..core.estimate import Estimate
from ..data.training_set import require_outcomes
from ..evaluation.bootstrap import customer_weights, estimate, estimates
from ..evaluation.holdout import Holdout
from ..evaluation.ranking import BlockRanking, brier_losses, equal_mass_bins, log_losses
from ..evaluation.significance import detectable, p_value_worse
from ..evaluation.slices import slice_masks
from ..model.frame import FloatArray, IntArray
from ..model.money import MoneySettings, expected_value
from .inputs import MORE_OUTCOMES
from .report import Comparison, PairedMetric, SliceComparison
from .settings import GateSettings

__all__ = [
    "LOSSES",
    "BlockMetrics",
    "PairedRows",
    "VersionScores",
    "capacity_share",
    "compare",
    "judged_slices",
    "profit_metric",
    "weight_blocks",
]

LOSSES = frozenset({"log_loss", "brier", "ece"})
"""The metrics of which less is better."""
_CALIBRATION_BINS = 10
_BLOCK_CELLS = 250_000


@dataclass(frozen=True)
class VersionScores:
    """One model's predictions for the rows.

    Attributes:
        probability: Churn probabilities, 0 to 1, shape `(n_rows,)`.
        f1_threshold: The probability from which the model as deployed counts a customer as a churner.
    """

    probability: FloatArray
    f1_threshold: float


@dataclass(frozen=True)
class PairedRows:
    """Rows with a known outcome that neither model was trained on, and both models' predictions.

    Attributes:
        label: 1 churned, 0 stayed, shape `(n_rows,)`.
        entity: The customer of each row, shape `(n_rows,)`; a customer may have many rows.
        event_time: When the facts of each row were true (UTC), shape `(n_rows,)`.
        value: The value of keeping each customer, in the currency, shape `(n_rows,)`.
        champion: The champion's predictions.
        challenger: The challenger's.
        slices: Column name to its values, shape `(n_rows,)`.
        base: Customers whom a campaign chooses from; those of the rows where None. Only `gate.capacity` needs it.
        weight: How many rows each stands for, shape `(n_rows,)`; None where each stands for itself alone.
    """

    label: npt.ArrayLike
    entity: npt.ArrayLike
    event_time: pd.Series
    value: npt.ArrayLike
    champion: VersionScores
    challenger: VersionScores
    slices: Mapping[str, npt.ArrayLike]
    base: int | None = None
    weight: FloatArray | None = None

    def where(self, mask: npt.NDArray[np.bool_]) -> PairedRows:
        """Return the rows where `mask`, of shape `(n_rows,)`, is true."""
        return replace(
            self,
            label=np.asarray(self.label)[mask],
            entity=np.asarray(self.entity)[mask],
            event_time=self.event_time[mask].reset_index(drop=True),
            value=np.asarray(self.value)[mask],
            champion=replace(self.champion, probability=self.champion.probability[mask]),
            challenger=replace(self.challenger, probability=self.challenger.probability[mask]),
            slices={name: np.asarray(values)[mask] for name, values in self.slices.items()},
            weight=None if self.weight is None else self.weight[mask],
        )

    def holdout(self, scored: VersionScores, money: MoneySettings) -> Holdout:
        """Return one model's predictions as a checked holdout; raises DataError or NotEnoughData as that does."""
        return Holdout.of(
            self.label,
            scored.probability,
            self.entity,
            thresholds={"f1": scored.f1_threshold},
            money=money,
            value=self.value,
            weight=self.weight,
        )


def weight_blocks(holdout: Holdout, *, resamples: int, seed: int) -> Iterator[FloatArray]:
    """Yield the draws of `customer_weights`, times what each row stands for, in blocks that fit a processor's cache.

    The blocks have the shape `(n_draws, n_rows)`.
    """
    draws = customer_weights(holdout.entity, resamples=resamples, seed=seed)
    size = max(1, _BLOCK_CELLS // len(holdout.entity))
    for start in range(0, resamples, size):
        yield np.stack([next(draws) for _ in range(start, min(start + size, resamples))]) * holdout.weight


class BlockMetrics:
    """One model's metrics as functions of many weightings of the same rows at once: rows are sorted only here."""

    def __init__(self, holdout: Holdout, capacity_share: float | None) -> None:
        """Sort and bin the rows.

        Args:
            holdout: The rows, with the threshold `f1`.
            capacity_share: Share of the customers, above 0 to 1, that a campaign can contact; None for all of them.
        """
        label, probability, called = holdout.label, holdout.probability, holdout.treated["f1"]
        self._ranking = BlockRanking(label, probability)
        self._earned = np.where(holdout.treated["profit"], expected_value(label, holdout.value, holdout.money), 0.0)
        self._capacity_share = capacity_share
        self._by_value = np.argsort(-expected_value(probability, holdout.value, holdout.money), kind="stable")
        bins = equal_mass_bins(probability, _CALIBRATION_BINS)
        self._residuals = np.where(bins[:, None] == np.arange(bins.max() + 1), (label - probability)[:, None], 0.0)
        rows = {
            "log_loss": log_losses(label, probability),
            "brier": brier_losses(label, probability),
            "profit_per_customer": self._earned,
            "cost_matrix_profit": holdout.money.cost_matrix.profit(label, holdout.treated["cost_matrix"]),
            "f1_hits": label * called,
            "f1_size": (label + called) / 2,
        }
        self._names, self._rows = tuple(rows), np.stack(list(rows.values()), axis=1)

    def __call__(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Return each metric, shape `(n_draws,)`, for weights of shape `(n_draws, n_rows)`; NaN where there is none.

        The names and values are those of `Evaluation.metrics`; F1 is at the model's own threshold, `profit_at_capacity`
        that of the customers with the greatest expected value, as far as it is positive and the capacity goes.
        """
        total = np.sum(weights, axis=1)
        means = dict(zip(self._names, (weights @ self._rows / total[:, None]).T, strict=True))
        auc, average_precision = self._ranking(weights)
        hits, size = means.pop("f1_hits"), means.pop("f1_size")
        metrics = {
            **means,
            "roc_auc": auc,
            "average_precision": average_precision,
            "f1": np.divide(hits, size, out=np.zeros_like(hits), where=size > 0),
            "ece": np.sum(np.abs(weights @ self._residuals), axis=1) / total,
        }
        if self._capacity_share is not None:
            metrics["profit_at_capacity"] = self._at_capacity(weights, self._capacity_share * total) / total
        return metrics

    def _at_capacity(self, weights: FloatArray, capacity: FloatArray) -> FloatArray:
        """Return what the campaign earns, shape `(n_draws,)`, where `capacity` is the weight that can be contacted."""
        weight = weights[:, self._by_value]
        before = np.cumsum(weight, axis=1) - weight
        contacted = np.clip(capacity[:, None] - before, 0.0, weight)
        return np.asarray(contacted @ self._earned[self._by_value])


_SLICE_METRICS = ("log_loss", "profit_per_customer")
_MIN_SLICE_CUSTOMERS = 30
"""With fewer, the bootstrap's standard error is itself little more than a guess."""
_PROFIT_STRICTER = 10
"""Profit varies more than log loss, and has no margin in a slice: its level is so many times smaller."""


@dataclass(frozen=True)
class SliceGains:
    """How much better the challenger is on one slice, as a function of many weightings of all rows at once.

    Attributes:
        column: The slice's column.
        value: The slice's value.
        rows: Positions of the slice's rows, shape `(n_slice,)`.
        gains: What each of them adds to the gain of log loss and of profit, shape `(n_slice, 2)`.
        weight: How many rows each of them stands for, shape `(n_slice,)`.
        skipped: Why the slice is not judged, or None.
    """

    column: str
    value: str
    rows: IntArray
    gains: FloatArray
    weight: FloatArray
    skipped: str | None

    def __call__(self, weights: FloatArray) -> FloatArray:
        """Return the mean gains, shape `(n_draws, 2)`, for weights of shape `(n_draws, n_rows)`; NaN without weight."""
        if self.skipped:
            return np.full((len(weights), len(_SLICE_METRICS)), np.nan)
        weight = weights[:, self.rows]
        total = np.sum(weight, axis=1, keepdims=True)
        unknown = np.full((len(weights), len(_SLICE_METRICS)), np.nan)
        return np.asarray(np.divide(weight @ self.gains, total, out=unknown, where=total > 0))

    def result(self, draws: FloatArray, alpha: float) -> SliceComparison:
        """Return the slice without a verdict; `draws` has shape `(n_draws, 2)`."""
        points = np.average(self.gains, axis=0, weights=self.weight).tolist()
        gains: dict[str, Estimate] = {}
        if not self.skipped:
            gains = estimates(
                dict(zip(_SLICE_METRICS, points, strict=True)),
                dict(zip(_SLICE_METRICS, draws.T, strict=True)),
                1 - 2 * alpha,
            )
        skipped = self.skipped or (None if gains else "too few of its customers are in a resample")
        return SliceComparison(column=self.column, value=self.value, rows=len(self.rows), gains=gains, skipped=skipped)


def slice_gains(
    columns: Mapping[str, npt.ArrayLike], champion: Holdout, challenger: Holdout, settings: GateSettings
) -> list[SliceGains]:
    """Return every slice of the rows; one with too few rows or customers is kept, and says that it is not judged."""
    label, money = champion.label, champion.money
    earned = expected_value(label, champion.value, money)
    treated = [np.where(side.treated["profit"], earned, 0.0) for side in (champion, challenger)]
    losses = [log_losses(label, side.probability) for side in (champion, challenger)]
    gains = np.stack([losses[0] - losses[1], treated[1] - treated[0]], axis=1)
    slices = []
    for column, value, mask in slice_masks(columns):
        rows = np.flatnonzero(mask)
        skipped = None
        if len(rows) < settings.min_slice_rows:
            skipped = f"fewer than {settings.min_slice_rows} rows"
        elif len(np.unique(champion.entity[rows])) < _MIN_SLICE_CUSTOMERS:
            skipped = f"fewer than {_MIN_SLICE_CUSTOMERS} customers"
        slices.append(SliceGains(column, value, rows, gains[rows], champion.weight[rows], skipped))
    return slices


def judged_slices(slices: list[SliceComparison], settings: GateSettings) -> tuple[SliceComparison, ...]:
    """Return the slices with their verdicts.

    A slice is served worse if its log loss is worse by more than the margin and not by chance (at `alpha`), or its
    profit is worse at a tenth of `alpha`. The bar does not depend on how many slices there are: a correction for their
    number would let a group pass that is served worse because others are asked about too. docs/gate.md has the rates.
    """
    return tuple(_judged(part, settings) if part.gains else part for part in slices)


def _judged(part: SliceComparison, settings: GateSettings) -> SliceComparison:
    p_values = {name: p_value_worse(gain) for name, gain in part.gains.items()}
    loss, margin = part.gains.get("log_loss"), settings.margins.slice_log_loss
    less_sure = loss is not None and loss.point < -margin and p_values["log_loss"] < settings.alpha
    poorer = p_values.get("profit_per_customer", 1.0) < settings.alpha / _PROFIT_STRICTER
    return part.model_copy(update={"p_worse": min(p_values.values()), "worse": less_sure or poorer})


def compare(
    rows: PairedRows,
    money: MoneySettings,
    settings: GateSettings,
    *,
    name: Literal["holdout", "newest"],
    seed: int,
) -> Comparison:
    """Compare both models on the same rows: every metric, its paired difference, and the difference on every slice.

    Customers are drawn with all their rows; both models are weighted by the same draws, and each decides whom to treat.
    Under `settings.capacity` the share `capacity / rows.base` of the rows can be contacted.

    Args:
        rows: The rows and both models' predictions.
        money: The economics in force.
        settings: Resamples, level, margins and sizes.
        name: Which rows they are.
        seed: Seed of the draws.

    Raises:
        NotEnoughData: fewer than `settings.min_churners` customers churned, or stayed.
        DataError: arrays differ in length, or hold what is not a label, a probability, a time or an amount.
    """
    champion, challenger = (rows.holdout(side, money) for side in (rows.champion, rows.challenger))
    require_outcomes(champion.label, champion.entity, settings.min_churners, rows=name, remedy=MORE_OUTCOMES)
    times, customers = _checked_times(rows, len(champion.label)), len(np.unique(champion.entity))
    share = capacity_share(settings, rows.base or customers)
    metrics, slices = _resampled(champion, challenger, share, rows.slices, settings, seed=seed)
    return Comparison(
        name=name,
        rows=len(times),
        customers=customers,
        churners=int(np.sum(champion.label)),
        churned_customers=len(np.unique(champion.entity[champion.label == 1])),
        since=times.min().to_pydatetime(),
        until=times.max().to_pydatetime(),
        resamples=settings.resamples,
        metrics=_tested(metrics, settings),
        slices=judged_slices(slices, settings),
    )


def capacity_share(settings: GateSettings, customers: int) -> float | None:
    """Return the share of so many customers that a campaign can contact, above 0 to 1; None for all of them."""
    return None if settings.capacity is None else min(1.0, settings.capacity / customers)


def _checked_times(rows: PairedRows, labels: int) -> pd.Series:
    if len(rows.event_time) != labels or rows.event_time.isna().any():
        raise DataError("Every row that is compared needs its event time: give one for each label, none missing.")
    return rows.event_time


def profit_metric(settings: GateSettings) -> str:
    """Return the name of the profit that counts: of everybody worth treating, or of those within the capacity."""
    return "profit_per_customer" if settings.capacity is None else "profit_at_capacity"


def _resampled(
    champion: Holdout,
    challenger: Holdout,
    capacity_share: float | None,
    slices: Mapping[str, npt.ArrayLike],
    settings: GateSettings,
    *,
    seed: int,
) -> tuple[list[PairedMetric], list[SliceComparison]]:
    """Return metrics and slices with their gains on the same resamples, before any verdict."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    models = [BlockMetrics(side, capacity_share) for side in (champion, challenger)]
    parts = slice_gains(slices, champion, challenger, settings)
    # The products are thin: threads would only wait for each other.
    with threadpool_limits(1):
        drawn = [
            ([model(weights) for model in models], [part(weights) for part in parts])
            for weights in weight_blocks(champion, resamples=settings.resamples, seed=seed)
        ]
    old, new = (model(champion.weight[None]) for model in models)
    metrics = [
        _paired(metric, old, new, np.concatenate([_gain(metric, *values) for values, _ in drawn]), settings)
        for metric in old
    ]
    by_slice = [
        part.result(np.concatenate([gains[index] for _, gains in drawn]), settings.alpha)
        for index, part in enumerate(parts)
    ]
    return [metric for metric in metrics if metric is not None], by_slice


def _gain(metric: str, champion: dict[str, FloatArray], challenger: dict[str, FloatArray]) -> FloatArray:
    sign = -1.0 if metric in LOSSES else 1.0
    return sign * (challenger[metric] - champion[metric])


def _paired(
    metric: str, old: dict[str, FloatArray], new: dict[str, FloatArray], draws: FloatArray, settings: GateSettings
) -> PairedMetric | None:
    """Return a metric from both models' values on the sample and the gain's draws; None where it does not exist."""
    gain = estimate(float(_gain(metric, old, new)[0]), draws, 1 - 2 * settings.alpha)
    if gain is None:
        return None
    return PairedMetric(
        name=metric,
        champion=float(old[metric][0]),
        challenger=float(new[metric][0]),
        gain=gain,
        detectable=detectable(gain.se, settings.alpha),
    )


def _tested(metrics: list[PairedMetric], settings: GateSettings) -> tuple[PairedMetric, ...]:
    """Give the metrics that a version is judged by their margins and p-values, each at the level by itself.

    A correction for their number would let a worse version pass because more is asked.
    """
    margins, profit = settings.margins, profit_metric(settings)
    tested = [metric for metric in metrics if metric.name in ("log_loss", "roc_auc", profit, "f1")]
    p_values = {metric.name: p_value_worse(metric.gain) for metric in tested}
    allowed = {"log_loss": margins.log_loss, "roc_auc": margins.roc_auc}
    allowed |= {metric.name: margins.profit_share * abs(metric.champion) for metric in metrics if metric.name == profit}
    return tuple(
        metric.model_copy(update={"margin": allowed.get(metric.name), "p_worse": p_values.get(metric.name)})
        for metric in metrics
    )
