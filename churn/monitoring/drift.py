"""How far two histograms of one column lie apart, by the measures that monitors use, from counts alone.

Missing values are left out of every measure; their share is compared by itself. Distances between categories, and the
population stability index and chi-square of numbers, are of at most about ten bins, or chance would look like drift.
Kolmogorov-Smirnov and Wasserstein are of the fine bins: exact where each holds one value, and close where values are
spread over it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..model.frame import FloatArray
from ..ports.windows import Bins

__all__ = ["Counted", "coarse", "distances", "drift_of", "fine_distances", "share_p_value"]

_COARSE = 10


@dataclass(frozen=True)
class Counted:
    """What was counted of one column.

    Attributes:
        counts: Values in each bin, of which there is one more than edges or texts.
        low: The smallest number.
        high: The greatest number.
        distinct: About how many values differ; None counts as many.
    """

    counts: FloatArray
    low: float | None = None
    high: float | None = None
    distinct: float | None = None

    @property
    def known(self) -> float:
        """Values that are not missing."""
        return float(np.sum(self.counts))


def drift_of(bins: Bins, before: Counted, after: Counted) -> dict[str, float]:
    """Return every measure that exists for a column; none where a side has no values.

    Args:
        bins: What the counts are of.
        before: The side that is compared with.
        after: The side that is judged.
    """
    if not before.known or not after.known:
        return {}
    groups = coarse(before.counts) if bins.kind == "number" else np.arange(len(before.counts))
    measures = distances(*(np.bincount(groups, side.counts) for side in (before, after)))
    if bins.kind == "number" and bins.edges:
        measures |= fine_distances(bins.edges, before, after)
    return measures


def coarse(counts: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return for each fine bin the wide bin that it belongs to: about ten of equally many values, as `counts` has them.

    Bins outside the range of the values belong to the nearest one inside.
    """
    mass = np.asarray(counts, dtype=np.float64)
    middle = (np.cumsum(mass) - mass / 2) / np.sum(mass)
    wanted = np.minimum((middle * _COARSE).astype(np.int64), _COARSE - 1)
    first = wanted[mass > 0].min()
    wanted = np.maximum.accumulate(np.where(mass > 0, wanted, first))
    return np.asarray(np.unique(wanted, return_inverse=True)[1], dtype=np.int64)


def distances(before: npt.ArrayLike, after: npt.ArrayLike) -> dict[str, float]:
    """Return the measures that know no order of the bins, shape `(n_bins,)` each.

    The Jensen-Shannon distance is the root of the divergence in nats; total variation is half the sum, and the
    L-infinity distance the largest, of the differences of shares. PSI adds half a row to each bin, so that an empty one
    has a logarithm. Chi-square is the test that both sides have one distribution.
    """
    from scipy.stats import chi2

    counts = np.array([before, after], dtype=np.float64)
    counts = counts[:, counts.sum(axis=0) > 0]
    totals = counts.sum(axis=1, keepdims=True)
    p, q = counts / totals
    middle = (p + q) / 2
    smooth = (counts + 0.5) / (totals + 0.5 * counts.shape[1])
    expected = totals * counts.sum(axis=0) / counts.sum()
    chi_square = float(np.sum((counts - expected) ** 2 / expected))
    freedom = counts.shape[1] - 1
    return {
        "js_distance": math.sqrt(max(0.0, (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2)),
        "total_variation": float(np.sum(np.abs(p - q)) / 2),
        "l_infinity": float(np.max(np.abs(p - q))),
        "psi": float(np.sum((smooth[1] - smooth[0]) * np.log(smooth[1] / smooth[0]))),
        "chi_square": chi_square,
        "chi_square_p": float(chi2.sf(chi_square, freedom)) if freedom else 1.0,
    }


def fine_distances(edges: tuple[float, ...], before: Counted, after: Counted) -> dict[str, float]:
    """Return the measures of two distributions of numbers; `wasserstein` is in the column's unit.

    Where the side before has no more values than there are edges, each bin holds one, its upper edge; otherwise values
    are spread evenly over the bin. Those outside the edges are spread evenly up to the most extreme one of either side.
    """
    from scipy.stats import kstwo

    share = [side.counts / side.known for side in (before, after)]
    gap = np.cumsum(share[0]) - np.cumsum(share[1])
    ks = float(np.max(np.abs(gap)))
    rows = before.known * after.known / (before.known + after.known)
    low = min(value for value in (before.low, after.low, edges[0]) if value is not None)
    high = max(value for value in (before.high, after.high, edges[-1]) if value is not None)
    widths = np.diff([low, *edges, high])
    spread = np.abs(np.append(0.0, gap))
    middle = (spread[1:] + spread[:-1]) / 2
    if before.distinct is not None and before.distinct <= len(edges):
        middle[1:-1] = spread[1:-2]
    return {
        "ks": ks,
        "ks_p": float(kstwo.sf(ks, max(1, round(rows)))) if ks > 0 else 1.0,
        "wasserstein": float(np.sum(middle * widths)),
    }


def share_p_value(before: tuple[float, float], after: tuple[float, float]) -> float:
    """Return the p-value that a share has not grown (one-sided hypergeometric test, Fisher's exact).

    Args:
        before: How many have the property, and how many there are, on the side that is compared with.
        after: The same on the side that is judged.
    """
    from scipy.stats import hypergeom

    having = before[0] + after[0]
    return float(hypergeom.sf(after[0] - 1, before[1] + after[1], having, after[1])) if having else 1.0


def _relative_entropy(p: FloatArray, q: FloatArray) -> float:
    some = p > 0
    return float(np.sum(p[some] * np.log(p[some] / q[some])))
