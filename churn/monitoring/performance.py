"""How well the predictions of a window did where outcomes are known, and how well they should do where they are not.

Without outcomes the probabilities themselves say what to expect: of customers with p = 0.3 three in ten churn. What a
metric comes to on average over such outcomes is the estimate (confidence-based performance estimation, CBPE, as in
NannyML). It holds as long as the probabilities are right: it sees another mix of customers, and does not see customers
who behave otherwise than before. That is why it is held against the outcomes once they are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..core.estimate import Estimate
from ..evaluation.ranking import f1_score, logistic_line
from ..model.frame import FloatArray
from ..model.money import MoneySettings
from ..ports.windows import CELLS

__all__ = ["ESTIMATED", "REALISED", "Cells", "calibration_error_of_mean", "estimated", "realised"]

REALISED = (
    "churn_share",
    "roc_auc",
    "f1",
    "precision",
    "recall",
    "log_loss",
    "brier",
    "ece",
    "calibration_ratio",
    "calibration_slope",
    "true_positives",
    "false_positives",
    "false_negatives",
    "true_negatives",
    "profit_per_customer",
    "expected_loss",
)
"""Metrics of rows with a known outcome, by their names in the registry."""
ESTIMATED = ("churn_share", "roc_auc", "calibration_slope", "f1", "log_loss", "profit_per_customer")
"""Metrics that are estimated without outcomes; the calibration slope is 1 then, within chance."""
_GROUPS, _TINY = 10, 1e-12
_SUMS = ("rows", "p", "pp", "log_p", "log_q", "entropy", "value_sum", "value_squares")


@dataclass(frozen=True)
class Cells:
    """Predictions of one group by outcome, decision and bin of probability; arrays have shape `(n_cells,)`.

    Attributes:
        outcome: 1 churned, 0 stayed, -1 not known yet.
        stands_for: How many rows each outcome stands for; 0 where the customer was contacted meanwhile.
        treated: Whether treating pays, as it was decided.
        bin: Rising with the probability.
        sums: Each sum of `CELLS` by its name, `rows` among them.
        weight: How many rows each row is counted as in the sums.
    """

    outcome: npt.NDArray[np.int8]
    stands_for: FloatArray
    treated: npt.NDArray[np.bool_]
    bin: npt.NDArray[np.int32]
    sums: Mapping[str, FloatArray]
    weight: FloatArray

    @classmethod
    def of(cls, cells: pa.Table) -> Self:
        """Take the cells of one group."""
        order = np.argsort(cells["bin"].to_numpy(), kind="stable")
        outcome = cells["outcome"].combine_chunks().fill_null(-1).to_numpy(zero_copy_only=False)
        treated = cells["treated"].combine_chunks().fill_null(False).to_numpy(zero_copy_only=False)
        sums = {name: cells[name].to_numpy().astype(np.float64)[order] for name in _SUMS}
        stands_for, once = cells["weight"].to_numpy().astype(np.float64)[order], np.ones(len(order))
        return cls(outcome[order], stands_for, treated[order], cells["bin"].to_numpy()[order], sums, once)

    @classmethod
    def empty(cls) -> Self:
        """Return no predictions."""
        return cls.of(CELLS.empty_table())

    @property
    def rows(self) -> int:
        """Predictions."""
        return int(self.sums["rows"].sum())

    @property
    def mature(self) -> Self:
        """The predictions whose outcome is known and untreated, counted as the rows that they stand for."""
        kept = (self.outcome >= 0) & (self.stands_for > 0)
        weight = self.stands_for[kept]
        sums = {name: values[kept] * weight for name, values in self.sums.items()}
        return type(self)(self.outcome[kept], weight, self.treated[kept], self.bin[kept], sums, weight)

    @property
    def outcomes(self) -> tuple[int, int]:
        """How many stayed, and how many churned, of those whose outcome is known and untreated."""
        counts = self.sums["rows"] * (self.stands_for > 0)
        stayed, churned = (int(counts[self.outcome == outcome].sum()) for outcome in (0, 1))
        return stayed, churned

    @property
    def contacted(self) -> int:
        """Predictions with a known outcome that does not count, for the customer was contacted meanwhile."""
        return int(self.sums["rows"][(self.outcome >= 0) & (self.stands_for == 0)].sum())

    @property
    def effective(self) -> float:
        """How many rows of equal weight count as much as these (Kish): `(sum w)² / sum w²`; 0 without any."""
        rows = self.sums["rows"]
        return float(rows.sum() ** 2 / (rows @ self.weight)) if len(rows) else 0.0

    def counts(self) -> dict[int, float]:
        """Return how many predictions lie in each bin."""
        bins, places = np.unique(self.bin, return_inverse=True)
        return dict(zip(bins.tolist(), np.bincount(places, self.sums["rows"]).tolist(), strict=True))


def realised(cells: Cells, money: MoneySettings) -> dict[str, float]:
    """Return `REALISED` of the rows whose untreated outcome is known; those that do not exist are left out.

    Each counts as the rows that it stands for.

    F1, precision, recall and the four counts are of the decision to treat. `profit_per_customer` is what treating them
    earned at the expected acceptance, `expected_loss` the value of churners who were not treated: an amount that was
    lost, so that less is better. Both are per row with a known outcome; rows without one count nowhere. ROC AUC and the
    calibration error are of the probability in bins of log-odds, the others are exact.
    """
    mature = cells.mature
    rows, total = mature.sums["rows"], mature.sums["rows"].sum()
    if not total:
        return {}
    churned, treated = mature.outcome == 1, mature.treated
    positive, negative = np.where(churned, rows, 0.0), np.where(churned, 0.0, rows)
    hits, churners, chosen = positive[treated].sum(), positive.sum(), rows[treated].sum()
    log_loss = -np.where(churned, mature.sums["log_p"], mature.sums["log_q"]).sum() / total
    brier = (mature.sums["pp"].sum() + np.where(churned, rows - 2 * mature.sums["p"], 0.0).sum()) / total
    predicted = mature.sums["p"].sum()
    metrics = {
        "churn_share": churners / total,
        "f1": f1_score(float(hits), float(chosen), float(churners)),
        "log_loss": log_loss,
        "brier": brier,
        "ece": _calibration_error(mature, positive),
        "true_positives": hits,
        "false_positives": chosen - hits,
        "false_negatives": churners - hits,
        "true_negatives": negative[~treated].sum(),
        "profit_per_customer": _profit(mature, positive, money) / total,
        "expected_loss": mature.sums["value_sum"][churned & ~treated].sum() / total,
    }
    if predicted:
        metrics["calibration_ratio"] = churners / predicted
    if chosen:
        metrics["precision"] = hits / chosen
    if churners:
        metrics["recall"] = hits / churners
    if churners and churners < total:
        metrics["roc_auc"] = _auc_and_gradient(mature.bin, positive, negative)[0]
        slope, _, exists = logistic_line(_logit(mature), positive / rows, rows)
        metrics |= {"calibration_slope": slope} if exists else {}
    return {name: float(value) for name, value in metrics.items()}


def estimated(
    cells: Cells, money: MoneySettings, *, calibration: float = 0.0, confidence: float = 0.95
) -> dict[str, Estimate]:
    """Return `ESTIMATED` of all rows, whatever their outcomes: what their probabilities lead one to expect.

    The interval says where the metric of these very rows should fall: outcomes are chance, and the holdout shows how
    far the probabilities are right on average only as well as its size allows. It is normal, by the delta method.

    Args:
        cells: The predictions.
        money: What a treatment costs and earns.
        calibration: Relative standard error of the mean probability, from `calibration_error_of_mean`.
        confidence: Coverage of the intervals.
    """
    rows, expected = cells.sums["rows"], cells.sums["p"]
    total = rows.sum()
    if not total or not 0 < expected.sum() < total:
        return {}
    spread = cells.weight * np.maximum(expected - cells.sums["pp"], 0.0)
    width = NormalDist().inv_cdf((1 + confidence) / 2)
    estimates = {}
    for name, (point, gradient) in _of_churners(cells, money).items():
        chance, doubt = np.sum(spread * gradient**2), float(calibration * np.sum(expected * gradient))
        if name == "calibration_slope":
            doubt = 0.0  # a mean probability that is too high or low changes the level, not the slope
        if name == "profit_per_customer":
            chance = np.sum(spread * _squared_gains(cells, money)) / total**2
        se = float(np.sqrt(chance + doubt**2))
        estimates[name] = Estimate(point=float(point), lower=point - width * se, upper=point + width * se, se=se)
    return estimates


def calibration_error_of_mean(baseline: Cells) -> float:
    """Return the relative standard error of a version's mean probability, as its holdout knows it; 0 without one."""
    mature = baseline.mature
    predicted = mature.sums["p"].sum()
    variance = mature.weight @ np.maximum(mature.sums["p"] - mature.sums["pp"], 0.0)
    return float(np.sqrt(variance) / predicted) if predicted else 0.0


class _Differentiated(NamedTuple):
    """An estimate, and by how much one more churner in each cell changes it, shape `(n_cells,)`."""

    value: float
    gradient: FloatArray


def _of_churners(cells: Cells, money: MoneySettings) -> dict[str, _Differentiated]:
    """Return each estimate, and by how much one more churner in each cell changes it, shape `(n_cells,)`."""
    rows, treated, churners = cells.sums["rows"], cells.treated.astype(np.float64), cells.sums["p"]
    total, all_churners, chosen = rows.sum(), churners.sum(), (rows * treated).sum()
    hits = (churners * treated).sum()
    f1 = f1_score(float(hits), float(chosen), float(all_churners))
    value = cells.sums["value_sum"] / rows
    gain = money.acceptance.mean * (value - money.incentive_cost) + money.incentive_cost
    auc, of_auc = _auc_and_gradient(cells.bin, churners, rows - churners)
    logit, information = _logit(cells), np.maximum(churners - cells.sums["pp"], 0.0)
    centred = logit - np.average(logit, weights=information + _TINY)
    # One more churner moves the slope by a step of Newton's method from 1, where probabilities are calibrated.
    of_slope = centred / max(float(information @ centred**2), _TINY)
    return {
        "churn_share": _Differentiated(all_churners / total, np.full(len(rows), 1 / total)),
        "roc_auc": _Differentiated(auc, of_auc),
        "calibration_slope": _Differentiated(1.0, of_slope),
        "f1": _Differentiated(f1, (2 * treated - f1) / (chosen + all_churners)),
        "log_loss": _Differentiated(
            cells.sums["entropy"].sum() / total, (cells.sums["log_q"] - cells.sums["log_p"]) / rows / total
        ),
        "profit_per_customer": _Differentiated(_profit(cells, churners, money) / total, treated * gain / total),
    }


def _auc_and_gradient(
    bins: npt.NDArray[np.int32], positive: FloatArray, negative: FloatArray
) -> tuple[float, FloatArray]:
    """Return the ROC AUC, and by how much a negative in each cell that becomes positive changes it."""
    group = np.cumsum(np.append(True, bins[1:] != bins[:-1])) - 1
    above, below = np.bincount(group, positive), np.bincount(group, negative)
    positives, negatives = above.sum(), below.sum()
    lower = np.cumsum(below) - below / 2
    higher = positives - np.cumsum(above) + above / 2
    auc = float(np.sum(above * lower) / (positives * negatives))
    gradient = (lower - higher) / (positives * negatives) - auc * (1 / positives - 1 / negatives)
    return auc, gradient[group]


def _logit(cells: Cells) -> FloatArray:
    """Return the mean log-odds of each cell."""
    return np.asarray((cells.sums["log_p"] - cells.sums["log_q"]) / cells.sums["rows"])


def _profit(cells: Cells, positive: FloatArray, money: MoneySettings) -> FloatArray:
    """Return what treating those who are treated earns, given the churners in each cell, shape `(…, n_cells)`."""
    rows, value = cells.sums["rows"], cells.sums["value_sum"] / cells.sums["rows"]
    saved = money.acceptance.mean * (value - money.incentive_cost)
    earned = positive * saved - (rows - positive) * money.incentive_cost - rows * money.contact_cost
    return np.asarray(np.sum(np.where(cells.treated, earned, 0.0), axis=-1))


def _squared_gains(cells: Cells, money: MoneySettings) -> FloatArray:
    """Return the mean square of what one more churner who is treated earns, in each cell."""
    share, level = money.acceptance.mean, money.incentive_cost * (1 - money.acceptance.mean)
    value, squares = cells.sums["value_sum"], cells.sums["value_squares"]
    squared = share**2 * squares / cells.sums["rows"] + 2 * share * level * value / cells.sums["rows"] + level**2
    return np.asarray(np.where(cells.treated, squared, 0.0))


def _calibration_error(mature: Cells, positive: FloatArray) -> float:
    """Return the mean gap between observed and predicted churn over about ten groups of equally many rows."""
    rows = mature.sums["rows"]
    starts = np.flatnonzero(np.append(True, mature.bin[1:] != mature.bin[:-1]))
    mass = np.add.reduceat(rows, starts)
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    group = np.minimum((middle * _GROUPS).astype(np.int64), _GROUPS - 1)
    gap = np.bincount(group, np.add.reduceat(positive - mature.sums["p"], starts))
    return float(np.abs(gap).sum() / rows.sum())
