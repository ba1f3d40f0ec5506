"""ROC AUC and average precision of one ranking under many weightings of the rows at once: ranks are found only once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..frame import FloatArray

__all__ = ["BlockRanking"]


class BlockRanking:
    """Churners and others by falling probability, and where each stands among the rows of the other outcome.

    With both places known a draw takes one pass over its weights, where sorting them anew would take most of the time.
    """

    def __init__(self, label: npt.ArrayLike, probability: FloatArray) -> None:
        """Rank the rows; `label` is 1 for churners, both arrays have shape `(n_rows,)`."""
        churned = np.asarray(label) == 1
        order = np.argsort(-probability, kind="stable")
        self._churners, self._others = order[churned[order]], order[~churned[order]]
        churners, others = -probability[self._churners], -probability[self._others]
        self._churners_above = np.searchsorted(churners, others, side="left")
        self._churners_level = np.searchsorted(churners, others, side="right")
        self._own_level = np.searchsorted(churners, churners, side="right")
        self._others_level = np.searchsorted(others, churners, side="right")
        self._tied = not np.array_equal(self._churners_above, self._churners_level)

    def __call__(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return `roc_auc` and `average_precision` of statistics.metrics for each draw, shape `(n_draws,)` each.

        Args:
            weights: How often each row counts, shape `(n_draws, n_rows)`. NaN where the metric does not exist.
        """
        churners, others = weights[:, self._churners], weights[:, self._others]
        churners_so_far, others_so_far = _sums(churners), _sums(others)
        outranking = churners_so_far[:, self._churners_above]
        if self._tied:
            outranking = (outranking + churners_so_far[:, self._churners_level]) / 2
        positives, negatives = churners_so_far[:, -1], others_so_far[:, -1]
        found = churners_so_far[:, self._own_level]
        called = found + others_so_far[:, self._others_level]
        precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            auc = np.einsum("ij,ij->i", others, outranking) / (positives * negatives)
            return auc, np.einsum("ij,ij->i", churners, precision) / positives


def _sums(weights: FloatArray) -> FloatArray:
    """Return the sums of each draw's first 0, 1, 2, … weights, shape `(n_draws, n + 1)`."""
    sums = np.zeros((len(weights), weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums
