"""Each scripted event does what it says, from its month on, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn.simulation.simulate import SIMULATORS, SimulationSettings, simulate

MONTHS = pd.date_range("2025-03-01", "2025-12-01", freq="MS", tz="UTC")


def run(name: str, *events: dict[str, Any]) -> pd.DataFrame:
    settings = SimulationSettings.model_validate({"customers": 3000, "months": 10, "seed": 2, "events": events})
    world = SIMULATORS[name]
    return simulate(name, settings).to_pandas().rename(columns={world.event_time: "time", world.entity_key: "key"})


@pytest.fixture(scope="module")
def telco() -> pd.DataFrame:
    return run("telco")


@pytest.fixture(scope="module")
def saas() -> pd.DataFrame:
    return run("saas")


def both(frame: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that two runs have in common; the second run's columns end in `_then`."""
    return frame.merge(other, on=["key", "time"], suffixes=("", "_then"), validate="one_to_one")


def assert_same_until(month: int, frame: pd.DataFrame, other: pd.DataFrame) -> None:
    """Nothing that a source delivers differs before `month`, except for what the future holds."""
    foreseen = ["true_probability", "churn", "cancelled"]
    early, then = (
        run[run["time"] < MONTHS[month - 1]].drop(columns=foreseen, errors="ignore") for run in (frame, other)
    )
    pd.testing.assert_frame_equal(early.reset_index(drop=True), then.reset_index(drop=True))


def test_a_price_rise_raises_the_price_of_those_it_names(telco: pd.DataFrame) -> None:
    risen = run(
        "telco", {"kind": "price_rise", "month": 6, "share": 0.1, "only": {"internet_service": ["Fiber optic"]}}
    )
    assert_same_until(6, telco, risen)
    old = both(telco, risen).query("time >= @MONTHS[5]")
    old = old[old["key"].isin(telco["key"][telco["time"] == MONTHS[4]])]
    factor = np.where(old["internet_service"] == "Fiber optic", 1.1, 1.0)
    np.testing.assert_allclose(old["monthly_charges_then"], old["monthly_charges"] * factor, atol=0.006)


def test_a_price_rise_holds_for_those_who_join_later() -> None:
    risen = run("telco", {"kind": "price_rise", "month": 6, "share": 0.5})
    joined = risen[(risen["time"] >= MONTHS[7]) & (risen["tenure"] <= 1) & (risen["internet_service"] == "No")]
    listed = 20 + 5 * (joined["multiple_lines"] == "Yes")
    assert (joined["monthly_charges"] / listed).mean() == pytest.approx(1.5, abs=0.03)


def test_a_price_rise_drives_customers_away_and_the_truth_knows_it_beforehand(telco: pd.DataFrame) -> None:
    risen = run("telco", {"kind": "price_rise", "month": 6, "share": 0.2})
    change = (
        both(telco, risen)
        .groupby("time")
        .apply(lambda rows: (rows["true_probability_then"] - rows["true_probability"]).mean(), include_groups=False)
    )
    assert (change[:3] == 0).all()  # windows of three months that close before the rise
    assert (change[3:6] > 0.01).all()


def test_a_price_rise_reaches_the_revenue_of_the_software_vendor(saas: pd.DataFrame) -> None:
    risen = run(
        "saas", {"kind": "price_rise", "month": 4, "share": 0.25, "only": {"plan": ["Team"], "region": ["Europe"]}}
    )
    assert_same_until(4, saas, risen)
    at_once = both(saas, risen).query("time == @MONTHS[3]")
    named = (at_once["plan"] == "Team") & (at_once["region"] == "Europe")
    np.testing.assert_allclose(at_once["mrr_then"], at_once["mrr"] * np.where(named, 1.25, 1), atol=0.006)
    assert named.any()


def test_an_upgrade_is_taken_by_its_share_of_those_who_can_have_it(telco: pd.DataFrame) -> None:
    sold = run("telco", {"kind": "new_product", "month": 5, "column": "tech_support", "value": "Yes", "share": 0.6})
    assert_same_until(5, telco, sold)
    at_once = both(telco, sold).query("time == @MONTHS[4]")
    could = at_once[at_once["tech_support"] == "No"]
    took = could["tech_support_then"] == "Yes"
    assert took.mean() == pytest.approx(0.6, abs=0.05)
    price = (could["monthly_charges_then"] - could["monthly_charges"])[took]
    assert (price.mean(), price.std()) == (pytest.approx(5, abs=0.05), pytest.approx(0, abs=0.2))
    others = at_once.drop(could.index)
    assert (others["tech_support"] == others["tech_support_then"]).all()


def test_a_new_value_appears_for_present_and_future_customers(telco: pd.DataFrame) -> None:
    event = {"kind": "new_product", "month": 5, "column": "internet_service", "value": "5G home", "share": 0.3}
    sold = run("telco", {**event, "like": "DSL", "only": {"internet_service": ["Fiber optic"]}})
    assert_same_until(5, telco, sold)
    at_once = both(telco, sold).query("time == @MONTHS[4]")
    took = at_once["internet_service_then"] == "5G home"
    assert took[at_once["internet_service"] == "Fiber optic"].mean() == pytest.approx(0.3, abs=0.04)
    assert not took[at_once["internet_service"] != "Fiber optic"].any()
    price = (at_once["monthly_charges_then"] - at_once["monthly_charges"])[took]
    assert price.mean() == pytest.approx(-25, abs=0.5)
    joined = sold[(sold["time"] >= MONTHS[6]) & (sold["tenure"] <= 1)]
    assert (joined["internet_service"] == "5G home").any()


def test_nobody_without_a_connection_is_sold_what_needs_one(telco: pd.DataFrame) -> None:
    sold = run("telco", {"kind": "new_product", "month": 5, "column": "streaming_tv", "value": "Yes", "share": 1.0})
    late = sold[sold["time"] >= MONTHS[4]]
    assert ((late["streaming_tv"] == "No internet service") == (late["internet_service"] == "No")).all()
    assert (late["streaming_tv"] != "No").all()


@pytest.mark.parametrize("name", ["telco", "saas"])
def test_the_season_moves_the_odds_by_its_amplitude(name: str) -> None:
    calm = run(name)
    swing = run(name, {"kind": "seasonality", "month": 3, "amplitude": 0.4, "peak": 5})  # month 3 is May
    assert_same_until(3, calm, swing)
    if name == "saas":  # its window is one month: the odds of the row are those of the month
        at_peak = both(calm, swing).query("time == @MONTHS[2]")
        odds = at_peak["true_probability"] / (1 - at_peak["true_probability"])
        then = at_peak["true_probability_then"] / (1 - at_peak["true_probability_then"])
        np.testing.assert_allclose(then / odds, 1.4)
    mean = swing.groupby("time")["true_probability"].mean()
    assert mean[MONTHS[2]] > mean[MONTHS[8]]  # May against November


@pytest.mark.parametrize(
    ("name", "fault", "broken"),
    [
        ("telco", {"kind": "unit_change", "column": "monthly_charges", "factor": 100}, lambda v: v * 100),
        ("telco", {"kind": "unit_change", "column": "tenure", "factor": 1 / 12}, lambda v: np.rint(v / 12)),
        (
            "telco",
            {"kind": "renamed_category", "column": "contract", "value": "Month-to-month", "becomes": "Monthly"},
            lambda v: v.replace("Month-to-month", "Monthly"),
        ),
        ("saas", {"kind": "nulls", "column": "plan", "share": 1.0}, lambda v: v.where(v.isna(), None)),
        ("saas", {"kind": "nulls", "column": "seats", "share": 1.0}, lambda v: v * np.nan),
    ],
)
def test_a_broken_feed_changes_its_column_in_its_months_and_nothing_else(
    name: str, fault: dict[str, Any], broken: Any, telco: pd.DataFrame, saas: pd.DataFrame
) -> None:
    whole = {"telco": telco, "saas": saas}[name]
    expected = whole.copy()
    hit = whole["time"].between(MONTHS[3], MONTHS[4])
    column = fault["column"]
    expected[column] = whole[column].where(~hit, broken(whole[column]))
    actual = run(name, {"kind": "broken_feed", "month": 4, "months": 2, "fault": fault})
    pd.testing.assert_frame_equal(actual, expected, check_dtype=False)


def test_nulls_come_for_their_share_of_rows(telco: pd.DataFrame) -> None:
    fault = {"kind": "nulls", "column": "payment_method", "share": 0.3}
    actual = run("telco", {"kind": "broken_feed", "month": 2, "fault": fault})
    missing = actual["payment_method"].isna().groupby(actual["time"]).mean()
    assert missing[MONTHS[1]] == pytest.approx(0.3, abs=0.03)
    assert (missing.drop(MONTHS[1]) == 0).all()
    kept = actual["payment_method"].notna()
    assert (actual["payment_method"][kept] == telco["payment_method"][kept]).all()


def test_late_labels_become_known_days_later_for_their_share(telco: pd.DataFrame) -> None:
    late = run("telco", {"kind": "late_labels", "month": 3, "months": 2, "share": 0.5, "days": 40})
    pd.testing.assert_frame_equal(late.drop(columns="label_known_at"), telco)
    assert (late["label_known_at"].isna() == late["churn"].isna()).all()
    wait = (late["label_known_at"] - late["time"]).dropna().dt.days
    hit = late["time"].between(MONTHS[2], MONTHS[3])
    assert set(wait[~hit]) == {95}  # the window and the usual delay
    assert set(wait[hit]) == {95, 135}
    assert (wait[hit] == 135).mean() == pytest.approx(0.5, abs=0.05)


def test_late_rows_arrive_days_after_their_time_until_the_end(saas: pd.DataFrame) -> None:
    late = run("saas", {"kind": "late_arrivals", "month": 8, "share": 0.2, "days": 12})
    pd.testing.assert_frame_equal(late.drop(columns="arrived_at"), saas)
    wait = (late["arrived_at"] - late["time"]).dt.days
    share = (wait == 12).groupby(late["time"]).mean()
    assert set(wait) == {0, 12}
    assert (share[MONTHS[:7]] == 0).all()
    assert np.allclose(share[MONTHS[7:]], 0.2, atol=0.03)
