"""The model against the true probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from churn.core.errors import DataError
from churn.evaluation.oracle import reachable
from churn.evaluation.ranking import Ranking, roc_auc
from churn.model.money import MoneySettings
from tests.fakes.data.predictions import predictions

MONEY = MoneySettings()


def test_the_truth_itself_reaches_everything() -> None:
    truth = predictions(500).truth
    found = reachable(truth, truth, np.full(500, 200.0), MONEY)
    assert (found.roc_auc.share, found.log_loss.share, found.profit_per_customer.share) == (1, 1, 1)


def test_a_model_that_knows_the_base_rate_alone_reaches_nothing() -> None:
    truth = predictions(500).truth
    found = reachable(np.full(500, truth.mean()), truth, np.full(500, 200.0), MONEY)
    assert found.roc_auc.share == pytest.approx(0)
    assert found.log_loss.share == pytest.approx(0)


def test_the_expected_area_is_that_of_many_drawn_outcomes() -> None:
    sample = predictions(3000)
    random = np.random.default_rng(0)
    drawn = [roc_auc(Ranking.of(random.random(3000) < sample.truth, sample.probability).counts()) for _ in range(100)]
    found = reachable(sample.probability, sample.truth, np.full(3000, 200.0), MONEY)
    assert found.roc_auc.model == pytest.approx(np.mean(drawn), abs=0.002)


def test_a_gain_that_nobody_can_reach_has_no_share() -> None:
    truth = np.full(100, 0.3)
    found = reachable(truth, truth, np.full(100, 5.0), MONEY)
    assert (found.roc_auc.share, found.log_loss.share, found.profit_per_customer.share) == (None, None, None)


@pytest.mark.parametrize("truth", [np.full(3, 0.5), np.array([0.5, np.nan]), np.array([0.5, 1.1])])
def test_what_is_not_a_probability_for_each_row_is_refused(truth: np.ndarray) -> None:
    with pytest.raises(DataError, match="numbers between 0 and 1, one for each of the 2 rows"):
        reachable(np.array([0.2, 0.3]), truth, np.full(2, 200.0), MONEY)
