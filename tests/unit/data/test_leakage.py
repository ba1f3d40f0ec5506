from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn.core.errors import LeakageError
from churn.data.leakage import LeakageReport, LeakageSettings, check_leakage, halves, univariate_auc

CUTOFF = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
ROWS = 2_000
RNG = np.random.default_rng(7)
LABEL = (RNG.random(ROWS) < 0.3).astype(np.int8)
CUSTOMERS = pd.Series([f"c{n}" for n in range(ROWS)])
NOISE = RNG.normal(size=ROWS)


def check(
    features: dict[str, Any] | None = None, settings: LeakageSettings | None = None, **rows: Any
) -> LeakageReport:
    time = pd.Timestamp("2025-01-01", tz="UTC")
    frame = pd.DataFrame(
        {
            "customer": CUSTOMERS,
            "time": time,
            "feature_ts": time,
            "label": LABEL,
            "label_ts": pd.Timestamp("2025-05-01", tz="UTC"),
            "split": "train",
        }
    )
    return check_leakage(
        frame.assign(**rows),
        {"noise": NOISE, **(features or {})},
        entity="customer",
        event_time="time",
        label="label",
        split="split",
        cutoff=CUTOFF,
        settings=settings or LeakageSettings(),
    )


def agreeing(share: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A feature that is the label in `share` of the rows and its contrary in the others."""
    flipped = np.random.default_rng(1).random(ROWS) >= share
    return np.where(flipped, 1 - LABEL, LABEL).astype(float)


def test_an_honest_training_set_passes() -> None:
    report = check()
    assert report.passed
    report.require()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            {"feature_ts": pd.Timestamp("2025-01-01T00:00:01", tz="UTC")},
            "2,000 rows have features from after",
        ),
        ({"label_ts": pd.Timestamp("2025-06-01T00:00:01", tz="UTC")}, "2,000 have labels from after the cut-off"),
        ({"customer": "same", "split": np.where(LABEL, "train", "holdout")}, "1 customers are on both sides"),
    ],
)
def test_knowledge_from_the_future_or_the_other_side_stops_the_run(rows: dict[str, Any], message: str) -> None:
    with pytest.raises(LeakageError, match=message):
        check(**rows).require()


@pytest.mark.parametrize(
    "rows", [{"feature_ts": pd.Series(pd.NaT, range(ROWS), "datetime64[us, UTC]")}, {"label_ts": pd.Timestamp(CUTOFF)}]
)
def test_a_row_without_features_and_a_label_known_at_the_cutoff_are_no_leak(rows: dict[str, Any]) -> None:
    assert check(**rows).passed


@pytest.mark.parametrize(
    "copy",
    [
        LABEL.astype(float),
        1.0 - LABEL,
        np.where(LABEL == 1, "gone", "here").astype(object),
        np.where(LABEL == 1, None, "here").astype(object),
        np.where(LABEL == 1, np.nan, 5.0),
        np.array([f"{'x' if label else 'y'}{n % 3}" for n, label in enumerate(LABEL)], dtype=object),
    ],
    ids=["itself", "its contrary", "as text", "missing where it is true", "a missing number", "finer than itself"],
)
def test_a_copy_of_the_label_stops_the_run(copy: Any) -> None:
    with pytest.raises(LeakageError, match=r"No copy of the label: copy always tells the outcome"):
        check({"copy": copy}).require()


def test_a_date_of_leaving_is_too_good_to_be_true() -> None:
    left_on = np.where(LABEL == 1, 20250000 + np.arange(ROWS), np.nan)
    with pytest.raises(LeakageError, match=r"left_on \(ROC AUC 1\.000\)"):
        check({"left_on": left_on}).require()


def test_a_noisy_copy_is_too_good_to_be_true_and_a_good_predictor_is_not() -> None:
    assert not check({"copy": agreeing(0.96)}).passed
    assert check({"predictor": agreeing(0.8)}).passed


def test_a_feature_that_is_known_to_be_that_good_may_be_trusted() -> None:
    assert check({"score": agreeing(0.96)}, LeakageSettings(trusted=("score",))).passed


def test_a_predictor_without_direction_is_seen_too() -> None:
    middle = np.where(LABEL == 1, RNG.normal(0, 0.1, ROWS), RNG.choice([-5.0, 5.0], ROWS) + RNG.normal(0, 0.1, ROWS))
    assert univariate_auc(middle, LABEL, halves(CUSTOMERS)) > 0.99


def test_a_value_of_its_own_for_each_row_predicts_nothing() -> None:
    assert univariate_auc(CUSTOMERS.to_numpy(dtype=object), LABEL, halves(CUSTOMERS)) < 0.55


@pytest.mark.parametrize("values", [np.full(ROWS, np.nan), np.full(ROWS, 3.0), np.full(ROWS, None, dtype=object)])
def test_a_column_without_values_predicts_nothing(values: Any) -> None:
    assert univariate_auc(values, LABEL, halves(CUSTOMERS)) == pytest.approx(0.5, abs=0.02)


def test_one_class_alone_cannot_be_predicted() -> None:
    assert univariate_auc(NOISE, np.zeros(ROWS, np.int8), halves(CUSTOMERS)) == 0.5
