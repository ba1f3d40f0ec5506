"""Significance of differences: the corrected t-test, Holm's correction, detectable differences."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from ..core.errors import NotEnoughData
from ..core.estimate import Estimate

__all__ = ["POWER", "ResampledTest", "corrected_resampled_t", "detectable", "p_value_worse"]

POWER = 0.8
"""How often a true difference of the size called detectable is found."""


@dataclass(frozen=True)
class ResampledTest:
    """A mean gain over folds, and how often chance alone would show one so good, or so bad."""

    gain: Estimate
    p_better: float
    p_worse: float
    detectable: float


def corrected_resampled_t(gains: npt.ArrayLike, *, test_share: float, alpha: float) -> ResampledTest:
    """Test the mean of gains that were measured on folds whose training rows overlap.

    The variance of the mean over J folds is `s²·(1/J + n_test/n_train)` where independent samples would have `s²/J`,
    with J - 1 degrees of freedom: Nadeau and Bengio (2003), "Inference for the generalization error", Machine Learning
    52:239-281; for repeated k-fold, Bouckaert and Frank (2004), "Evaluating the replicability of significance tests".

    Args:
        gains: The gain on each fold, shape `(n_folds,)`, in any unit.
        test_share: Rows tested on over rows trained on, above 0; 1/4 for five folds.
        alpha: One-sided level; the interval is two-sided at `1 - 2·alpha`.

    Returns:
        One-sided p-values. Where every fold shows the same gain they are 0 or 1 by its sign, and both one half where
        it is zero: two equal recipes are evidence for neither.

    Raises:
        NotEnoughData: fewer than two folds.
    """
    from scipy.special import stdtr, stdtrit

    measured = np.asarray(gains, dtype=np.float64)
    if len(measured) < 2:
        raise NotEnoughData(f"{len(measured)} fold says nothing about chance: compare on 2 or more (gate.folds).")
    freedom = len(measured) - 1
    mean = float(np.mean(measured))
    se = float(np.sqrt((1 / len(measured) + test_share) * np.var(measured, ddof=1)))
    p_worse = float(stdtr(freedom, mean / se)) if se > 0 else (1 + float(np.sign(mean))) / 2
    half = float(stdtrit(freedom, 1 - alpha)) * se
    return ResampledTest(
        gain=Estimate(point=mean, lower=mean - half, upper=mean + half, se=se),
        p_better=1 - p_worse,
        p_worse=p_worse,
        detectable=half + float(stdtrit(freedom, POWER)) * se,
    )


def detectable(se: float, alpha: float) -> float:
    """Return the smallest true difference that a one-sided test at `alpha` finds with 80 % power, normal errors."""
    normal = NormalDist()
    return (normal.inv_cdf(1 - alpha) + normal.inv_cdf(POWER)) * se


def p_value_worse(gain: Estimate) -> float:
    """Return the one-sided p-value of a gain's being negative, 0 to 1: how often chance alone shows one so low."""
    if gain.se == 0:
        return (1 + float(np.sign(gain.point))) / 2
    return NormalDist().cdf(gain.point / gain.se)
