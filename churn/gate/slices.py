"""Whether any group of customers is served worse by the challenger, corrected for how many groups are asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..core.estimate import Estimate
from ..evaluation.bootstrap import estimates
from ..evaluation.holdout import Holdout
from ..evaluation.ranking import IntArray, log_losses
from ..evaluation.significance import chance_of_worse, holm
from ..evaluation.slices import slice_masks
from ..model.frame import FloatArray
from ..model.money import expected_value
from .report import SliceComparison
from .settings import GateSettings

__all__ = ["SliceGains", "judged", "slice_gains"]

_METRICS = ("log_loss", "profit_per_customer")
_LEAST_CUSTOMERS = 30
"""With fewer, the bootstrap's standard error is itself little more than a guess."""


@dataclass(frozen=True)
class SliceGains:
    """How much better the challenger is on one slice, as a function of many weightings of all rows at once.

    Attributes:
        column: The slice's column.
        value: The slice's value.
        rows: Positions of the slice's rows, shape `(n_slice,)`.
        gains: What each of them adds to the gain of log loss and of profit, shape `(n_slice, 2)`.
        skipped: Why the slice is not judged, or None.
    """

    column: str
    value: str
    rows: IntArray
    gains: FloatArray
    skipped: str | None

    def __call__(self, weights: FloatArray) -> FloatArray:
        """Return the mean gains, shape `(n_draws, 2)`, for weights of shape `(n_draws, n_rows)`; NaN without weight."""
        if self.skipped:
            return np.full((len(weights), len(_METRICS)), np.nan)
        weight = weights[:, self.rows]
        total = np.sum(weight, axis=1, keepdims=True)
        unknown = np.full((len(weights), len(_METRICS)), np.nan)
        return np.asarray(np.divide(weight @ self.gains, total, out=unknown, where=total > 0))

    def result(self, draws: FloatArray, alpha: float) -> SliceComparison:
        """Return the slice without a verdict; `draws` has shape `(n_draws, 2)`."""
        points = np.mean(self.gains, axis=0).tolist()
        found: dict[str, Estimate] = {}
        if not self.skipped:
            found = estimates(
                dict(zip(_METRICS, points, strict=True)), dict(zip(_METRICS, draws.T, strict=True)), 1 - 2 * alpha
            )
        skipped = self.skipped or (None if found else "too few of its customers are in a resample")
        return SliceComparison(column=self.column, value=self.value, rows=len(self.rows), gains=found, skipped=skipped)


def slice_gains(
    columns: Mapping[str, npt.ArrayLike], champion: Holdout, challenger: Holdout, settings: GateSettings
) -> list[SliceGains]:
    """Return every slice of the rows; one with too few rows or customers is kept, and says that it is not judged."""
    label, money = champion.label, champion.money
    earned = expected_value(label, champion.value, money)
    treated = [np.where(side.treated["profit"], earned, 0.0) for side in (champion, challenger)]
    losses = [log_losses(label, side.probability) for side in (champion, challenger)]
    gains = np.stack([losses[0] - losses[1], treated[1] - treated[0]], axis=1)
    found = []
    for column, value, mask in slice_masks(columns):
        rows = np.flatnonzero(mask)
        skipped = None
        if len(rows) < settings.min_slice_rows:
            skipped = f"fewer than {settings.min_slice_rows} rows"
        elif len(np.unique(champion.entity[rows])) < _LEAST_CUSTOMERS:
            skipped = f"fewer than {_LEAST_CUSTOMERS} customers"
        found.append(SliceGains(column, value, rows, gains[rows], skipped))
    return found


def judged(slices: list[SliceComparison], alpha: float) -> tuple[SliceComparison, ...]:
    """Return the slices with their verdicts: p-values one-sided, corrected over all slices and both metrics."""
    tests = [(index, gain) for index, each in enumerate(slices) for gain in each.gains.values()]
    corrected = holm([chance_of_worse(gain) for _, gain in tests])
    least: dict[int, float] = {}
    for (index, _), p_value in zip(tests, corrected.tolist(), strict=True):
        least[index] = min(p_value, least.get(index, 1.0))
    return tuple(
        each.model_copy(update={"p_worse": least[index], "worse": least[index] < alpha}) if index in least else each
        for index, each in enumerate(slices)
    )
