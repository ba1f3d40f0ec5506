"""The bootstrap over customers, with the same resamples for everything that is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from ..core.errors import NotEnoughData
from ..core.estimate import Estimate
from ..model.frame import FloatArray

__all__ = ["Statistic", "band", "bootstrap", "customer_weights", "estimate", "estimates"]

Statistic = Callable[[FloatArray], Mapping[str, FloatArray | float]]
"""Takes row weights of shape `(n_rows,)` and returns numbers or arrays by name, of the same shapes every time.

A paired comparison is one statistic that computes both models from the same weights and returns their difference.
"""


def customer_weights(entity: npt.ArrayLike, *, resamples: int, seed: int) -> Iterator[FloatArray]:
    """Yield the row weights of each resample, shape `(n_rows,)`: how often the row's customer was drawn.

    Customers, not rows, are drawn with replacement, because the rows of one customer are alike (the cluster
    bootstrap). The same customers and seed give the same draws, whatever the order of the rows.

    Raises:
        NotEnoughData: there are fewer than two customers.
    """
    customers, code = np.unique(np.asarray(entity, dtype=str), return_inverse=True)
    if len(customers) < 2:
        raise NotEnoughData(f"{len(customers)} customer in the data says nothing about others: at least 2 are needed.")
    random = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = np.bincount(random.integers(0, len(customers), len(customers)), minlength=len(customers))
        yield drawn.astype(np.float64)[code]


def bootstrap(statistic: Statistic, entity: npt.ArrayLike, *, resamples: int, seed: int) -> dict[str, FloatArray]:
    """Return what `statistic` gives on each resample of the customers, by name, shape `(resamples, …)`.

    Args:
        statistic: See `Statistic`; called once for each resample.
        entity: The customer of each row, shape `(n_rows,)`.
        resamples: How many; 500 settle a 95 % interval to about a tenth of its width.
        seed: Makes the draws, and so the intervals, the same in every run.

    Raises:
        NotEnoughData: there are fewer than two customers.
    """
    draws = [statistic(weights) for weights in customer_weights(entity, resamples=resamples, seed=seed)]
    return {name: np.array([draw[name] for draw in draws], dtype=np.float64) for name in draws[0]}


def estimate(point: float, draws: FloatArray, confidence: float) -> Estimate | None:
    """Return a number with its bias-corrected percentile interval (Efron 1981) and standard error.

    Metrics such as the expected calibration error or EMPC come out higher on a resample than on the sample; the plain
    percentile interval would lie beside the point. The interval is widened to hold the point where it would not.

    Args:
        point: The number on the sample itself.
        draws: The number on each resample, shape `(resamples,)`.
        confidence: The interval's coverage, between 0 and 1.

    Returns:
        None where the number, or more than a tenth of the draws, is not finite: the rest would look too sure.
    """
    finite = draws[np.isfinite(draws)]
    if not np.isfinite(point) or len(finite) < max(2, 0.9 * len(draws)):
        return None
    normal = NormalDist()
    below = (np.sum(finite < point) + np.sum(finite == point) / 2) / len(finite)
    bias = normal.inv_cdf(float(np.clip(below, 0.5 / len(finite), 1 - 0.5 / len(finite))))
    margin = normal.inv_cdf((1 + confidence) / 2)
    lower, upper = np.quantile(finite, [normal.cdf(2 * bias - margin), normal.cdf(2 * bias + margin)])
    return Estimate(
        point=float(point),
        lower=float(min(lower, point)),
        upper=float(max(upper, point)),
        se=float(np.std(finite, ddof=1)),
    )


def estimates(points: Mapping[str, float], draws: Mapping[str, FloatArray], confidence: float) -> dict[str, Estimate]:
    """Return the `estimate` of each number by name, leaving out those that have none."""
    intervals = {name: estimate(point, draws[name], confidence) for name, point in points.items()}
    return {name: interval for name, interval in intervals.items() if interval is not None}


def band(draws: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Return the lower and upper percentiles of each point of a curve; `draws` has shape `(resamples, points)`.

    The band holds at each point by itself, not for the whole curve at once. Draws without a value (NaN) are left out.
    """
    lower, upper = np.nanquantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return lower, upper
