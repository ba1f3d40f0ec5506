"""Population shift: the stability index (PSI) of today's customers against the holdout, by column.

The index (PSI) is the sum over bins of `(b - a)·ln(b/a)`, where a and b are the shares of both sides. From 0.1 on a
distribution is said to have shifted, from 0.25 on strongly (Siddiqi 2006, Credit Risk Scorecards). In small samples
chance alone reaches 0.1, so that a column counts only if a chi-square test of both histograms sees a difference too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..core.frozen import Finite
from ..core.wording import number, percent, plain
from ..model.frame import CodedColumns, Column, FloatArray, uncoded

__all__ = ["MODERATE", "STRONG", "BatchShift", "ColumnShift", "shift_of", "shift_of_counts"]

MODERATE, STRONG = 0.1, 0.25
"""The PSI from which on a distribution has shifted, and from which on it has strongly."""
_POINTS = 0.05
"""The difference of the mean predictions from which on the scores have shifted, whatever their PSI."""
_FEWEST = 100
"""Customers below which no verdict is given."""
_ALPHA = 0.01
"""Level of the chi-square tests together (Bonferroni)."""
_BINS, _TEXTS, _SHOWN, _NAMED = 10, 12, 5, 2
_MISSING, _OTHER = "not known", "other"


class ColumnShift(Finite):
    """How the distribution of one column, or of the score, differs between two sides.

    Attributes:
        name: The column.
        description: How one speaks of it.
        psi: Population stability index, 0 upwards.
        p_value: Of the chi-square test that both sides have one distribution.
        bins: Values or ranges.
        before: Share of each bin on the side that is compared with; they add up to 1.
        after: The same for the side that is judged.
    """

    name: str
    description: str
    psi: float
    p_value: float
    bins: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def words(self) -> str:
        """The bin that changed most; of equals, one that grew: `tenure 0 to 4: 31.0%, was 22.0% (+9.0 points)`."""
        change = np.subtract(self.after, self.before)
        place = int(np.argmax(np.abs(change) + 1e-9 * np.sign(change)))
        was, is_ = self.before[place], self.after[place]
        points = number(100 * (is_ - was), 1)
        signed = points if is_ < was else f"+{points}"
        return f"{self.description} {self.bins[place]}: {percent(is_)}, was {percent(was)} ({signed} points)"


class BatchShift(Finite):
    """A batch beside the rows that its model was judged on.

    Attributes:
        customers: Customers of the batch that were compared.
        rows: Rows that they were compared with.
        compared: Columns that were compared.
        score: The predicted probabilities.
        mean_before: Their mean on the rows that are compared with.
        mean_after: Their mean in the batch.
        features: The most shifted columns, the most shifted first.
        shifted: How many of all columns have shifted.
        verdict: `few` where the batch is too small to tell, `alike`, `shifted`, or `strong`.
    """

    customers: int
    rows: int
    compared: int
    score: ColumnShift
    mean_before: float
    mean_after: float
    features: tuple[ColumnShift, ...]
    shifted: int
    verdict: Literal["few", "alike", "shifted", "strong"]

    @property
    def sentence(self) -> str:
        """The verdict in one sentence that names what has shifted."""
        if self.verdict == "few":
            return (
                f"{self.customers:,} customers are too few to tell whether they differ from those the model was judged "
                "on."
            )
        mean = f"the mean prediction is {percent(self.mean_after)}, was {percent(self.mean_before)}"
        if self.verdict == "alike":
            most = max((self.score, *self.features), key=lambda column: column.psi)
            return (
                "The customers are like those the model was judged on: no column has shifted (the largest PSI is "
                f"{number(most.psi)}, {most.description}), and {mean}."
            )
        strongly = " strongly" if self.verdict == "strong" else ""
        named = [column.words for column in self.features[: min(self.shifted, _NAMED)]]
        if self.shifted > len(named):
            named.append(f"{self.shifted - len(named)} more columns")
        if not named:
            largest = (
                f"the most shifted column is {self.features[0].words}" if self.features else "no column was compared"
            )
            return f"The scores have shifted{strongly} against those the model was judged by: {mean}; {largest}."
        return f"The customers differ{strongly} from those the model was judged on: {'; '.join(named)}; {mean}."


def shift_of(
    before: CodedColumns,
    after: CodedColumns,
    score: ColumnShift,
    means: tuple[float, float],
    descriptions: Mapping[str, str],
) -> BatchShift:
    """Compare two samples column by column.

    Args:
        before: What the model was judged on, `(n_rows,)` each; it also gives the ranges of the numbers.
        after: What is judged, `(n_customers,)` each.
        score: The same comparison of the scores.
        means: The mean scores of both.
        descriptions: How one speaks of each column.
    """
    shifts = []
    for name in before:
        if name in after:
            bins, counts = _histograms(before[name], after[name])
            shifts.append(shift_of_counts(name, descriptions.get(name, name), bins, *counts))
    rows, customers = (len(next(iter(columns.values()), ())) for columns in (before, after))
    level = _ALPHA / (len(shifts) + 1)
    significant = [shift for shift in shifts if shift.p_value < level]
    moved = [shift for shift in significant if shift.psi >= MODERATE]
    has_score_moved = score.p_value < level and (score.psi >= MODERATE or round(abs(means[1] - means[0]), 9) >= _POINTS)
    ranked = sorted(shifts, key=lambda shift: (shift not in moved, -shift.psi, shift.name))
    verdict: Literal["few", "alike", "shifted", "strong"] = "alike"
    if min(customers, rows) < _FEWEST:
        verdict = "few"
    elif moved or has_score_moved:
        largest = max(shift.psi for shift in (*moved, *[score] * has_score_moved))
        verdict = "strong" if largest >= STRONG else "shifted"
    return BatchShift(
        customers=customers,
        rows=rows,
        compared=len(shifts),
        score=score,
        mean_before=means[0],
        mean_after=means[1],
        features=tuple(ranked[:_SHOWN]),
        shifted=len(moved),
        verdict=verdict,
    )


def shift_of_counts(
    name: str, description: str, bins: Sequence[str], before: npt.ArrayLike, after: npt.ArrayLike
) -> ColumnShift:
    """Compare two histograms over the same bins, shape `(n_bins,)` each; empty bins are left out."""
    from scipy.stats import chi2

    both = np.array([before, after], dtype=np.float64)
    filled = both.sum(axis=0) > 0
    both, names = both[:, filled], [label for label, keep in zip(bins, filled, strict=True) if keep]
    totals = both.sum(axis=1, keepdims=True)
    if len(names) < 2 or not totals.all():
        shares = both / np.maximum(totals, 1)
        psi, p_value = 0.0, 1.0
    else:
        shares = both / totals
        smooth = (both + 0.5) / (totals + 0.5 * len(names))  # so that an empty bin has a logarithm
        psi = float(np.sum((smooth[1] - smooth[0]) * np.log(smooth[1] / smooth[0])))
        expected = totals * both.sum(axis=0) / both.sum()
        p_value = float(chi2.sf(np.sum((both - expected) ** 2 / expected), len(names) - 1))
    return ColumnShift(
        name=name,
        description=description,
        psi=psi,
        p_value=p_value,
        bins=tuple(names),
        before=tuple(shares[0].tolist()),
        after=tuple(shares[1].tolist()),
    )


def _histograms(before: Column, after: Column) -> tuple[list[str], tuple[FloatArray, FloatArray]]:
    """Return the bins of a column, and how many rows of each side lie in each."""
    sides = [uncoded(before), uncoded(after)]
    if sides[0].dtype == object or sides[1].dtype == object:
        return _texts(*sides)
    numbers = [np.asarray(side, dtype=np.float64) for side in sides]
    finite = numbers[0][np.isfinite(numbers[0])]
    edges = np.unique(np.quantile(finite, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(finite) else np.empty(0)
    counts = []
    for values in numbers:
        places = np.where(np.isfinite(values), np.searchsorted(edges, values, side="left"), len(edges) + 1)
        counts.append(np.bincount(places, minlength=len(edges) + 2).astype(np.float64))
    words = [plain(edge) for edge in edges]
    middle = [f"above {low} to {high}" for low, high in pairwise(words)]
    names = [f"up to {words[0]}", *middle, f"above {words[-1]}"] if words else ["any"]
    return [*names, _MISSING], (counts[0], counts[1])


def _texts(
    before: npt.NDArray[np.generic], after: npt.NDArray[np.generic]
) -> tuple[list[str], tuple[FloatArray, FloatArray]]:
    series = [pd.Series(side, dtype=object) for side in (before, after)]
    shares = [texts.value_counts(normalize=True) for texts in series]
    frequent = shares[0].add(shares[1], fill_value=0.0).sort_values(ascending=False, kind="stable").index[:_TEXTS]
    names = [*sorted(map(str, frequent)), _OTHER, _MISSING]
    counts = []
    for texts in series:
        present = texts.dropna().astype(str)
        placed = present.where(present.isin(names[:-2]), _OTHER).value_counts()
        placed[_MISSING] = placed.get(_MISSING, 0) + texts.isna().sum()
        counts.append(np.array([placed.get(name, 0) for name in names], dtype=np.float64))
    return names, (counts[0], counts[1])
