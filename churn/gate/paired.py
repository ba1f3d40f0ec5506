"""Two models' predictions on the same rows, and every metric of one of them under whole blocks of resample weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..evaluation.bootstrap import customer_weights
from ..evaluation.holdout import Holdout
from ..evaluation.ranking import BlockRanking, brier_losses, equal_mass_bins, log_losses
from ..model.frame import FloatArray
from ..model.money import MoneySettings, expected_value

__all__ = ["LOSSES", "BlockMetrics", "PairedRows", "Predictions", "weight_blocks"]

LOSSES = frozenset({"log_loss", "brier", "ece"})
"""The metrics of which less is better."""
_CALIBRATION_BINS = 10
_BLOCK_CELLS = 250_000


@dataclass(frozen=True)
class Predictions:
    """What one model says of the rows.

    Attributes:
        probability: Churn probabilities, 0 to 1, shape `(n_rows,)`.
        f1_threshold: The probability from which the model as deployed counts a customer as a churner.
    """

    probability: FloatArray
    f1_threshold: float


@dataclass(frozen=True)
class PairedRows:
    """Rows with a known outcome that neither model was trained on, and what both say of them.

    Attributes:
        label: 1 churned, 0 stayed, shape `(n_rows,)`.
        entity: The customer of each row, shape `(n_rows,)`; a customer may have many rows.
        event_time: When the facts of each row were true (UTC), shape `(n_rows,)`.
        value: What keeping each customer is worth, in the currency, shape `(n_rows,)`.
        champion: The champion's predictions.
        challenger: The challenger's.
        slices: Column name to its values, shape `(n_rows,)`.
        base: Customers whom a campaign chooses from; those of the rows where None. Only `gate.capacity` needs it.
    """

    label: npt.ArrayLike
    entity: npt.ArrayLike
    event_time: pd.Series
    value: npt.ArrayLike
    champion: Predictions
    challenger: Predictions
    slices: Mapping[str, npt.ArrayLike]
    base: int | None = None

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
        )

    def holdout(self, predictions: Predictions, money: MoneySettings) -> Holdout:
        """Return one model's predictions as a checked holdout; raises DataError or NotEnoughData as that does."""
        return Holdout.of(
            self.label,
            predictions.probability,
            self.entity,
            thresholds={"f1": predictions.f1_threshold},
            money=money,
            value=self.value,
        )


def weight_blocks(entity: npt.NDArray[np.str_], *, resamples: int, seed: int) -> Iterator[FloatArray]:
    """Yield the draws of `customer_weights` in blocks of shape `(n_draws, n_rows)` that fit a processor's cache."""
    draws = customer_weights(entity, resamples=resamples, seed=seed)
    size = max(1, _BLOCK_CELLS // len(entity))
    for start in range(0, resamples, size):
        yield np.stack([next(draws) for _ in range(start, min(start + size, resamples))])


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
