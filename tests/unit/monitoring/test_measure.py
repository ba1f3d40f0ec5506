"""Figures and differences of a window, from what was counted of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from churn.evaluation.metrics import METRICS
from churn.model.money import MoneySettings
from churn.monitoring.measure import LABEL, SCORE, WHOLE, Side, differences, figures, sides_of
from churn.ports.windows import Asked, Bins
from tests.fakes.data.monitored import DIGEST, Customers, day, predicted_of, put_baseline, put_window
from tests.fakes.ports.tables import MemoryFeatureStore
from tests.fakes.ports.windows import MemoryPredictionWindows

pytestmark = pytest.mark.slow

MONEY = MoneySettings()


class Measured:
    """A baseline of 1,500 customers and a window beside it."""

    def __init__(self, customers: Customers, *, labelled: bool = True, **options: Any) -> None:
        store = MemoryFeatureStore("toy")
        windows = MemoryPredictionWindows(store)
        baseline = put_baseline(store, Customers(1500, 1))
        put_window(store, customers, 0, labelled=40 if labelled else None, **options)
        predicted = predicted_of(store, labels=labelled, features=options.get("features", True))
        self.bins = windows.layout(baseline, DIGEST, ["charges", "contract"], numbers=100, texts=50)
        self.before = sides_of(windows.baseline(baseline, DIGEST, self.bins, ["contract"]))[None, ""]
        asked = Asked("event", "day", 1, [day(0)])
        self.after = sides_of(windows.aggregate(predicted, asked, self.bins, ["contract"]))[day(0), "batch"]

    def figures(self, group: tuple[str, str] = ("", "")) -> dict[tuple[str, str, str], float | None]:
        found = figures(self.after, self.bins, group, money=MONEY, baseline=self.before)
        return {(figure.column, figure.metric, figure.kind): figure.number for figure in found}

    def drift(self, group: tuple[str, str] = ("", "")) -> dict[tuple[str, str], float | None]:
        found = differences(self.bins, self.before, self.after, group)
        return {(difference.column, difference.metric): difference.number for difference in found}


def test_a_window_is_profiled() -> None:
    customers = Customers(1000, 2)
    customers.charges[:100] = np.nan
    found = Measured(customers).figures()
    known = customers.charges[100:]
    measured = {metric: found["charges", metric, "measured"] for metric in ("null_share", "mean", "std", "min", "max")}
    expected = {"null_share": 0.1, "mean": known.mean(), "std": known.std(), "min": known.min(), "max": known.max()}
    assert measured == pytest.approx(expected)
    for share in (5, 25, 50, 75, 95):
        assert found["charges", f"quantile_{share}", "measured"] == pytest.approx(
            np.quantile(known, share / 100), abs=1.5
        )
    assert found["contract", "distinct", "measured"] == 2
    assert (found[WHOLE, "rows", "measured"], found[WHOLE, "immature_rows", "measured"]) == (1000, 0)
    assert found[WHOLE, "mean_probability", "measured"] == pytest.approx(customers.probability.mean())
    assert found[WHOLE, "share", "measured"] == pytest.approx((customers.probability > 0.2).mean())
    assert found[WHOLE, "churn_share", "realised"] == pytest.approx(customers.outcome.mean())


def test_without_outcomes_rows_are_immature_and_only_estimated() -> None:
    found = Measured(Customers(300, 2), labelled=False).figures()
    assert found[WHOLE, "immature_rows", "measured"] == 300
    assert {kind for _, _, kind in found} == {"measured", "estimated"}


def test_every_figure_and_difference_is_in_the_registry_and_finite() -> None:
    measured = Measured(Customers(300, 2))
    names = {metric for _, metric, _ in measured.figures()} | {metric for _, metric in measured.drift()}
    assert all(METRICS[name].label for name in names)
    numbers = [*measured.figures().values(), *measured.drift().values()]
    assert all(np.isfinite(number) for number in numbers if number is not None)


def test_customers_of_the_same_kind_have_not_shifted() -> None:
    found = Measured(Customers(1500, 2)).drift()
    assert {column for column, _ in found} == {"charges", "contract", SCORE, LABEL}
    for column in ("charges", "contract", SCORE, LABEL):
        assert found[column, "psi"] is not None
        assert (found[column, "psi"] or 0) < 0.03
        assert (found[column, "chi_square_p"] or 0) > 0.001
    assert found["charges", "scale"] is None


@pytest.mark.parametrize("factor", [1.1, 0.9, 100.0, 1 / 12])
def test_another_unit_is_told_by_its_factor(factor: float) -> None:
    customers = Customers(1500, 2)
    customers.charges = customers.charges * factor
    assert Measured(customers).drift()["charges", "scale"] == pytest.approx(factor, rel=0.03)


def test_a_shift_that_no_factor_explains_has_none() -> None:
    customers = Customers(1500, 2)
    customers.charges[:700] = 95.0
    found = Measured(customers).drift()
    assert (found["charges", "psi"] or 0) > 0.25
    assert found["charges", "scale"] is None


def test_a_new_category_and_a_burst_of_missing_values_are_told() -> None:
    customers = Customers(1000, 2)
    customers.contract[:30] = "Weekly"
    customers.charges[:200] = np.nan
    found = Measured(customers).drift()
    assert found["contract", "unseen_share"] == pytest.approx(0.03)
    assert (found["contract", "unseen_p"] or 1) < 1e-6
    assert found["charges", "null_share_gain"] == pytest.approx(0.2)
    assert (found["charges", "null_p"] or 1) < 1e-6


def test_a_column_that_is_gone_is_missing_in_every_row() -> None:
    measured = Measured(Customers(300, 2))
    gone = Side({"contract": measured.after.columns["contract"]}, measured.after.groups)
    found = {(figure.column, figure.metric): figure.number for figure in figures(gone, measured.bins, money=MONEY)}
    assert found["charges", "null_share"] == 1.0
    drift = {(part.column, part.metric): part.number for part in differences(measured.bins, measured.before, gone)}
    assert drift["charges", "null_share_gain"] == 1.0
    assert ("charges", "psi") not in drift


def test_predictions_without_features_are_counted_and_no_values_are_called_missing() -> None:
    found = Measured(Customers(300, 2), features=False)
    assert found.after.columns == {}
    assert found.figures()["charges", "null_share", "measured"] is None


def test_a_slice_has_its_own_performance_and_no_columns() -> None:
    customers = Customers(1000, 2)
    measured = Measured(customers)
    found, drift = measured.figures(("contract", "Two year")), measured.drift(("contract", "Two year"))
    chosen = customers.contract == "Two year"
    assert found[WHOLE, "rows", "measured"] == chosen.sum()
    assert found[WHOLE, "churn_share", "realised"] == pytest.approx(customers.outcome[chosen].mean())
    assert {column for column, _, _ in found} == {WHOLE}
    assert {column for column, _ in drift} == {SCORE, LABEL}


def test_one_class_in_a_window_is_measured() -> None:
    customers = Customers(300, 2)
    customers.outcome[:] = 0
    found = Measured(customers).figures()
    assert (WHOLE, "roc_auc", "realised") not in found
    assert found[WHOLE, "churn_share", "realised"] == 0.0


def test_counts_that_do_not_exist_are_told_apart_from_zero() -> None:
    empty = Bins(name="charges", kind="number")
    found = {figure.metric: figure.number for figure in figures(Side(), [empty], money=MONEY)}
    assert (found["rows"], found["mean"], found["null_share"]) == (0, None, None)
    assert pa.scalar(found["distinct"]).as_py() == 0
