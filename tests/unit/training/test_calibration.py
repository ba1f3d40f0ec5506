from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from churn.training.calibration import best_f1_threshold, calibrate, fit_platt, score_calibration

RANDOM = np.random.default_rng(0)
ROWS = 5000
TRUTH = RANDOM.normal(-1, 1.5, ROWS)
LABEL = (RANDOM.random(ROWS) < 1 / (1 + np.exp(-TRUTH))).astype(np.int8)
FOLD = np.arange(ROWS) % 5
CUSTOMER = np.arange(ROWS)


def test_platt_s_line_is_the_logistic_regression_on_log_odds() -> None:
    expected = LogisticRegression(C=np.inf, tol=1e-10).fit(TRUTH[:, None], LABEL)
    slope, intercept = fit_platt(TRUTH, LABEL)
    # Platt's targets of (n + 1)/(n + 2) draw the line a little towards the middle.
    assert slope == pytest.approx(expected.coef_[0, 0], abs=0.01)
    assert intercept == pytest.approx(expected.intercept_[0], abs=0.01)


def test_calibrated_log_odds_are_left_as_they_are() -> None:
    found = calibrate(TRUTH, LABEL, FOLD, CUSTOMER)
    assert not found.applied
    assert (found.slope, found.intercept) == (1.0, 0.0)
    assert found.before == found.after
    assert found.before.ece < 3 * found.before.ece_by_chance


@pytest.mark.parametrize(("scale", "shift"), [(3.0, 0.0), (0.3, 0.0), (1.0, 1.0)])
def test_wrong_log_odds_are_put_right(scale: float, shift: float) -> None:
    found = calibrate(scale * TRUTH + shift, LABEL, FOLD, CUSTOMER)
    assert found.applied
    assert found.gain > 2 * found.gain_se
    np.testing.assert_allclose(found.slope * (scale * TRUTH + shift) + found.intercept, TRUTH, atol=0.3)
    assert found.after.ece < found.before.ece / 3
    assert found.after.slope == pytest.approx(1.0, abs=0.02)


def test_a_line_exists_where_the_classes_are_parted_without_error() -> None:
    label = (TRUTH > 0).astype(np.int8)
    slope, intercept = fit_platt(TRUTH, label)
    assert np.isfinite([slope, intercept]).all()
    assert slope > 1


def test_equal_log_odds_are_moved_to_the_base_rate() -> None:
    slope, intercept = fit_platt(np.full(ROWS, 2.5), LABEL)
    assert slope == 1.0
    assert 1 / (1 + np.exp(-(2.5 + intercept))) == pytest.approx(LABEL.mean(), abs=1e-3)


def test_the_scores_are_those_of_the_probabilities() -> None:
    logit, label = np.log([1 / 4, 1 / 4, 4.0, 4.0]), np.array([0, 1, 1, 1], dtype=np.int8)
    found = score_calibration(logit, label, np.arange(4))
    assert found.brier == pytest.approx((0.04 + 0.64 + 0.04 + 0.04) / 4)
    assert found.ece == pytest.approx((abs(0.5 - 0.2) + abs(1 - 0.8)) / 2)


@pytest.mark.slow
def test_the_f1_threshold_is_the_best_of_all() -> None:
    probability = np.round(1 / (1 + np.exp(-TRUTH)), 2)
    best = f1_score(LABEL, probability >= best_f1_threshold(probability, LABEL))
    assert best == max(f1_score(LABEL, probability >= cut) for cut in np.unique(probability))


def test_the_f1_threshold_lies_between_two_probabilities() -> None:
    probability = np.array([0.1, 0.2, 0.6, 0.8])
    assert best_f1_threshold(probability, np.array([0, 0, 1, 1], dtype=np.int8)) == pytest.approx(0.4)
    assert best_f1_threshold(np.full(4, 0.3), np.array([0, 1, 1, 1], dtype=np.int8)) == 0.3
