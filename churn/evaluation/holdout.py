"""Holdout predictions, and every metric of them under any row weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from ..core.errors import ConfigError, DataError, NotEnoughData
from ..model.frame import FloatArray
from ..model.money import MoneySettings, expected_value, treatment_pays
from .profit import ProfitRanking, maximum_profit
from .ranking import (
    Counts,
    Ranking,
    average_precision,
    brier_losses,
    calibration_gap,
    calibration_slope,
    equal_mass_bins,
    f1_score,
    lift,
    log_losses,
    roc_auc,
)

__all__ = ["GRID", "RULES", "Holdout", "HoldoutStatistic", "observed_shares"]

GRID = np.linspace(0.0, 1.0, 101)
"""Where curves are read off: false-positive rate, recall or share contacted."""
RULES = ("profit", "cost_matrix")
"""The ways to decide that follow from the money settings; other ways are thresholds with names of their own."""


@dataclass(frozen=True)
class Holdout:
    """Predictions and outcomes of the same rows, checked; arrays have shape `(n_rows,)`."""

    label: FloatArray
    probability: FloatArray
    entity: npt.NDArray[np.str_]
    value: FloatArray
    treated: Mapping[str, npt.NDArray[np.bool_]]
    """Whom each way to decide would treat: one of `RULES`, or a threshold's name."""
    money: MoneySettings
    weight: FloatArray
    """How many rows each stands for; 1 where it stands for itself alone."""

    @classmethod
    def of(
        cls,
        label: npt.ArrayLike,
        probability: npt.ArrayLike,
        entity: npt.ArrayLike,
        *,
        thresholds: Mapping[str, float],
        money: MoneySettings,
        value: npt.ArrayLike,
        weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Check the arrays and apply every way to decide.

        Args:
            label: 1 churned, 0 stayed.
            probability: Churn probabilities, 0 to 1.
            entity: The customer of each row; a customer may have many rows.
            thresholds: Name to the probability from which on a row counts as a churner, such as `{"f1": 0.31}`.
            money: The economics that the ways `profit` and `cost_matrix` follow from.
            value: What keeping each customer is worth, in the currency; one number holds for all.
            weight: How many rows each stands for, above 0; None where each stands for itself alone.

        Raises:
            DataError: lengths differ, a label is neither 0 nor 1, or a number is missing, infinite or out of range.
            NotEnoughData: there is no row.
            ConfigError: a threshold has the name of a way that follows from the money settings.
        """
        labels, scores = np.asarray(label, dtype=np.float64), np.asarray(probability, dtype=np.float64)
        entities = np.asarray(entity, dtype=str)
        worth = np.asarray(value, dtype=np.float64)
        worth = worth if worth.ndim else np.full(labels.shape, worth)
        weights = np.ones(len(labels)) if weight is None else np.asarray(weight, dtype=np.float64)
        arrays = {"label": labels, "probability": scores, "entity": entities, "value": worth}
        _check_lengths(arrays if weight is None else {**arrays, "weight": weights})
        _check_values("weight", weights, np.isfinite(weights) & (weights > 0), "above 0")
        _check_values("label", labels, np.isin(labels, (0.0, 1.0)), "0 or 1; leave out rows whose outcome is not known")
        _check_values("probability", scores, (scores >= 0) & (scores <= 1), "between 0 and 1")
        _check_values("value", worth, np.isfinite(worth), "finite; give customers without revenue a value of their own")
        if taken := set(thresholds) & set(RULES):
            raise ConfigError(
                f"The threshold name {min(taken)!r} follows from the money settings: choose another name."
            )
        treated = {
            "profit": treatment_pays(scores, worth, money),
            "cost_matrix": scores > money.cost_matrix.threshold,
            **{name: scores >= threshold for name, threshold in thresholds.items()},
        }
        return cls(labels, scores, entities, worth, treated, money, weights)

    @property
    def weighted(self) -> bool:
        """Whether some row stands for others beside itself."""
        return bool((self.weight != 1).any())


def _check_lengths(arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise DataError(f"Every array must have one value for each row; their shapes are {listed}.")
    if len(next(iter(arrays.values()))) == 0:
        raise NotEnoughData("There is no row to evaluate: give the holdout more customers or a longer period.")


def _check_values(name: str, values: FloatArray, allowed: npt.NDArray[np.bool_], rule: str) -> None:
    wrong = np.flatnonzero(~allowed)
    if len(wrong):
        raise DataError(
            f"`{name}` must be {rule}; {len(wrong):,} of {len(values):,} rows are not, "
            f"the first of them row {wrong[0]} with {values[wrong[0]]:g}."
        )


class HoldoutStatistic:
    """Metrics and curves of a holdout as functions of row weights, with all that does not vary computed once.

    A paired comparison of two models calls two of them with the same weights.
    """

    def __init__(self, holdout: Holdout, *, calibration_bins: int, literature: MoneySettings) -> None:
        """Sort and bin the rows.

        Args:
            holdout: The rows.
            calibration_bins: How many groups of equally many rows measure calibration.
            literature: The economics of EMPC; the published ones make the number comparable with papers.
        """
        self.holdout = holdout
        self.bins = equal_mass_bins(holdout.probability, calibration_bins)
        self._literature = literature
        self._ranking = Ranking.of(holdout.label, holdout.probability)
        self._profit = ProfitRanking.of(holdout.label, holdout.probability, holdout.value, holdout.money)
        rows = _row_values(holdout)
        self._names, self._rows = tuple(rows), np.array(list(rows.values()))

    def metrics(self, weights: FloatArray) -> dict[str, float]:
        """Return every metric by name; NaN where it does not exist, such as the AUC of one class."""
        label, probability = self.holdout.label, self.holdout.probability
        counts = self._ranking.counts(weights)
        means = dict(zip(self._names, (self._rows @ weights / np.sum(weights)).tolist(), strict=True))
        return {
            "roc_auc": roc_auc(counts),
            "average_precision": average_precision(counts),
            "top_decile_lift": float(lift(counts, 0.1)),
            "empc": maximum_profit(counts, self._literature).profit,
            "ece": calibration_gap(label, probability, self.bins, weights),
            "calibration_slope": calibration_slope(label, probability, weights),
            "calibration_ratio": _ratio(means["churn_share"], means["mean_probability"]),
            "profit_per_customer": means["profit_at_profit"],
            "profit_over_all": means["profit_at_profit"] - means["profit_if_all"],
            "cost_matrix_profit": means["cost_matrix_profit_at_cost_matrix"],
            **{name: mean for name, mean in means.items() if not name.startswith("found_at_")},
            **self._decisions(means),
        }

    def _decisions(self, means: Mapping[str, float]) -> dict[str, float]:
        churned, metrics = means["churn_share"], {}
        for rule in self.holdout.treated:
            hit, treated = means[f"found_at_{rule}"], means[f"share_at_{rule}"]
            metrics[f"f1_at_{rule}"] = f1_score(hit, treated, churned)
            metrics[f"precision_at_{rule}"] = _ratio(hit, treated)
            metrics[f"recall_at_{rule}"] = _ratio(hit, churned)
        return metrics

    def curves(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Return the curves' heights over `GRID`, and `reliability`: the observed churn share of each bin."""
        counts = self._ranking.counts(weights)
        realised, expected = self._profit.curve(weights).at(GRID)
        return {
            "roc": _true_positive_rate(counts),
            "precision_recall": _precision(counts),
            "lift": lift(counts, GRID[1:]),
            "profit": realised,
            "profit_expected": expected,
            "reliability": observed_shares(self.bins, self.holdout.label, weights),
        }


def observed_shares(group: npt.NDArray[np.int64], label: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the churn share of each group of rows, shape `(n_groups,)`; NaN where a group has no weight.

    Args:
        group: The group of each row, 0 upwards, shape `(n_rows,)`.
        label: 1 churned, 0 stayed, shape `(n_rows,)`.
        weights: How much each row counts, shape `(n_rows,)`.
    """
    churners, rows = np.bincount(group, weights * label), np.bincount(group, weights)
    return np.asarray(np.divide(churners, rows, out=np.full(len(rows), np.nan), where=rows > 0))


def _row_values(holdout: Holdout) -> dict[str, FloatArray]:
    """Return what each row adds to the metrics that are plain means."""
    label, matrix = holdout.label, holdout.money.cost_matrix
    earned = expected_value(label, holdout.value, holdout.money)
    rows = {
        "log_loss": log_losses(label, holdout.probability),
        "brier": brier_losses(label, holdout.probability),
        "churn_share": label,
        "mean_probability": holdout.probability,
        "profit_if_all": earned,
        "cost_matrix_profit_if_all": matrix.profit(label, np.ones(len(label))),
        "cost_matrix_profit_if_none": matrix.profit(label, np.zeros(len(label))),
    }
    for rule, treated in holdout.treated.items():
        rows[f"share_at_{rule}"] = treated.astype(np.float64)
        rows[f"found_at_{rule}"] = treated * label
        rows[f"profit_at_{rule}"] = treated * earned
        rows[f"cost_matrix_profit_at_{rule}"] = matrix.profit(label, treated)
    return rows


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


def _true_positive_rate(counts: Counts) -> FloatArray:
    if not counts.has_both:
        return np.full(len(GRID), np.nan)
    false_positive = np.append(0.0, counts.negative) / counts.negative[-1]
    return np.asarray(np.interp(GRID, false_positive, np.append(0.0, counts.positive) / counts.positive[-1]))


def _precision(counts: Counts) -> FloatArray:
    """Return the precision of the first cut that reaches each recall above 0, as average precision reads it."""
    if counts.positive[-1] <= 0:
        return np.full(len(GRID) - 1, np.nan)
    recall = counts.positive / counts.positive[-1]
    reached = np.minimum(np.searchsorted(recall, GRID[1:] - 1e-12), len(recall) - 1)
    return np.asarray(counts.positive[reached] / (counts.positive[reached] + counts.negative[reached]))
