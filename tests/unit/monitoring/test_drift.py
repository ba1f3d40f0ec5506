"""Measures of drift equal SciPy's where the definition is the same."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, fisher_exact, ks_2samp, wasserstein_distance

from churn.model.frame import FloatArray
from churn.monitoring.drift import Counted, coarse, distances, drift_of, share_p_value
from churn.ports.windows import TAILS, Bins

CASES = [
    ([50, 30, 20], [40, 35, 25]),
    ([500, 300, 0], [100, 0, 20]),
    ([1, 999], [999, 1]),
    ([10, 0, 0, 90], [10, 0, 0, 90]),
]


@pytest.mark.parametrize(("before", "after"), CASES)
def test_distances_of_categories_equal_scipys(before: list[int], after: list[int]) -> None:
    measures = distances(before, after)
    p, q = np.array(before) / sum(before), np.array(after) / sum(after)
    assert measures["js_distance"] == pytest.approx(jensenshannon(p, q), abs=1e-7)
    assert measures["total_variation"] == pytest.approx(np.abs(p - q).sum() / 2)
    assert measures["l_infinity"] == pytest.approx(np.abs(p - q).max())
    table = np.array([before, after])
    test = chi2_contingency(table[:, table.sum(axis=0) > 0], correction=False)
    assert measures["chi_square"] == pytest.approx(test.statistic)
    assert measures["chi_square_p"] == pytest.approx(test.pvalue)


def test_psi_is_that_of_the_shares_in_large_samples() -> None:
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.35, 0.25])
    assert distances(p * 1e6, q * 1e6)["psi"] == pytest.approx(float(np.sum((q - p) * np.log(q / p))), rel=1e-4)


def test_an_empty_bin_has_a_finite_psi() -> None:
    assert 1 < distances([100, 0], [0, 100])["psi"] < 20


def edges_of(values: FloatArray) -> FloatArray:
    """Return the edges that a baseline's layout has."""
    inner = np.unique(values)
    if len(inner) > 100:
        inner = np.quantile(values, sorted([*np.linspace(0.01, 0.99, 99), *TAILS]))
    return np.unique([np.nextafter(values.min(), -np.inf), *inner, values.max()])


def binned(values: FloatArray, edges: FloatArray) -> Counted:
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return Counted(counts.astype(float), float(values.min()), float(values.max()), len(np.unique(values)))


@pytest.mark.parametrize(
    ("kind", "shift"), [("normal", 0.0), ("normal", 0.1), ("normal", 1.0), ("few values", 0.0), ("few values", 1.0)]
)
def test_kolmogorov_smirnov_equals_scipys_on_binned_values_and_wasserstein_where_a_bin_holds_one(
    shift: float, kind: str
) -> None:
    random = np.random.default_rng(3)
    draw = (lambda n: random.normal(size=n)) if kind == "normal" else (lambda n: random.poisson(3, n).astype(float))
    before, after = draw(4000), draw(3000) + shift
    edges = edges_of(before)
    bins = Bins(name="x", kind="number", edges=tuple(edges.tolist()))
    measures = drift_of(bins, binned(before, edges), binned(after, edges))
    moved = [np.searchsorted(edges, values, side="left") for values in (before, after)]
    expected = ks_2samp(*moved, method="asymp")
    assert measures["ks"] == pytest.approx(expected.statistic)
    assert measures["ks_p"] == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-300)
    close = 1e-9 if kind == "few values" else 0.02
    assert measures["wasserstein"] == pytest.approx(wasserstein_distance(before, after), rel=close, abs=10 * close / 20)


def test_fine_bins_come_close_to_the_measures_of_the_values_themselves() -> None:
    random = np.random.default_rng(4)
    before, after = random.gamma(2, 30, 20_000), random.gamma(2, 33, 20_000)
    edges = edges_of(before)
    bins = Bins(name="x", kind="number", edges=tuple(edges.tolist()))
    measures = drift_of(bins, binned(before, edges), binned(after, edges))
    assert measures["ks"] == pytest.approx(ks_2samp(before, after).statistic, abs=0.003)
    assert measures["wasserstein"] == pytest.approx(wasserstein_distance(before, after), rel=0.03)


def test_a_column_without_values_on_one_side_has_no_measure() -> None:
    bins = Bins(name="x", kind="number", edges=(0.0, 1.0))
    empty, full = Counted(np.zeros(3)), Counted(np.array([0.0, 5.0, 0.0]), 0.5, 1.0)
    assert drift_of(bins, empty, full) == drift_of(bins, full, empty) == {}


def test_a_column_that_is_always_the_same_has_not_shifted() -> None:
    bins = Bins(name="x", kind="number", edges=(float(np.nextafter(1.0, 0)), 1.0))
    same = Counted(np.array([0.0, 50.0, 0.0]), 1.0, 1.0)
    measures = drift_of(bins, same, same)
    assert {name: measures[name] for name in ("psi", "ks", "chi_square_p", "ks_p", "wasserstein")} == {
        "psi": 0.0,
        "ks": 0.0,
        "chi_square_p": 1.0,
        "ks_p": 1.0,
        "wasserstein": 0.0,
    }


@pytest.mark.parametrize("counts", [[0, 1, 1, 1, 0], [0, *[1] * 100, 0], [0, 98, 1, 1, 0], [0, 5, 0]])
def test_wide_bins_hold_about_a_tenth_and_what_is_outside_joins_the_nearest(counts: list[int]) -> None:
    groups = coarse(counts)
    assert groups[0] == groups[1]
    assert groups[-1] == groups[-2]
    assert (np.diff(groups) >= 0).all()
    masses = np.bincount(groups, counts)
    assert len(masses) <= 10
    assert (masses > 0).all()


def test_the_test_of_a_risen_share_is_fishers() -> None:
    assert share_p_value((3, 100), (9, 80)) == pytest.approx(
        fisher_exact([[9, 71], [3, 97]], alternative="greater").pvalue
    )
    assert share_p_value((0, 100), (0, 80)) == 1.0
    assert share_p_value((50, 100), (40, 80)) > 0.4
