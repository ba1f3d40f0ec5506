"""When a difference is more than chance: what the tests promise, measured where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from churn.core.errors import NotEnoughData
from churn.core.estimate import Estimate
from churn.evaluation.significance import corrected_resampled_t, detectable, p_value_worse

GAINS = np.array([0.01, -0.002, 0.006, 0.004, 0.007])


def test_the_corrected_test_is_the_formula_of_nadeau_and_bengio() -> None:
    test = corrected_resampled_t(GAINS, test_share=0.25, alpha=0.05)
    se = np.sqrt((1 / 5 + 0.25) * np.var(GAINS, ddof=1))
    assert test.gain.point == pytest.approx(0.005)
    assert test.gain.se == pytest.approx(se)
    assert test.p_better == pytest.approx(stats.t.sf(0.005 / se, 4))
    assert test.p_worse == pytest.approx(1 - test.p_better)
    half = stats.t.ppf(0.95, 4) * se
    assert (test.gain.lower, test.gain.upper) == pytest.approx((0.005 - half, 0.005 + half))
    assert test.detectable == pytest.approx(half + stats.t.ppf(0.8, 4) * se)


def test_without_overlap_it_is_the_t_test() -> None:
    test = corrected_resampled_t(GAINS, test_share=0.0, alpha=0.05)
    assert test.p_better == pytest.approx(stats.ttest_1samp(GAINS, 0.0, alternative="greater").pvalue)


def test_overlapping_training_rows_make_less_sure() -> None:
    plain, corrected = (corrected_resampled_t(GAINS, test_share=share, alpha=0.05) for share in (0.0, 0.25))
    assert corrected.p_better > plain.p_better
    assert corrected.detectable > plain.detectable


def test_two_equal_recipes_are_evidence_for_neither() -> None:
    test = corrected_resampled_t(np.zeros(10), test_share=0.25, alpha=0.05)
    assert (test.p_better, test.p_worse) == (0.5, 0.5)
    assert test.gain == Estimate(point=0, lower=0, upper=0, se=0)


@pytest.mark.parametrize(("gain", "p_better"), [(0.25, 0.0), (-0.25, 1.0)])
def test_the_same_gain_on_every_fold_leaves_no_doubt(gain: float, p_better: float) -> None:
    test = corrected_resampled_t(np.full(10, gain), test_share=0.25, alpha=0.05)
    assert (test.p_better, test.p_worse) == (p_better, 1 - p_better)


def test_one_fold_says_nothing_about_chance() -> None:
    with pytest.raises(NotEnoughData, match=r"1 fold says nothing .* \(gate\.folds\)"):
        corrected_resampled_t([0.1], test_share=0.25, alpha=0.05)


def test_a_difference_of_the_detectable_size_is_found_four_times_in_five() -> None:
    size = detectable(1.0, 0.05)
    measured = np.random.default_rng(0).normal(size, 1.0, 20_000)
    assert np.mean(measured > stats.norm.ppf(0.95)) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(
    ("point", "se", "expected"), [(-1.645, 1.0, 0.05), (0.0, 1.0, 0.5), (0.0, 0.0, 0.5), (-1e-9, 0.0, 0.0)]
)
def test_the_chance_of_so_low_a_gain(point: float, se: float, expected: float) -> None:
    gain = Estimate(point=point, lower=point, upper=point, se=se)
    assert p_value_worse(gain) == pytest.approx(expected, abs=1e-4)
