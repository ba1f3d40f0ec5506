"""Quality by slice: the groups of a holdout, and the metrics of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from ..core.estimate import Estimate
from ..core.frozen import Finite
from ..model.frame import FloatArray, IntArray, as_strings, canonical_text
from ..model.money import expected_value
from .bootstrap import estimates
from .holdout import Holdout
from .ranking import Ranking, log_losses, roc_auc

__all__ = ["SLICE_METRICS", "Slice", "SliceStatistic", "slice_masks"]

SLICE_METRICS = ("roc_auc", "log_loss", "calibration_ratio", "profit_per_customer")
MAX_VALUES = 12
"""A column with more distinct values is cut: numbers into quarters, text into the most frequent and the others."""
OTHERS = "(other values)"


def slice_masks(columns: Mapping[str, npt.ArrayLike]) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
    """Yield column, value and the rows that have it, shape `(n_rows,)`, for every slice; each row is in one a column.

    Args:
        columns: Column name to its values, shape `(n_rows,)`: text with None, or numbers with NaN, for missing.
    """
    for column, values in columns.items():
        code, names = _sliced(np.asarray(values))
        for number, name in [*enumerate(names), (-1, "(missing)")]:
            rows = code == number
            if np.any(rows):
                yield column, name, rows


def _sliced(values: npt.NDArray[np.generic]) -> tuple[IntArray, list[str]]:
    """Return each row's slice, -1 where the value is missing, and the slices' names in their order."""
    if np.issubdtype(values.dtype, np.number):
        code, distinct = pd.factorize(values, sort=True)
        few = len(distinct) <= MAX_VALUES
        return (code, [canonical_text(value) for value in distinct]) if few else _quarters(values.astype(np.float64))
    texts = pd.Series(as_strings(pd.Series(values)))
    names = sorted(texts.dropna().unique())
    if len(names) > MAX_VALUES:
        frequent = texts.value_counts().reindex(names).sort_values(ascending=False, kind="stable")
        named = frequent.index[: MAX_VALUES - 1]
        texts = texts.where(texts.isin(named) | texts.isna(), OTHERS)
        names = [*sorted(named), OTHERS]
    return pd.Categorical(texts, categories=names).codes.astype(np.int64), names


def _quarters(values: FloatArray) -> tuple[IntArray, list[str]]:
    edges = np.unique(np.nanquantile(values, [0.25, 0.5, 0.75]))
    between = [f"over {low:g} to {high:g}" for low, high in pairwise(edges)]
    names = [f"up to {edges[0]:g}", *between, f"over {edges[-1]:g}"]
    return np.where(np.isnan(values), -1, np.searchsorted(edges, values)), names


class Slice(Finite):
    """One value of a column: `SLICE_METRICS` by name, or the reason why there are none."""

    column: str = Field(description="What the contract calls the column.")
    value: str
    rows: int
    churn_share: float
    metrics: dict[str, Estimate] = Field(default_factory=dict)
    skipped: str | None = None


@dataclass(frozen=True)
class SliceStatistic:
    """`SLICE_METRICS` of one slice under any weights of the whole holdout's rows."""

    column: str
    value: str
    rows: IntArray
    label: FloatArray
    weight: FloatArray
    probability: FloatArray
    earned: FloatArray
    ranking: Ranking
    skipped: str | None

    @classmethod
    def of(
        cls, holdout: Holdout, column: str, value: str, mask: npt.NDArray[np.bool_], *, min_rows: int
    ) -> SliceStatistic:
        """Prepare the rows where `mask` (shape `(n_rows,)`) is true; fewer than `min_rows` are skipped."""
        label, probability = holdout.label[mask], holdout.probability[mask]
        earned = expected_value(label, holdout.value[mask], holdout.money)
        skipped = None
        if len(label) < min_rows:
            skipped = f"fewer than {min_rows} rows"
        elif len(np.unique(label)) < 2:
            skipped = "every customer churned" if label[0] else "nobody churned"
        return cls(
            column=column,
            value=value,
            rows=np.flatnonzero(mask),
            label=label,
            weight=holdout.weight[mask],
            probability=probability,
            earned=np.where(holdout.treated["profit"][mask], earned, 0.0),
            ranking=Ranking.of(label, probability),
            skipped=skipped,
        )

    def metrics(self, weights: FloatArray) -> FloatArray:
        """Return the metrics in the order of `SLICE_METRICS`; NaN where the weights leave nothing to compute on."""
        weight = weights[self.rows]
        total, predicted = np.sum(weight), weight @ self.probability
        if self.skipped or total <= 0 or predicted <= 0:
            return np.full(len(SLICE_METRICS), np.nan)
        losses = log_losses(self.label, self.probability)
        means = (weight @ losses / total, weight @ self.label / predicted, weight @ self.earned / total)
        return np.array([roc_auc(self.ranking.counts(weight)), *means])

    def result(self, sample: FloatArray, draws: FloatArray, confidence: float) -> Slice:
        """Return the slice from its metrics on the sample, shape `(4,)`, and on the resamples, `(resamples, 4)`."""
        by_name = dict(zip(SLICE_METRICS, sample.tolist(), strict=True))
        drawn = dict(zip(SLICE_METRICS, draws.T, strict=True))
        return Slice(
            column=self.column,
            value=self.value,
            rows=len(self.rows),
            churn_share=float(np.average(self.label, weights=self.weight)),
            metrics=estimates(by_name, drawn, confidence),
            skipped=self.skipped,
        )
