"""A company whose campaigns change who stays: effect, pairing, deliveries, faults of the feed, copies."""

from __future__ import annotations

import datetime as dt

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from churn.core.errors import ConfigError
from churn.simulation.company import Company, Passed
from churn.simulation.events import BrokenFeed, Event, LateLabels, UnitChange
from churn.simulation.scenarios import SCENARIOS, new_values, scenario_events
from churn.simulation.simulate import SIMULATORS, SimulationSettings

CUSTOMERS = 500


def company(*events: Event, acceptance: float = 0.3, months: int = 6, history: int = 4) -> Company:
    settings = SimulationSettings(customers=CUSTOMERS, months=history, events=events, seed=3)
    return Company.founded("telco", settings, acceptance=acceptance, months=months)


def nobody() -> npt.NDArray[np.bool_]:
    return np.zeros(CUSTOMERS, dtype=bool)


def everybody() -> npt.NDArray[np.bool_]:
    return np.ones(CUSTOMERS, dtype=bool)


def test_whoever_accepts_stays_for_the_outcome_window_and_leaves_as_before_afterwards() -> None:
    made = company(acceptance=1.0)
    months = [made.pass_month(everybody() if month == 0 else nobody()) for month in range(5)]
    assert [int(month.left.sum()) > 0 for month in months] == [False, False, False, True, True]
    assert sum(month.kept.sum() for month in months[:3]) > 0
    assert not months[3].kept.any()


def test_a_customer_is_kept_once_by_a_contact() -> None:
    made = company(acceptance=1.0)
    kept = np.sum([made.pass_month(everybody() if month == 0 else nobody()).kept for month in range(3)], axis=0)
    assert set(kept) == {0, 1}


def test_nobody_stays_by_a_contact_that_nobody_accepts() -> None:
    contacted, left_alone = company(acceptance=0.0), company(acceptance=0.0)
    for _ in range(3):
        first, second = contacted.pass_month(everybody()), left_alone.pass_month(nobody())
        assert not first.kept.any()
        np.testing.assert_array_equal(first.left, second.left)


@pytest.mark.slow
def test_as_many_churners_stay_as_accept() -> None:
    settings = SimulationSettings(customers=8000, months=4)
    contacted, control = (Company.founded("telco", settings, acceptance=0.3, months=3) for _ in range(2))
    who = np.ones(8000, dtype=bool)
    left, would = np.zeros(8000, dtype=bool), np.zeros(8000, dtype=bool)
    for month in range(3):
        left |= contacted.pass_month(who if month == 0 else ~who).left & ~left
        would |= control.pass_month(~who).left
    assert 1 - left.sum() / would.sum() == pytest.approx(0.3, abs=0.04)


def test_a_contact_changes_nothing_in_other_places() -> None:
    contacted, left_alone = company(acceptance=1.0), company(acceptance=1.0)
    half = np.arange(CUSTOMERS) < CUSTOMERS // 2
    for month in range(5):
        first: Passed = contacted.pass_month(half & (month == 0))
        second = left_alone.pass_month(nobody())
        np.testing.assert_array_equal(first.left[~half], second.left[~half])
        np.testing.assert_array_equal(first.truth[~half], second.truth[~half])
    keys = [np.asarray(made.keys())[~half] for made in (contacted, left_alone)]
    np.testing.assert_array_equal(*keys)


def test_a_copy_lives_on_by_itself() -> None:
    made = company()
    made.delivery()
    twin = made.copied()
    made.pass_month(everybody())
    assert twin.now == dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
    assert made.now == dt.datetime(2026, 2, 1, 12, tzinfo=dt.UTC)
    twin.pass_month(everybody())
    assert made.delivery() == twin.delivery()


def test_the_first_delivery_is_the_past_and_every_other_one_what_is_new() -> None:
    made = company(history=8)
    first = made.delivery()
    assert first.num_rows == 9 * CUSTOMERS
    known = pc.sum(pc.is_valid(first["churn"])).as_py()
    assert known == 5 * CUSTOMERS, "of the months whose window closed 5 days ago or before"
    made.pass_month(nobody())
    second = made.delivery()
    assert times(second) == ["2025-10-01", "2026-02-01"]
    assert pc.sum(pc.is_valid(second["churn"])).as_py() == CUSTOMERS
    assert made.delivery().num_rows == 0


def times(rows: pa.Table) -> list[str]:
    return sorted({str(time)[:10] for time in rows["transaction_ts"].to_pylist()})


def test_an_outcome_is_what_the_campaign_left_of_it() -> None:
    made = company(acceptance=1.0, history=4)
    made.delivery()
    for month in range(4):
        made.pass_month(everybody() if month == 0 else nobody())
        rows = made.delivery()
    assert january(rows)["churn"].to_pylist() == ["No"] * CUSTOMERS


def january(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.equal(rows["transaction_ts"], pa.scalar(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))))


def test_late_outcomes_come_when_they_are_known_and_once() -> None:
    made = company(LateLabels(month=5, share=0.5, days=60), history=4)
    made.delivery()
    known: list[int] = []
    for _ in range(7):
        made.pass_month(nobody())
        known.append(pc.sum(pc.is_valid(january(made.delivery())["churn"])).as_py() or 0)
    assert sum(known) == CUSTOMERS
    assert known[:3] == [0, 0, 0]
    assert known[3] == pytest.approx(CUSTOMERS / 2, abs=50)
    assert known[5] == CUSTOMERS - known[3]


def test_a_broken_feed_stays_so_until_it_is_mended_and_its_rows_come_again() -> None:
    broken = BrokenFeed(month=5, months=3, fault=UnitChange(column="monthly_charges", factor=2))
    made, whole = company(broken), company()
    assert (made.broken, whole.broken) == (True, False)
    for each in (made, whole):
        each.delivery()
        each.pass_month(nobody())
    first, true = (each.delivery() for each in (made, whole))
    assert charges(first) == pytest.approx(2 * charges(true), rel=0.01)
    made.mend()
    assert not made.broken
    assert times(made.delivery()) == ["2026-01-01", "2026-02-01"]
    for each in (made, whole):
        each.pass_month(nobody())
    assert charges(made.delivery()) == pytest.approx(charges(whole.delivery()))


def charges(rows: pa.Table) -> float:
    newest = rows.filter(pc.equal(rows["transaction_ts"], pc.max(rows["transaction_ts"])))
    return float(pc.mean(newest["monthly_charges"]).as_py())


def test_a_row_is_the_same_whenever_it_is_delivered() -> None:
    broken = BrokenFeed(month=5, fault=UnitChange(column="monthly_charges", factor=2))
    made = company(broken)
    first = made.delivery()
    for _ in range(4):
        made.pass_month(nobody())
        again = made.delivery()
    assert january(again).drop(["churn"]) == january(first).drop(["churn"])


@pytest.mark.slow
@pytest.mark.parametrize("world", sorted(SIMULATORS))
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_can_be_lived_in_every_business(world: str, scenario: str) -> None:
    events = scenario_events(scenario, SIMULATORS[world], 5)
    settings = SimulationSettings(customers=50, months=4, events=events)
    made = Company.founded(world, settings, acceptance=0.3, months=12)
    for _ in range(12):
        made.delivery()
        made.pass_month(np.zeros(50, dtype=bool))


def test_an_unknown_scenario_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ConfigError, match=r"no scenario 'prise-rise': choose one of calm, .*did you mean 'price-rise'\?$"
    ):
        scenario_events("prise-rise", SIMULATORS["telco"], 1)


def test_the_names_of_new_products_are_known_before() -> None:
    assert new_values(scenario_events("new-product", SIMULATORS["telco"], 1)) == {
        "internet_service": "Fiber optic Plus"
    }
    assert new_values(scenario_events("calm", SIMULATORS["telco"], 1)) == {}
