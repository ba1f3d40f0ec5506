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
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..core.estimate import Estimate
from ..evaluation.ranking import f1_score
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
    "true_positives",
    "false_positives",
    "false_negatives",
    "true_negatives",
    "profit_per_customer",
    "expected_loss",
)
"""Metrics of rows with a known outcome, by their names in the registry."""
ESTIMATED = ("churn_share", "roc_auc", "f1", "log_loss", "profit_per_customer")
"""Metrics that are estimated without outcomes."""
_DRAWS = 200
_GROUPS = 10
_SUMS = ("rows", "p", "pp", "log_p", "log_q", "entropy", "value_sum", "value_squares")


@dataclass(frozen=True)
class Cells:
    """Predictions of one group by outcome, decision and bin of probability; arrays have shape `(n_cells,)`.

    Attributes:
        outcome: 1 churned, 0 stayed, -1 not known yet.
        treated: Whether treating pays, as it was decided.
        bin: Rising with the probability.
        sums: Each sum of `CELLS` by its name, `rows` among them.
    """

    outcome: npt.NDArray[np.int8]
    treated: npt.NDArray[np.bool_]
    bin: npt.NDArray[np.int32]
    sums: Mapping[str, FloatArray]

    @classmethod
    def of(cls, cells: pa.Table) -> Self:
        """Take the cells of one group."""
        order = np.argsort(cells["bin"].to_numpy(), kind="stable")
        outcome = cells["outcome"].combine_chunks().fill_null(-1).to_numpy(zero_copy_only=False)
        treated = cells["treated"].combine_chunks().fill_null(False).to_numpy(zero_copy_only=False)
        sums = {name: cells[name].to_numpy().astype(np.float64)[order] for name in _SUMS}
        return cls(outcome[order], treated[order], cells["bin"].to_numpy()[order], sums)

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
        """The predictions whose outcome is known."""
        return self._where(self.outcome >= 0)

    @property
    def outcomes(self) -> tuple[int, int]:
        """How many stayed, and how many churned, of those whose outcome is known."""
        stayed, churned = (int(self.sums["rows"][self.outcome == outcome].sum()) for outcome in (0, 1))
        return stayed, churned

    def counts(self) -> dict[int, float]:
        """Return how many predictions lie in each bin."""
        bins, places = np.unique(self.bin, return_inverse=True)
        return dict(zip(bins.tolist(), np.bincount(places, self.sums["rows"]).tolist(), strict=True))

    def _where(self, kept: npt.NDArray[np.bool_]) -> Self:
        sums = {name: values[kept] for name, values in self.sums.items()}
        return type(self)(self.outcome[kept], self.treated[kept], self.bin[kept], sums)


def realised(cells: Cells, money: MoneySettings) -> dict[str, float]:
    """Return `REALISED` of the rows whose outcome is known; those that do not exist are left out.

    F1, precision, recall and the four counts are of the decision to treat. `profit_per_customer` is what treating them
    earned at the expected acceptance, `expected_loss` the value of churners who were not treated: an amount that was
    lost, so that less is better. Both are per row with a known outcome; rows without one count nowhere. ROC AUC and the
    calibration error are of the probability in bins of log-odds, the others are exact.
    """
    known = cells.mature
    rows, total = known.sums["rows"], known.sums["rows"].sum()
    if not total:
        return {}
    churned, treated = known.outcome == 1, known.treated
    positive, negative = np.where(churned, rows, 0.0), np.where(churned, 0.0, rows)
    hits, churners, chosen = positive[treated].sum(), positive.sum(), rows[treated].sum()
    log_loss = -np.where(churned, known.sums["log_p"], known.sums["log_q"]).sum() / total
    brier = (known.sums["pp"].sum() + np.where(churned, rows - 2 * known.sums["p"], 0.0).sum()) / total
    predicted = known.sums["p"].sum()
    metrics = {
        "churn_share": churners / total,
        "f1": f1_score(float(hits), float(chosen), float(churners)),
        "log_loss": log_loss,
        "brier": brier,
        "ece": _calibration_error(known, positive),
        "true_positives": hits,
        "false_positives": chosen - hits,
        "false_negatives": churners - hits,
        "true_negatives": negative[~treated].sum(),
        "profit_per_customer": _profit(known, positive, money) / total,
        "expected_loss": known.sums["value_sum"][churned & ~treated].sum() / total,
    }
    if predicted:
        metrics["calibration_ratio"] = churners / predicted
    if chosen:
        metrics["precision"] = hits / chosen
    if churners:
        metrics["recall"] = hits / churners
    if churners and churners < total:
        metrics["roc_auc"] = _auc(known.bin, positive, negative)
    return {name: float(value) for name, value in metrics.items()}


def estimated(
    cells: Cells, money: MoneySettings, *, calibration: float = 0.0, confidence: float = 0.95
) -> dict[str, Estimate]:
    """Return `ESTIMATED` of all rows, whatever their outcomes: what their probabilities lead one to expect.

    The interval says where the metric of these very rows should fall: outcomes are chance, and the holdout shows how
    far the probabilities are right on average only as well as its size allows.

    Args:
        cells: The predictions.
        money: What a treatment costs and earns.
        calibration: Relative standard error of the mean probability, from `calibration_error_of_mean`.
        confidence: Coverage of the intervals.
    """
    rows = cells.sums["rows"]
    total, expected = rows.sum(), cells.sums["p"]
    if not total or not 0 < expected.sum() < total:
        return {}
    variance = np.maximum(expected - cells.sums["pp"], 0.0)
    random = np.random.default_rng(0)
    ratio = np.maximum(1 + calibration * random.standard_normal((_DRAWS, 1)), 0.0)
    noise = random.standard_normal((_DRAWS, len(rows)))
    drawn = expected * ratio + noise * np.sqrt(variance)  # not clipped: cells may be single rows, their sums are right
    loss = {"log_loss": float(cells.sums["entropy"].sum() / total)}
    points = {name: float(value[0]) for name, value in _of_positives(cells, expected[None], money).items()} | loss
    spread = {name: float(np.nanstd(values)) for name, values in _of_positives(cells, drawn, money).items()}
    # A customer's value differs within a cell, which adds to the chance in what their treatment earns.
    spread["profit_per_customer"] = _profit_spread(cells, variance, money, calibration) / float(total)
    width = NormalDist().inv_cdf((1 + confidence) / 2)
    return {
        name: Estimate(point=points[name], lower=points[name] - width * se, upper=points[name] + width * se, se=se)
        for name, se in spread.items()
    }


def calibration_error_of_mean(baseline: Cells) -> float:
    """Return the relative standard error of a version's mean probability, as its holdout knows it; 0 without one."""
    known = baseline.mature
    predicted = known.sums["p"].sum()
    variance = np.maximum(known.sums["p"] - known.sums["pp"], 0.0).sum()
    return float(np.sqrt(variance) / predicted) if predicted else 0.0


def _of_positives(cells: Cells, positive: FloatArray, money: MoneySettings) -> dict[str, FloatArray]:
    """Return the estimated metrics for drawn numbers of churners in each cell, shape `(n_draws, n_cells)`."""
    rows, treated = cells.sums["rows"], cells.treated
    total, chosen, churners = rows.sum(), rows[treated].sum(), positive.sum(axis=1)
    hits = positive[:, treated].sum(axis=1)
    losses = positive * (-cells.sums["log_p"] / rows) + (rows - positive) * (-cells.sums["log_q"] / rows)
    return {
        "churn_share": churners / total,
        "roc_auc": _auc(cells.bin, positive, rows - positive),
        "f1": 2 * hits / (chosen + churners),
        "log_loss": losses.sum(axis=1) / total,
        "profit_per_customer": _profit(cells, positive, money) / total,
    }


def _profit(cells: Cells, positive: FloatArray, money: MoneySettings) -> FloatArray:
    """Return what treating those who are treated earns, given the churners in each cell, shape `(…, n_cells)`."""
    rows, value = cells.sums["rows"], cells.sums["value_sum"] / cells.sums["rows"]
    saved = money.acceptance.mean * (value - money.incentive_cost)
    earned = positive * saved - (rows - positive) * money.incentive_cost - rows * money.contact_cost
    return np.asarray(np.sum(np.where(cells.treated, earned, 0.0), axis=-1))


def _profit_spread(cells: Cells, variance: FloatArray, money: MoneySettings, calibration: float) -> float:
    share, rows = money.acceptance.mean, cells.sums["rows"]
    level = money.incentive_cost * (1 - share)
    value, squares = cells.sums["value_sum"], cells.sums["value_squares"]
    squared = (share**2 * squares + 2 * share * level * value + rows * level**2) / rows  # of a churner's gain
    mean = share * value / rows + level
    chance = np.sum((variance * squared)[cells.treated])
    shift = calibration * np.sum((cells.sums["p"] * mean)[cells.treated])
    return float(np.sqrt(chance + shift**2))


def _auc(bins: npt.NDArray[np.int32], positive: FloatArray, negative: FloatArray) -> FloatArray:
    """Return the ROC AUC, rows of one bin counting as ties; `bins` are rising, the last axis is that of the cells."""
    starts = np.flatnonzero(np.append(True, bins[1:] != bins[:-1]))
    above, below = np.add.reduceat(positive, starts, axis=-1), np.add.reduceat(negative, starts, axis=-1)
    lower = np.cumsum(below, axis=-1) - below / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        pairs = above.sum(axis=-1) * below.sum(axis=-1)
        return np.asarray(np.sum(above * lower, axis=-1) / pairs)


def _calibration_error(known: Cells, positive: FloatArray) -> float:
    """Return the mean gap between observed and predicted churn over about ten groups of equally many rows."""
    rows = known.sums["rows"]
    starts = np.flatnonzero(np.append(True, known.bin[1:] != known.bin[:-1]))
    mass = np.add.reduceat(rows, starts)
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    group = np.minimum((middle * _GROUPS).astype(np.int64), _GROUPS - 1)
    gap = np.bincount(group, np.add.reduceat(positive - known.sums["p"], starts))
    return float(np.abs(gap).sum() / rows.sum())
