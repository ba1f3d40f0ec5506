"""Evaluates a model on a holdout: quality, calibration and profit with intervals, overall and by slice."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from ..core.estimate import Estimate
from ..core.frozen import Finite
from ..data.contract import DatasetContract
from ..data.tables import EVENT_TIME
from ..data.training_set import TrainingSet, customer_values, effective_rows, require_outcomes
from ..model.frame import FloatArray, IntArray
from ..model.model import ChurnModel
from ..model.money import MoneySettings, expected_value, optimal_threshold
from .bootstrap import band, bootstrap, estimates
from .campaign_date import CampaignDate, CampaignRows, period_of, rows_digest, rows_of_newest_date, unit_of
from .holdout import GRID, Holdout, HoldoutStatistic, observed_shares
from .oracle import Reachable, reachable
from .ranking import CalibrationNoise, calibration_noise
from .slices import Slice, SliceStatistic, slice_masks

__all__ = [
    "BandedCurve",
    "Bin",
    "Evaluation",
    "EvaluationSettings",
    "HoldoutCampaign",
    "Period",
    "evaluate",
    "evaluate_holdout",
]

SCORE_BINS = 40
CURVES = {
    "roc": GRID,
    "precision_recall": GRID[1:],
    "lift": GRID[1:],
    "profit": GRID,
    "profit_expected": GRID,
}


class EvaluationSettings(Finite):
    """How a holdout is evaluated."""

    resamples: int = Field(default=500, ge=100, le=20_000, description="Bootstrap resamples; more cost time only.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Coverage of every interval.")
    calibration_bins: int = Field(default=10, ge=2, le=100, description="Groups of equally many rows.")
    min_per_class: int = Field(default=10, ge=2, description="Customers who churned, and who stayed, to evaluate on.")
    min_slice_rows: int = Field(default=50, ge=1, description="A smaller slice is listed and not evaluated.")
    max_rows: int = Field(default=200_000, ge=1000, description="Of a larger holdout, whole customers are drawn.")


class BandedCurve(Finite):
    """Points of a curve, and the band that holds each of them with the evaluation's confidence."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]


class Bin(Finite):
    """One group of the reliability curve: what was predicted and what happened."""

    rows: int
    predicted: float
    observed: float
    lower: float
    upper: float


class Period(Bin):
    """The rows of one date, or of one calendar month where there are many dates."""

    since: dt.date


class HoldoutCampaign(Finite):
    """Treating every row whose expected value is positive, all dates together."""

    treated: int = Field(description="Rows that are treated, each counted as often as those that it stands for.")
    churners: int = Field(description="Rows among them that churned.")
    threshold: tuple[float, float] = Field(description="Lowest and highest churn probability at which treating pays.")
    expected_profit: float = Field(description="What the model expects the campaign to earn, in the currency.")
    profit: Estimate = Field(description="What it earned, in the currency, at the expected acceptance.")


class Evaluation(Finite):
    """A model on a holdout. Amounts are in `currency`; shares and probabilities are 0 to 1."""

    rows: int
    customers: int
    churners: int = Field(description="Rows whose customer churned.")
    churned_customers: int | None = Field(
        default=None, description="Customers with such a row; None in what earlier versions stored."
    )
    money: MoneySettings = Field(description="The economics that every amount follows from, but for EMPC.")
    thresholds: dict[str, float]
    metrics: dict[str, Estimate]
    calibration_noise: CalibrationNoise = Field(description="The calibration error that chance alone gives.")
    campaign: HoldoutCampaign
    campaign_date: CampaignDate | None = Field(
        default=None, description="The newest date with known outcomes; None where no date has enough of them."
    )
    periods: tuple[Period, ...] = Field(default=(), description="Predicted and observed churn by date.")
    represented: int | None = Field(
        default=None, description="Rows that these stand for, where some stand for others beside themselves."
    )
    effective_rows: float | None = Field(
        default=None, description="How many rows of equal weight count as much (Kish); set with `represented`."
    )
    data_digest: str | None = Field(
        default=None, description="Of the customers, times and outcomes evaluated on: equal where these are the same."
    )
    curves: dict[str, BandedCurve]
    reliability: tuple[Bin, ...]
    scores: dict[str, tuple[int, ...]] = Field(description="Rows in equally wide bins of probability, by outcome.")
    slices: tuple[Slice, ...]
    reachable: Reachable | None = Field(default=None, description="Set where the true probabilities are known.")
    confidence: float
    resamples: int

    @property
    def unit(self) -> str:
        """What a row is: a customer, or one customer scored on one of several dates."""
        return "customers" if self.rows == self.customers else "customer-months"

    @property
    def currency(self) -> str:
        """ISO 4217 code of every amount but EMPC."""
        return self.money.currency


def evaluate_holdout(
    model: ChurnModel,
    training: TrainingSet,
    contract: DatasetContract,
    *,
    money: MoneySettings,
    settings: EvaluationSettings,
    seed: int,
) -> Evaluation:
    """Evaluate the model on the customers that had no part in it."""
    holdout = training.side("holdout")
    return evaluate(
        holdout.data.label,
        model.probability(holdout.columns),
        holdout.data.entity,
        thresholds=model.thresholds,
        money=money,
        value=customer_values(holdout, contract, money),
        slices={words: holdout.columns[name] for words, name in contract.slice_names.items()},
        settings=settings,
        seed=seed,
        truth=holdout.truth,
        weight=holdout.weight,
        event_time=holdout.rows[EVENT_TIME],
    )


def evaluate(
    label: npt.ArrayLike,
    probability: npt.ArrayLike,
    entity: npt.ArrayLike,
    *,
    thresholds: Mapping[str, float],
    money: MoneySettings,
    value: npt.ArrayLike,
    slices: Mapping[str, npt.ArrayLike],
    settings: EvaluationSettings,
    seed: int,
    truth: npt.ArrayLike | None = None,
    weight: npt.ArrayLike | None = None,
    event_time: pd.Series | None = None,
) -> Evaluation:
    """Evaluate predictions on rows that neither trained, tuned nor calibrated the model.

    Args:
        label: 1 churned, 0 stayed, shape `(n_rows,)`.
        probability: The model's churn probabilities, 0 to 1, shape `(n_rows,)`.
        entity: The customer of each row, shape `(n_rows,)`; the bootstrap draws customers with all their rows.
        thresholds: Name to the probability from which on a row counts as a churner, such as `{"f1": 0.31}`; the
            treatments by expected value (`profit`) and by the cost matrix (`cost_matrix`) are always evaluated.
        money: The economics. EMPC alone is computed on the literature's, which makes it comparable with papers.
        value: What keeping each customer is worth, in the currency, shape `(n_rows,)` or one number.
        slices: Column name to its values, shape `(n_rows,)`.
        settings: Resamples, confidence and sizes.
        seed: Makes the intervals the same in every run.
        truth: The true churn probabilities of a simulation, shape `(n_rows,)`.
        weight: How many rows each stands for, shape `(n_rows,)`; None where each stands for itself alone.
        event_time: When the facts of each row were true, shape `(n_rows,)`; without it nothing is said by date.

    Raises:
        DataError: arrays do not fit each other, or hold what is not a label, a probability or an amount.
        NotEnoughData: fewer than `settings.min_per_class` customers churned or stayed.
        ConfigError: a threshold's name is taken.
    """
    holdout = Holdout.of(label, probability, entity, thresholds=thresholds, money=money, value=value, weight=weight)
    require_outcomes(
        holdout.label,
        holdout.entity,
        settings.min_per_class,
        rows="holdout",
        remedy="to evaluate on (evaluation.min_per_class): give the holdout more customers (split.holdout_share) or "
        "more history; with fewer, no metric means anything.",
    )
    whole = HoldoutStatistic(holdout, calibration_bins=settings.calibration_bins, literature=MoneySettings())
    parts = [SliceStatistic.of(holdout, *part, min_rows=settings.min_slice_rows) for part in slice_masks(slices)]
    dates = None if event_time is None else _Dates.of(holdout, event_time, settings.min_per_class)

    def statistic(weights: FloatArray) -> dict[str, FloatArray | float]:
        in_slices = np.array([part.metrics(weights) for part in parts])
        by_date = {} if dates is None else dates.metrics(holdout, weights)
        return {**by_date, **whole.metrics(weights), **whole.curves(weights), "slices": in_slices}

    sample = {name: np.asarray(metric) for name, metric in statistic(holdout.weight).items()}
    draws = bootstrap(
        lambda drawn: statistic(drawn * holdout.weight), holdout.entity, resamples=settings.resamples, seed=seed
    )
    customers, customer = np.unique(holdout.entity, return_inverse=True)
    numbers = {name: float(metric) for name, metric in sample.items() if not metric.ndim}
    metrics = estimates(numbers, draws, settings.confidence)
    bins = partial(_bins, holdout, confidence=settings.confidence)
    return Evaluation(
        rows=len(holdout.label),
        customers=len(customers),
        churners=int(np.sum(holdout.label)),
        churned_customers=len(np.unique(customer[holdout.label == 1])),
        money=money,
        thresholds=dict(thresholds),
        metrics=metrics,
        calibration_noise=calibration_noise(holdout.label, holdout.probability, whole.bins, customer, holdout.weight),
        campaign=_campaign(holdout, metrics["profit_per_customer"]),
        campaign_date=None
        if dates is None or dates.newest is None
        else dates.newest.summary(holdout, dates.event_time),
        periods=() if dates is None else dates.periods(bins(dates.number, draws["periods"])),
        represented=round(holdout.weight.sum()) if holdout.weighted else None,
        effective_rows=effective_rows(holdout.weight) if holdout.weighted else None,
        data_digest=rows_digest(holdout, event_time),
        curves={name: _curve(x, sample[name], draws[name], settings.confidence) for name, x in CURVES.items()},
        reliability=bins(whole.bins, draws["reliability"]),
        scores=_scores(holdout),
        slices=tuple(
            part.result(sample["slices"][i], draws["slices"][:, i], settings.confidence) for i, part in enumerate(parts)
        ),
        reachable=truth
        if truth is None
        else reachable(holdout.probability, truth, holdout.value, money, holdout.weight),
        confidence=settings.confidence,
        resamples=settings.resamples,
    )


class _Dates(NamedTuple):
    """The dates, or the first days of the months, that the rows are of, and the number of each row's."""

    event_time: pd.Series
    since: list[dt.date]
    number: IntArray
    newest: CampaignRows | None

    @classmethod
    def of(cls, holdout: Holdout, event_time: pd.Series, min_per_class: int) -> Self:
        since, number = np.unique(period_of(event_time, unit_of(event_time)), return_inverse=True)
        newest = rows_of_newest_date(event_time, holdout.entity, holdout.label, min_per_class)
        campaign = None if newest is None else CampaignRows.of(holdout, newest)
        return cls(event_time, since.astype("datetime64[D]").tolist(), number.astype(np.int64), campaign)

    def metrics(self, holdout: Holdout, weights: FloatArray) -> dict[str, FloatArray | float]:
        campaign = {} if self.newest is None else self.newest.metrics(weights)
        return {**campaign, "periods": observed_shares(self.number, holdout.label, weights)}

    def periods(self, groups: Sequence[Bin]) -> tuple[Period, ...]:
        return tuple(Period(since=since, **dict(group)) for since, group in zip(self.since, groups, strict=True))


def _campaign(holdout: Holdout, profit: Estimate) -> HoldoutCampaign:
    treated = holdout.treated["profit"]
    thresholds = np.minimum(optimal_threshold(holdout.value, holdout.money), 1.0)
    expected = expected_value(holdout.probability, holdout.value, holdout.money)
    weight = holdout.weight[treated]
    return HoldoutCampaign(
        treated=round(weight.sum()),
        churners=round(float(weight @ holdout.label[treated])),
        threshold=(float(np.min(thresholds)), float(np.max(thresholds))),
        expected_profit=float(np.sum(expected[treated] * weight)),
        profit=profit.scaled(float(holdout.weight.sum())),
    )


def _curve(x: FloatArray, y: FloatArray, draws: FloatArray, confidence: float) -> BandedCurve:
    lower, upper = band(draws, confidence)
    points = {"x": x, "y": y, "lower": lower, "upper": upper}
    return BandedCurve(**{name: tuple(np.round(values, 6).tolist()) for name, values in points.items()})


def _bins(holdout: Holdout, bins: IntArray, draws: FloatArray, *, confidence: float) -> tuple[Bin, ...]:
    rows, weight = np.bincount(bins), np.bincount(bins, holdout.weight)
    predicted, observed = (
        np.bincount(bins, values * holdout.weight) / weight for values in (holdout.probability, holdout.label)
    )
    columns = (rows, predicted, observed, *band(draws, confidence))
    return tuple(
        Bin(rows=int(n), predicted=p, observed=o, lower=low, upper=high)
        for n, p, o, low, high in zip(*(column.tolist() for column in columns), strict=True)
    )


def _scores(holdout: Holdout) -> dict[str, tuple[int, ...]]:
    scores = {}
    for outcome, word in ((0.0, "stayed"), (1.0, "churned")):
        rows = holdout.label == outcome
        counts, _ = np.histogram(holdout.probability[rows], SCORE_BINS, (0, 1), weights=holdout.weight[rows])
        scores[word] = tuple(counts.round().astype(int).tolist())
    return scores
