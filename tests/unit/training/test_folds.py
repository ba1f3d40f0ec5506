from __future__ import annotations

import numpy as np
import pytest

from churn.core.errors import NotEnoughData
from churn.training.folds import LEAST_ROWS, customer_codes, customer_folds


def panel(customers: int = 60, months: int = 3) -> tuple[np.ndarray, np.ndarray]:
    entity = np.repeat(np.array([f"c{index}" for index in range(customers)], dtype=object), months)
    label = np.zeros(len(entity), dtype=np.int8)
    label[months - 1 :: 3 * months] = 1
    return entity, label


def test_all_rows_of_a_customer_are_in_one_fold() -> None:
    entity, label = panel()
    fold = customer_folds(customer_codes(entity), label, 5, seed=0)
    assert all(len(set(fold[entity == customer])) == 1 for customer in entity)
    assert set(fold) == {0, 1, 2, 3, 4}


def test_every_fold_has_its_share_of_churners() -> None:
    entity, label = panel()
    fold = customer_folds(customer_codes(entity), label, 5, seed=0)
    assert np.ptp(np.bincount(fold, weights=label)) <= 1
    assert np.ptp(np.bincount(fold)) <= 6


def test_the_order_of_rows_does_not_matter() -> None:
    entity, label = panel()
    mixed = np.random.default_rng(0).permutation(len(label))
    straight = customer_folds(customer_codes(entity), label, 5, seed=0)
    np.testing.assert_array_equal(
        customer_folds(customer_codes(entity[mixed]), label[mixed], 5, seed=0), straight[mixed]
    )
    assert (customer_folds(customer_codes(entity), label, 5, seed=1) != straight).any()


def test_too_few_rows_are_refused() -> None:
    entity, label = panel(LEAST_ROWS, 1)
    customer_folds(customer_codes(entity), label, 5, seed=0)
    with pytest.raises(NotEnoughData, match=f"{LEAST_ROWS - 1} rows are too few to train on: at least {LEAST_ROWS}"):
        customer_folds(customer_codes(entity[1:]), label[1:], 5, seed=0)


@pytest.mark.parametrize(("value", "verb"), [(0, "churned"), (1, "stayed")])
def test_one_class_is_refused(value: int, verb: str) -> None:
    entity, label = panel()
    with pytest.raises(NotEnoughData, match=f"0 customers of the training rows {verb}, and 5 are needed"):
        customer_folds(customer_codes(entity), np.full_like(label, value), 5, seed=0)


def test_fewer_churners_than_folds_are_refused() -> None:
    entity, label = panel()
    label[:] = 0
    label[:15:3] = 1
    customer_folds(customer_codes(entity), label, 5, seed=0)
    label[0] = 0
    with pytest.raises(NotEnoughData, match=r"4 customers .* churned, and 5 are needed so that each fold has one"):
        customer_folds(customer_codes(entity), label, 5, seed=0)
