"""The simulated software vendor: mostly numbers, use that wanders, annual accounts that leave when due."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from churn.data.contract import DatasetContract
from churn.model.features import compute_features
from churn.model.frame import columns_of
from churn.simulation.simulate import SimulationSettings, simulate
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return simulate("saas", SimulationSettings(customers=6000, seed=7)).to_pandas()


@pytest.mark.slow
def test_about_six_per_cent_leave_in_a_month(frame: pd.DataFrame) -> None:
    cancelled = frame["cancelled"].dropna() == "1"
    assert cancelled.mean() == pytest.approx(0.06, abs=0.006)


def test_annual_accounts_leave_when_their_renewal_is_due(frame: pd.DataFrame) -> None:
    annual = frame[frame["billing_period"] == "Annual"]
    risk = annual.groupby(annual["months_to_renewal"] == 0)["true_probability"].mean()
    assert risk[True] > 5 * risk[False]


def test_the_renewal_comes_nearer_every_month_and_only_for_annual_accounts(frame: pd.DataFrame) -> None:
    monthly = frame["billing_period"] == "Monthly"
    assert (frame["months_to_renewal"][monthly] == 0).all()
    before = frame.groupby("account_id")["months_to_renewal"].shift()
    old = before.notna() & ~monthly
    assert (frame["months_to_renewal"][old] == (before[old] - 1) % 12).all()


def test_storage_is_heavy_tailed(frame: pd.DataFrame) -> None:
    assert frame["storage_gb"].quantile(0.999) > 50 * frame["storage_gb"].median()


def test_the_survey_is_answered_by_most_and_blank_for_the_others(frame: pd.DataFrame) -> None:
    assert 0.1 < frame["nps"].isna().mean() < 0.4
    assert set(frame["nps"].dropna()) <= set(range(11))


def test_use_is_like_last_month_but_not_the_same(frame: pd.DataFrame) -> None:
    use = frame["active_users"] / frame["seats"]
    before = use.groupby(frame["account_id"]).shift()
    large = (frame["seats"] >= 30) & before.notna()
    assert 0.6 < np.corrcoef(use[large], before[large])[0, 1] < 0.98


def test_revenue_is_seats_times_the_price_of_the_plan(frame: pd.DataFrame) -> None:
    listed = frame["seats"] * frame["plan"].map({"Starter": 12, "Team": 20, "Business": 32, "Enterprise": 50})
    listed *= np.where(frame["billing_period"] == "Annual", 0.85, 1) * (1 - frame["discount_share"])
    np.testing.assert_allclose(frame["mrr"], listed, rtol=0.01)


def test_the_features_of_the_contract_are_computed_from_the_table(frame: pd.DataFrame) -> None:
    contract = DatasetContract.load(ROOT / "configs" / "datasets" / "saas.yaml")
    columns = compute_features(contract.features, columns_of(frame, contract.kinds), contract.functions)
    utilisation = columns["seat_utilisation"]
    assert ((utilisation >= 0) & (utilisation <= 1)).all()
    np.testing.assert_array_equal(np.isnan(columns["logins_per_active_user"]), frame["active_users"] == 0)
    assert (columns["price_per_seat"] > 0).all()
