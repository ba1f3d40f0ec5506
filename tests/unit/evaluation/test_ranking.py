"""Every metric under weights, against scikit-learn, empulse or a sum done by hand."""

from __future__ import annotations

import numpy as np
import pytest
from empulse.metrics import lift_score
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.metrics import f1_score as sklearn_f1

from churn.evaluation.ranking import (
    Ranking,
    average_precision,
    brier_losses,
    calibration_gap,
    calibration_noise,
    calibration_slope,
    equal_mass_bins,
    f1_score,
    lift,
    log_losses,
    roc_auc,
)
from tests.fakes.data.predictions import predictions

pytestmark = pytest.mark.slow

rows = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10), st.integers(0, 3)), min_size=2, max_size=50).filter(
    lambda drawn: len({label for label, _, weight in drawn if weight}) == 2
)


def arrays(drawn: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    label, score, weight = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    return label, score / 10, weight


@settings(deadline=None)
@given(rows)
def test_ranking_metrics_equal_scikit_learns_with_ties_and_weights(drawn: list[tuple[int, int, int]]) -> None:
    label, score, weight = arrays(drawn)
    counts = Ranking.of(label, score).counts(weight)
    assert roc_auc(counts) == pytest.approx(roc_auc_score(label, score, sample_weight=weight))
    assert average_precision(counts) == pytest.approx(average_precision_score(label, score, sample_weight=weight))


@settings(deadline=None)
@given(rows)
def test_probability_metrics_equal_scikit_learns(drawn: list[tuple[int, int, int]]) -> None:
    label, score, weight = arrays(drawn)
    loss = np.average(log_losses(label, score), weights=weight)
    assert loss == pytest.approx(log_loss(label, np.stack([1 - score, score], axis=1), sample_weight=weight), rel=1e-6)
    brier = np.average(brier_losses(label, score), weights=weight)
    assert brier == pytest.approx(brier_score_loss(label, score, sample_weight=weight))


@given(rows)
def test_f1_equals_scikit_learns(drawn: list[tuple[int, int, int]]) -> None:
    label, score, weight = arrays(drawn)
    flagged = score >= 0.5
    found = f1_score(np.sum(weight * label * flagged), np.sum(weight * flagged), np.sum(weight * label))
    assert found == pytest.approx(sklearn_f1(label, flagged, sample_weight=weight, zero_division=0))


def test_a_perfect_order_has_an_area_of_one_and_equal_scores_one_half() -> None:
    assert roc_auc(Ranking.of([0, 0, 1], [0.1, 0.2, 0.3]).counts()) == 1
    assert roc_auc(Ranking.of([0, 0, 1], [0.2, 0.2, 0.2]).counts()) == 0.5


def test_ranking_metrics_of_one_class_do_not_exist() -> None:
    stayed, churned = Ranking.of([0, 0], [0.1, 0.2]).counts(), Ranking.of([1, 1], [0.1, 0.2]).counts()
    assert np.isnan([roc_auc(stayed), roc_auc(churned), average_precision(stayed), float(lift(stayed, 0.1))]).all()


def test_top_decile_lift_equals_empulses() -> None:
    sample = predictions(1000)
    counts = Ranking.of(sample.label, sample.probability).counts()
    assert float(lift(counts, 0.1)) == pytest.approx(lift_score(sample.label, sample.probability, fraction=0.1))


def test_lift_takes_customers_with_the_same_score_in_proportion() -> None:
    # Half of the four equal customers are taken, and with them half of the two churners among them.
    counts = Ranking.of([1, 1, 0, 0, 0, 0, 0, 0], [0.9] * 4 + [0.1] * 4).counts()
    assert float(lift(counts, 0.25)) == pytest.approx((1 / 2) / 0.25)
    assert float(lift(counts, 1.0)) == 1


def test_bins_hold_as_many_rows_each_and_never_part_equal_probabilities() -> None:
    assert np.bincount(equal_mass_bins(np.linspace(0, 1, 100), 10)).tolist() == [10] * 10
    bins = equal_mass_bins(np.array([0.1] * 6 + [0.2, 0.3, 0.4, 0.5]), 5)
    assert len(set(bins[:6])) == 1
    assert np.bincount(bins).min() > 0


def test_calibration_gap_is_the_weighted_mean_gap_of_the_bins() -> None:
    label, probability = np.array([0.0, 1, 1, 1]), np.array([0.2, 0.3, 0.7, 0.9])
    bins = np.array([0, 0, 1, 1])
    assert calibration_gap(label, probability, bins, np.ones(4)) == pytest.approx((0.5 + 0.4) / 4)
    # With the first row counting three times the first bin observes 1 of 4 and predicted 0.9 of 4.
    assert calibration_gap(label, probability, bins, np.array([3.0, 1, 1, 1])) == pytest.approx((0.1 + 0.4) / 6)


@pytest.mark.parametrize("rows_each", [1, 4])
def test_calibration_noise_is_the_gap_that_true_probabilities_show_to_customers_who_share_a_fate(
    rows_each: int,
) -> None:
    truth = np.repeat(predictions(1500).truth, rows_each)
    customer = np.repeat(np.arange(1500), rows_each)
    bins = equal_mass_bins(truth, 10)
    random = np.random.default_rng(0)
    outcomes = [np.repeat(random.random(1500), rows_each) < truth for _ in range(400)]
    gaps = [calibration_gap(each.astype(float), truth, bins, np.ones(len(truth))) for each in outcomes]
    noise = [
        calibration_noise(each.astype(float), truth, bins, customer, np.ones(len(truth))) for each in outcomes[:50]
    ]
    assert np.mean([each.mean for each in noise]) == pytest.approx(np.mean(gaps), rel=0.05)
    assert np.mean([each.upper for each in noise]) == pytest.approx(np.quantile(gaps, 0.95), rel=0.07)


@pytest.mark.parametrize("rows_each", [1, 4])
def test_a_calibrated_model_exceeds_its_noise_about_once_in_twenty_times(rows_each: int) -> None:
    exceeded = []
    for seed in range(300):
        sample = predictions(1500 * rows_each, seed=seed, rows_each=rows_each)
        label, bins = sample.label.astype(float), equal_mass_bins(sample.truth, 10)
        customer, once = np.unique(sample.entity, return_inverse=True)[1], np.ones(len(label))
        noise = calibration_noise(label, sample.truth, bins, customer, once)
        exceeded.append(calibration_gap(label, sample.truth, bins, once) > noise.upper)
    assert 0.02 < np.mean(exceeded) < 0.1


def test_calibration_slope_equals_a_logistic_regression() -> None:
    sample = predictions(800, noise=1.0)
    weights = np.random.default_rng(0).integers(0, 3, 800).astype(float)
    logit = np.log(sample.probability / (1 - sample.probability))
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(
        logit[:, None], sample.label, sample_weight=weights
    )
    found = calibration_slope(sample.label.astype(float), sample.probability, weights)
    assert found == pytest.approx(oracle.coef_[0, 0], abs=1e-5)


@pytest.mark.parametrize("stretch", [0.5, 1.0, 2.0])
def test_calibration_slope_undoes_a_stretch_of_the_logits(stretch: float) -> None:
    sample = predictions(60_000, noise=0.0)
    logit = stretch * np.log(sample.truth / (1 - sample.truth))
    found = calibration_slope(sample.label.astype(float), 1 / (1 + np.exp(-logit)), np.ones(60_000))
    assert found == pytest.approx(1 / stretch, rel=0.03)


@pytest.mark.parametrize(
    ("label", "probability"),
    [([0, 0, 0, 0], [0.1, 0.2, 0.3, 0.4]), ([0, 1, 0, 1], [0.3, 0.3, 0.3, 0.3]), ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])],
)
def test_calibration_slope_does_not_exist_for_one_class_one_probability_or_parted_classes(
    label: list[int], probability: list[float]
) -> None:
    assert np.isnan(calibration_slope(np.array(label, dtype=float), np.array(probability), np.ones(4)))
