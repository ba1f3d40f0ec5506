"""The simulated telco is like IBM's sample, and its bills add up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from churn.data.contract import snake_case
from churn.simulation.simulate import SIMULATORS, SimulationSettings, simulate

SERVICES = ["online_security", "online_backup", "device_protection", "tech_support", "streaming_tv", "streaming_movies"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return simulate("telco", SimulationSettings(customers=8000, seed=7)).to_pandas()


@pytest.fixture(scope="module")
def labelled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["churn"].notna()]


@pytest.fixture(scope="module")
def sample(telco_csv: Path) -> pd.DataFrame:
    return pd.read_csv(telco_csv, na_values=" ").rename(columns=snake_case)


@pytest.mark.slow
@pytest.mark.parametrize(
    "column",
    [
        *("gender", "senior_citizen", "partner", "dependents", "phone_service", "multiple_lines", "internet_service"),
        *(*SERVICES, "contract", "paperless_billing", "payment_method", "churn"),
    ],
)
def test_the_shares_of_each_category_are_about_those_of_the_sample(
    column: str, labelled: pd.DataFrame, sample: pd.DataFrame
) -> None:
    simulated = labelled[column].value_counts(normalize=True)
    published = sample[column].value_counts(normalize=True)
    assert set(simulated.index) == set(published.index)
    assert (simulated - published).abs().max() < 0.03


@pytest.mark.parametrize(("column", "mean", "spread"), [("tenure", 1.5, 4.0), ("monthly_charges", 1.5, 1.5)])
def test_tenure_and_charges_are_distributed_about_as_in_the_sample(
    column: str, mean: float, spread: float, labelled: pd.DataFrame, sample: pd.DataFrame
) -> None:
    assert labelled[column].mean() == pytest.approx(sample[column].mean(), abs=mean)
    assert labelled[column].std() == pytest.approx(sample[column].std(), abs=spread)


def test_contract_connection_and_payment_belong_to_risk_as_in_the_sample(
    labelled: pd.DataFrame, sample: pd.DataFrame
) -> None:
    for column in ("contract", "internet_service", "payment_method"):
        simulated = (labelled["churn"] == "Yes").groupby(labelled[column]).mean()
        published = (sample["churn"] == "Yes").groupby(sample[column]).mean()
        assert (simulated - published).abs().max() < 0.10, column


def test_who_has_no_connection_has_no_service_that_needs_one(frame: pd.DataFrame) -> None:
    offline = frame["internet_service"] == "No"
    for service in SERVICES:
        assert ((frame[service] == "No internet service") == offline).all()
    assert ((frame["multiple_lines"] == "No phone service") == (frame["phone_service"] == "No")).all()
    assert (frame["phone_service"] == "Yes")[frame["internet_service"] != "DSL"].all()


def test_charges_follow_the_price_list(frame: pd.DataFrame) -> None:
    prices = {
        "phone_service": 20,
        "multiple_lines": 5,
        **dict.fromkeys(SERVICES[:4], 5),
        **dict.fromkeys(SERVICES[4:], 10),
    }
    listed = sum(amount * (frame[service] == "Yes") for service, amount in prices.items())
    listed += frame["internet_service"].map({"DSL": 25, "Fiber optic": 50, "No": 0})
    agreed = frame["monthly_charges"] - listed
    assert agreed.between(-1.76, 3.01).all()
    assert agreed.mean() == pytest.approx(0, abs=0.05)


def test_total_charges_add_up_month_by_month(frame: pd.DataFrame) -> None:
    before = frame.groupby("customer_id")[["total_charges", "monthly_charges", "tenure"]].shift()
    old = before["tenure"].notna()
    billed = before["total_charges"].fillna(0) + before["monthly_charges"]
    np.testing.assert_allclose(frame["total_charges"][old], billed[old], atol=0.005)
    assert (frame["tenure"][old] == before["tenure"][old] + 1).all()


def test_total_charges_are_blank_exactly_before_the_first_bill(frame: pd.DataFrame) -> None:
    assert (frame["total_charges"].isna() == (frame["tenure"] == 0)).all()
    assert frame["total_charges"].isna().any()


def test_only_the_contract_changes_while_nothing_is_scripted(frame: pd.DataFrame) -> None:
    fixed = frame.columns.difference(
        ["customer_id", "transaction_ts", "tenure", "total_charges", "contract", "churn", "true_probability"]
    )
    values = frame.groupby("customer_id")[[*fixed, "contract"]].nunique().max()
    assert (values[fixed] == 1).all()
    assert values["contract"] > 1


def test_some_who_join_are_returning_customers_with_the_months_of_their_former_account(frame: pd.DataFrame) -> None:
    joining = frame[frame["transaction_ts"] > frame["transaction_ts"].min()].groupby("customer_id").first()
    joining = joining.drop(
        frame["customer_id"][frame["transaction_ts"] == frame["transaction_ts"].min()], errors="ignore"
    )
    assert (joining["tenure"] > 1).mean() == pytest.approx(0.25, abs=0.03)
    assert joining["tenure"].max() <= 65


def test_risk_falls_along_the_tenure_but_not_all_the_way() -> None:
    telco = SIMULATORS["telco"]
    customer = {name: np.repeat(values, 101) for name, values in telco.join(np.random.default_rng(0), 1).items()}
    price = telco.list_price(customer)
    tenure = np.arange(101)
    charges = {"monthly_charges": price, "tenure": tenure, "total_charges": price * tenure}
    monthly = telco.log_odds({**customer, **charges})[:, 0]
    assert monthly[0] > monthly[27] > monthly[15]
    assert monthly[27] > monthly[45]
    assert monthly[90] > monthly[60]
