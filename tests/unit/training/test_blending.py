from __future__ import annotations

import numpy as np
import pytest

from churn.evaluation.ranking import logit_losses
from churn.training.blending import choose_blend, mean_logit, paired_difference

RANDOM = np.random.default_rng(0)
ROWS = 4000
TRUTH = RANDOM.normal(size=ROWS)
LABEL = (RANDOM.random(ROWS) < 1 / (1 + np.exp(-TRUTH))).astype(np.int8)
CUSTOMER = np.arange(ROWS)


def test_log_loss_of_log_odds_is_that_of_their_probabilities() -> None:
    probability = 1 / (1 + np.exp(-TRUTH))
    expected = -np.where(LABEL == 1, np.log(probability), np.log(1 - probability))
    np.testing.assert_allclose(logit_losses(LABEL, TRUTH), expected)
    np.testing.assert_array_equal(logit_losses(np.array([1, 0], dtype=np.int8), np.array([-1e6, 1e6])), [1e6, 1e6])


def test_the_error_of_a_difference_counts_customers_not_rows() -> None:
    left, right = RANDOM.normal(size=ROWS), np.zeros(ROWS)
    alone = paired_difference(left, right, CUSTOMER)
    assert alone.se == pytest.approx(np.std(left, ddof=1) / np.sqrt(ROWS))
    fourfold = paired_difference(np.repeat(left, 4), np.zeros(4 * ROWS), np.repeat(CUSTOMER, 4))
    assert fourfold.mean == pytest.approx(alone.mean)
    assert fourfold.se == pytest.approx(alone.se)


def test_a_better_candidate_takes_over_where_it_is_beyond_noise() -> None:
    oof = {"additive": np.zeros(ROWS), "boosting": 0.3 * TRUTH, "deep_boosting": TRUTH}
    chosen, scores = choose_blend(oof, LABEL, CUSTOMER, ("additive", "boosting"))
    assert chosen == ("deep_boosting",)
    assert [score.members for score in scores if score.chosen] == [chosen]
    assert scores[0].members == chosen
    assert scores[0].behind_default < -scores[0].behind_default_se
    assert len(scores) == 7


def test_the_default_stays_where_nothing_is_beyond_noise() -> None:
    oof = {"additive": TRUTH + 0.01 * RANDOM.normal(size=ROWS), "boosting": TRUTH + 0.01 * RANDOM.normal(size=ROWS)}
    chosen, scores = choose_blend(oof, LABEL, CUSTOMER, ("boosting",))
    assert chosen == ("boosting",)
    default = next(score for score in scores if score.default)
    assert (default.members, default.behind_default, default.chosen) == (("boosting",), 0.0, True)


def test_a_blend_is_the_mean_of_log_odds() -> None:
    oof = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, -2.0])}
    np.testing.assert_array_equal(mean_logit(oof, ("a", "b")), [2.0, 0.0])
    np.testing.assert_array_equal(mean_logit(oof, ("b",)), [3.0, -2.0])
