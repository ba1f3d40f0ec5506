"""Is this fitted version no worse? Champion and challenger on the same rows, resampled together by customer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError, NotEnoughData
from ..evaluation.bootstrap import estimate
from ..evaluation.holdout import Holdout
from ..evaluation.significance import chance_of_worse, detectable, holm
from ..model.frame import FloatArray
from ..model.money import MoneySettings
from .paired import LOSSES, BlockMetrics, PairedRows, Predictions, weight_blocks
from .report import Comparison, Histogram, PairedMetric, SliceComparison
from .settings import GateSettings
from .slices import judged, slice_gains

__all__ = ["PairedRows", "Predictions", "compare", "profit_metric"]

_HISTOGRAM_BINS = 40


def compare(
    rows: PairedRows,
    money: MoneySettings,
    settings: GateSettings,
    *,
    name: Literal["holdout", "newest"],
    seed: int,
) -> Comparison:
    """Compare both models on the same rows: every metric, its paired difference, and the difference on every slice.

    Customers are drawn with all their rows, and both models are weighted by the same draws, so that what the rows have
    in common cancels out of the difference. Each model decides for itself whom to treat. Under `settings.capacity` the
    share `capacity / rows.base` of the rows can be contacted: a campaign chooses from one row of each customer.

    Args:
        rows: The rows and what both models say of them.
        money: The economics in force, the same for both.
        settings: Resamples, level, margins and sizes.
        name: Which rows they are: the `holdout`, or the `newest` mature ones.
        seed: Makes the draws the same in every run.

    Raises:
        NotEnoughData: fewer than `settings.min_churners` customers churned, or stayed.
        DataError: arrays do not fit each other, or hold what is not a label, a probability, a time or an amount.
    """
    champion, challenger = (rows.holdout(side, money) for side in (rows.champion, rows.challenger))
    _require_enough(champion, name, settings.min_churners)
    times = rows.event_time
    if len(times) != len(champion.label) or times.isna().any():
        raise DataError("Every row that is compared needs its event time: give one for each label, none missing.")
    customers = len(np.unique(champion.entity))
    share = None if settings.capacity is None else min(1.0, settings.capacity / (rows.base or customers))
    metrics, slices = _resampled(champion, challenger, share, rows.slices, settings, seed=seed)
    return Comparison(
        name=name,
        rows=len(times),
        customers=customers,
        churners=int(np.sum(champion.label)),
        since=times.min().to_pydatetime(),
        until=times.max().to_pydatetime(),
        resamples=settings.resamples,
        metrics=_tested(metrics, settings),
        slices=judged(slices, settings.alpha),
    )


def profit_metric(settings: GateSettings) -> str:
    """Return the name of the profit that counts: of everybody worth treating, or of those within the capacity."""
    return "profit_per_customer" if settings.capacity is None else "profit_at_capacity"


def _require_enough(holdout: Holdout, name: str, least: int) -> None:
    for outcome, word in ((1.0, "churned"), (0.0, "stayed")):
        customers = len(np.unique(holdout.entity[holdout.label == outcome]))
        if customers < least:
            raise NotEnoughData(
                f"{customers} customers of the {name} rows {word}, and gate.min_churners asks for {least}: fewer say "
                "nothing. Wait until more outcomes are known, hold out more customers "
                "(split.holdout_share), or bring more history."
            )


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
            for weights in weight_blocks(champion.entity, resamples=settings.resamples, seed=seed)
        ]
    old, new = (model(np.ones((1, len(champion.label)))) for model in models)
    metrics = [
        _paired(metric, old, new, np.concatenate([_gain(metric, *found) for found, _ in drawn]), settings)
        for metric in old
    ]
    by_slice = [
        part.result(np.concatenate([found[index] for _, found in drawn]), settings.alpha)
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
    counts, edges = np.histogram(draws[np.isfinite(draws)], bins=_HISTOGRAM_BINS)
    return PairedMetric(
        name=metric,
        champion=float(old[metric][0]),
        challenger=float(new[metric][0]),
        gain=gain,
        detectable=detectable(gain.se, settings.alpha),
        draws=Histogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist())),
    )


def _tested(metrics: list[PairedMetric], settings: GateSettings) -> tuple[PairedMetric, ...]:
    """Give the metrics that a version is judged by their margins and their p-values, corrected for their number."""
    margins, profit = settings.margins, profit_metric(settings)
    tested = [metric for metric in metrics if metric.name in ("log_loss", "roc_auc", profit, "f1")]
    p_worse = holm([chance_of_worse(metric.gain) for metric in tested]).tolist()
    found = {metric.name: p_value for metric, p_value in zip(tested, p_worse, strict=True)}
    allowed = {"log_loss": margins.log_loss, "roc_auc": margins.roc_auc}
    allowed |= {metric.name: margins.profit_share * abs(metric.champion) for metric in metrics if metric.name == profit}
    return tuple(
        metric.model_copy(update={"margin": allowed.get(metric.name), "p_worse": found.get(metric.name)})
        for metric in metrics
    )
