"""Ranking metrics under blocks of weights: the same numbers as one draw at a time."""

from __future__ import annotations

import numpy as np
import pytest

from churn.evaluation.ranking import BlockRanking, Ranking, average_precision, roc_auc


@pytest.mark.parametrize("levels", [3, 40, 10_000], ids=["mostly ties", "some ties", "no ties"])
def test_every_draw_has_the_metrics_of_its_weights(levels: int) -> None:
    random = np.random.default_rng(levels)
    probability = random.integers(0, levels, 500) / levels
    label = (random.random(500) < 0.1 + 0.5 * probability).astype(float)
    weights = random.integers(0, 4, (12, 500)).astype(float)
    auc, precision = BlockRanking(label, probability)(weights)
    counts = [Ranking.of(label, probability).counts(draw) for draw in weights]
    np.testing.assert_allclose(auc, [roc_auc(each) for each in counts])
    np.testing.assert_allclose(precision, [average_precision(each) for each in counts])


def test_a_draw_without_churners_or_without_others_has_no_auc() -> None:
    label, probability = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.9, 0.1, 0.8, 0.2])
    auc, precision = BlockRanking(label, probability)(np.stack([label, 1 - label, np.ones(4)]))
    np.testing.assert_array_equal(np.isnan(auc), [True, True, False])
    np.testing.assert_array_equal(np.isnan(precision), [False, True, False])
    assert auc[2] == precision[2] == 1.0
