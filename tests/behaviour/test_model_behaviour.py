"""What anybody would expect of a churn model, whatever is inside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from churn.data.contract import DatasetContract, snake_case
from churn.model.features import compute_features
from churn.model.frame import columns_of
from churn.model.model import ChurnModel
from churn.training.train import ModelSettings, TrainingData, train

ROOT = Path(__file__).parents[2]
CONTRACT = DatasetContract.load(ROOT / "configs" / "datasets" / "telco.yaml")
Columns = dict[str, npt.NDArray[np.generic]]


@pytest.fixture(scope="module")
def data(telco_csv: Path) -> TrainingData:
    frame = pd.read_csv(telco_csv)
    frame = frame.rename(columns={name: snake_case(name) for name in frame})
    columns = compute_features(CONTRACT.features, columns_of(frame, CONTRACT.kinds), CONTRACT.functions)
    label = (frame["churn"] == "Yes").to_numpy(dtype=np.int8)
    return TrainingData(columns, label, frame["customer_id"].to_numpy(dtype=object))


@pytest.fixture(scope="module")
def model(data: TrainingData) -> ChurnModel:
    return train(data, CONTRACT, ModelSettings(), seed=0).model


@pytest.fixture(scope="module")
def raw(data: TrainingData) -> Columns:
    return {name: data.columns[name] for name in CONTRACT.columns}


def everyone(raw: Columns, **changes: object) -> Columns:
    """Return the customers with some columns set to one value for all of them."""
    rows = len(raw["tenure"])
    kinds = {name: object if isinstance(value, str) else np.float64 for name, value in changes.items()}
    return {**raw, **{name: np.full(rows, value, dtype=kinds[name]) for name, value in changes.items()}}


def mean_risk(model: ChurnModel, columns: Columns) -> float:
    return float(np.mean(model.probability(columns)))


def test_the_mean_probability_is_the_share_that_churns(model: ChurnModel, data: TrainingData, raw: Columns) -> None:
    assert mean_risk(model, raw) == pytest.approx(float(np.mean(data.label)), abs=0.005)


def test_a_longer_tenure_never_raises_the_risk_by_much(model: ChurnModel, raw: Columns) -> None:
    charges = raw["monthly_charges"].astype(float)
    risks = [
        mean_risk(model, {**everyone(raw, tenure=months), "total_charges": charges * months})
        for months in (1, 3, 6, 12, 24, 36, 48, 60, 72)
    ]
    assert risks[0] > risks[-1] + 0.2
    assert max(np.diff(risks)) < 0.01


def test_a_longer_contract_lowers_the_risk(model: ChurnModel, raw: Columns) -> None:
    monthly, one, two = (
        mean_risk(model, everyone(raw, contract=length)) for length in ("Month-to-month", "One year", "Two year")
    )
    assert monthly > one + 0.03 > two + 0.03


def test_protection_lowers_the_risk_of_internet_customers(model: ChurnModel, raw: Columns) -> None:
    online = raw["internet_service"] != "No"
    customers = {name: values[online] for name, values in raw.items()}
    for service in ("online_security", "tech_support"):
        assert mean_risk(model, everyone(customers, **{service: "Yes"})) < mean_risk(
            model, everyone(customers, **{service: "No"})
        )


def test_gender_makes_almost_no_difference(model: ChurnModel, raw: Columns) -> None:
    women, men = (model.probability(everyone(raw, gender=gender)) for gender in ("Female", "Male"))
    assert abs(np.mean(women - men)) < 0.01


def test_a_duplicated_row_changes_no_prediction(model: ChurnModel, raw: Columns) -> None:
    twice = {name: np.concatenate([values, values[:100]]) for name, values in raw.items()}
    found = model.probability(twice)
    np.testing.assert_array_equal(found[: len(raw["tenure"])], model.probability(raw))
    np.testing.assert_array_equal(found[-100:], found[:100])


def test_the_order_of_customers_and_columns_changes_nothing(model: ChurnModel, raw: Columns) -> None:
    order = np.random.default_rng(0).permutation(len(raw["tenure"]))
    shuffled = {name: raw[name][order] for name in reversed(raw)}
    np.testing.assert_array_equal(model.probability(shuffled), model.probability(raw)[order])


def test_a_column_that_the_model_does_not_read_does_nothing(model: ChurnModel, raw: Columns) -> None:
    rows = len(raw["tenure"])
    more = {**raw, "customer_id": np.array([f"id-{row}" for row in range(rows)], dtype=object), "churn": np.ones(rows)}
    np.testing.assert_array_equal(model.probability(more), model.probability(raw))


def test_a_hair_s_breadth_moves_no_probability_by_much(model: ChurnModel, raw: Columns) -> None:
    moved = {**raw, "monthly_charges": raw["monthly_charges"].astype(float) + 0.01}
    assert np.abs(model.probability(moved) - model.probability(raw)).mean() < 0.002


def test_a_customer_of_whom_nothing_is_known_is_scored(model: ChurnModel) -> None:
    unknown: Columns = {
        name: np.array([None], dtype=object) if kind == "categorical" else np.array([np.nan])
        for name, kind in CONTRACT.kinds.items()
    }
    assert 0.02 < model.probability(unknown)[0] < 0.9


def test_a_column_of_noise_does_not_make_the_model_worse(data: TrainingData) -> None:
    some = np.arange(0, len(data.label), 2)
    noisy = CONTRACT.columns | {"noise": CONTRACT.columns["monthly_charges"].model_copy(update={"min": None})}
    contract = CONTRACT.model_copy(update={"columns": noisy})
    columns = {name: values[some] for name, values in data.columns.items()}
    less = TrainingData(columns, data.label[some], data.entity[some])
    more = replace(less, columns={**columns, "noise": np.random.default_rng(0).normal(size=len(some))})
    losses = [
        train(rows, rule, ModelSettings(), seed=0).report.calibration.after.log_loss
        for rows, rule in ((less, CONTRACT), (more, contract))
    ]
    assert losses[1] < losses[0] + 0.003
