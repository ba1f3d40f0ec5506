"""Folds by customer, stratified by churn, the same for every candidate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..core.errors import NotEnoughData
from ..data.training_set import require_outcomes
from ..model.frame import IntArray

__all__ = ["LEAST_ROWS", "customer_codes", "customer_folds"]


LEAST_ROWS = 50
"""With fewer rows nothing that is learned can be told from chance."""


def customer_codes(entity: npt.NDArray[np.object_]) -> IntArray:
    """Return each row's customer as a number, 0 upwards in the order of the keys, shape `(n_rows,)`."""
    return np.unique(entity.astype(str), return_inverse=True)[1]


def customer_folds(customer: IntArray, label: npt.NDArray[np.int8], folds: int, seed: int) -> IntArray:
    """Deal the customers into folds; all rows of a customer are in one fold.

    Customers who churn in some row and customers who never do are dealt apart, so that every fold has its share of
    both. The same customers, labels and seed give the same folds whatever the order of the rows.

    Args:
        customer: What `customer_codes` returned, shape `(n_rows,)`.
        label: 1 churned, 0 stayed, shape `(n_rows,)`.
        folds: Number of folds, 2 or more.
        seed: Seed of the deal.

    Returns:
        The fold of each row, 0 to `folds - 1`, shape `(n_rows,)`.

    Raises:
        NotEnoughData: fewer than 50 rows, one class, or fewer customers of a class than folds.
    """
    if len(label) < LEAST_ROWS:
        raise NotEnoughData(f"{len(label)} rows are too few to train on: at least {LEAST_ROWS} are needed. Bring more.")
    require_outcomes(
        label,
        customer,
        folds,
        rows="training",
        remedy="so that each fold has one: bring rows of a longer time, lower `model.folds`, or check the label's "
        "`positive` and `negative` values in the contract.",
    )
    churner = np.bincount(customer, weights=label) > 0
    dealt = np.argsort(np.random.default_rng(seed).permutation(len(churner)))
    order = np.lexsort((dealt, churner))
    fold = np.empty(len(churner), dtype=np.intp)
    fold[order] = np.arange(len(order)) % folds
    return fold[customer]
