"""What a shift of the inputs costs a month, by column.

The rows of the baseline get weights so that every column is distributed in them as in the window (raking, Deming and
Stephan 1940). Of all weights that do so these are the nearest to equal ones, and their logarithm is a sum of one term a
column. What the weighted rows earn less than the unweighted ones is what the columns explain. It is shared out along
the path that switches all terms on at the same pace (Aumann and Shapley 1974, as in integrated gradients), so that the
shares add up. What the window's own probabilities say beyond that is the rest: how columns come together. All this
needs neither the model nor outcomes, and sees no customer who behaves otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from ..core.estimate import Estimate
from ..model.frame import FloatArray
from ..ports.windows import Bins
from .drift import Counted, coarse
from .report import ShiftCost, Window

__all__ = ["Axis", "IntArray", "axis_of", "outcome_cost", "shift_cost"]

_ROUNDS, _CLOSE = 40, 1e-4
_STEPS = 8  # of the path
_RESAMPLES, _ROUNDS_AGAIN = 40, 6
_MOST = 4.0  # of a term: one column alone weighs no row more than 50-fold
_FEWEST = 50  # rows that the weighted baseline must be worth
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Axis:
    """One column, as weights see it.

    Attributes:
        name: The column.
        codes: The bin of each baseline row, shape `(n_rows,)`.
        counts: Rows of the window in each bin, shape `(n_bins,)`; missing values are the last bin.
        unpriced: Share of the window's rows in bins that the baseline does not have.
    """

    name: str
    codes: IntArray
    counts: FloatArray
    unpriced: float


def outcome_cost(window: Window, confidence: float) -> Estimate | None:
    """Return what each row of a window earned less than its probabilities said; None where outcomes are not known."""
    name = "profit_per_customer"
    if name not in window.realised or name not in window.backtest:
        return None
    expected = window.backtest[name]
    return _estimate(expected.point - window.realised[name], expected.se, NormalDist().inv_cdf((1 + confidence) / 2))


def axis_of(bins: Bins, places: IntArray, before: Counted, after: Counted, missing: float) -> Axis:
    """Return a column as weights see it: numbers in about ten bins, and missing values in one of their own.

    Args:
        bins: How it is counted.
        places: The fine bin of each baseline row, -1 where the value is missing, shape `(n_rows,)`.
        before: The baseline.
        after: The window.
        missing: Rows of the window without a value.
    """
    fine = len(before.counts)
    groups = coarse(before.counts) if bins.kind == "number" and before.known else np.arange(fine)
    last = int(groups.max(initial=-1)) + 1
    codes = np.where(places < 0, last, groups[np.clip(places, 0, fine - 1)])
    counts = np.append(np.bincount(groups, after.counts, last), missing)
    occurs = np.bincount(codes, minlength=last + 1) > 0
    rows = counts.sum()
    return Axis(bins.name, codes, np.where(occurs, counts, 0.0), float(counts[~occurs].sum() / rows) if rows else 0.0)


def shift_cost(
    axes: Sequence[Axis],
    gains: FloatArray,
    customers: IntArray,
    *,
    window: str,
    source: str,
    rows: int,
    confidence: float,
    observed: Estimate | None = None,
    seed: int = 0,
) -> ShiftCost | None:
    """Return what a shift costs a month; None where the window lies too far from the baseline to be priced.

    The interval resamples customers of the baseline and rows of the window, and holds on average over such samples.

    Args:
        axes: The columns.
        gains: What acting on each baseline row is expected to earn, in the currency, shape `(n_rows,)`.
        customers: The customer of each row as a number from 0, shape `(n_rows,)`.
        window: The window.
        source: batch or endpoint.
        rows: Predictions a month.
        confidence: Coverage of the intervals.
        observed: What each row is expected to earn less than one of the baseline, by the window's own probabilities;
            None takes what the columns explain.
        seed: Of the resampling.
    """
    usable = [axis for axis in axes if axis.counts.sum() > 0]
    if not usable or len(gains) < _FEWEST:
        return None
    counts = [axis.counts for axis in usable]
    base = np.ones(len(gains))
    terms = _raked(usable, counts, base, [np.zeros(len(axis.counts)) for axis in usable], _ROUNDS)
    weights = _weights(usable, terms, base)
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    if effective < _FEWEST:
        return None
    point = _shares(usable, terms, base, gains)
    random = np.random.default_rng(seed)
    people = int(customers.max()) + 1
    draws = []
    for _ in range(_RESAMPLES):
        again = random.multinomial(people, np.full(people, 1 / people))[customers].astype(np.float64)
        drawn = [random.multinomial(int(column.sum()), column / column.sum()).astype(np.float64) for column in counts]
        draws.append(_shares(usable, _raked(usable, drawn, again, terms, _ROUNDS_AGAIN), again, gains))
    se, width = np.std(draws, axis=0, ddof=1), NormalDist().inv_cdf((1 + confidence) / 2)
    total_se = float(np.std(np.sum(draws, axis=1), ddof=1))
    order = np.argsort(-point)
    total = _estimate(float(point.sum()), total_se, width)
    rest = None
    if observed is not None:
        rest = _estimate(observed.point - total.point, float(np.hypot(observed.se, total_se)), width).scaled(rows)
        total = _estimate(observed.point, observed.se, width)
    return ShiftCost(
        window=window,
        source=source,
        rows=rows,
        total=total.scaled(rows),
        columns={usable[j].name: _estimate(float(point[j]), float(se[j]), width).scaled(rows) for j in order},
        rest=rest,
        effective_rows=effective,
        unpriced=max(axis.unpriced for axis in usable),
    )


def _raked(
    axes: Sequence[Axis], counts: Sequence[FloatArray], base: FloatArray, terms: Sequence[FloatArray], rounds: int
) -> list[FloatArray]:
    """Return the term of each bin of each column with which the weighted rows are distributed as `counts`."""
    terms = [term.copy() for term in terms]
    weights = _weights(axes, terms, base)
    for _ in range(rounds):
        largest = 0.0
        for axis, wanted, term in zip(axes, counts, terms, strict=True):
            present = np.bincount(axis.codes, weights, len(wanted))
            occurs = present > 0
            target = (wanted + 0.5 * occurs) / (wanted + 0.5 * occurs).sum()
            step = np.zeros(len(wanted))
            step[occurs] = np.log(target[occurs] / (present[occurs] / present.sum()))
            limited = np.clip(term + step, -_MOST, _MOST) - term
            np.add(term, limited, out=term)
            weights = weights * np.exp(limited)[axis.codes]
            largest = max(largest, float(np.abs(limited * target).max()))
        if largest < _CLOSE:
            break
    return terms


def _weights(axes: Sequence[Axis], terms: Sequence[FloatArray], base: FloatArray, share: float = 1.0) -> FloatArray:
    log = sum((term[axis.codes] for axis, term in zip(axes, terms, strict=True)), np.zeros(len(base)))
    return np.asarray(base * np.exp(share * (log - log.max())))


def _shares(axes: Sequence[Axis], terms: Sequence[FloatArray], base: FloatArray, gains: FloatArray) -> FloatArray:
    """Return how much of the lost profit per row is due to each column, shape `(n_columns,)`."""
    shares = np.zeros(len(axes))
    for step in range(_STEPS):
        weights = _weights(axes, terms, base, (step + 0.5) / _STEPS)
        weights /= weights.sum()
        centred = weights * (gains - weights @ gains)
        for place, (axis, term) in enumerate(zip(axes, terms, strict=True)):
            shares[place] -= np.bincount(axis.codes, centred, len(term)) @ term / _STEPS
    return shares


def _estimate(point: float, se: float, width: float) -> Estimate:
    return Estimate(point=point, lower=point - width * se, upper=point + width * se, se=se)
