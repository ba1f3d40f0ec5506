"""From predictions to the list: order, groups, limits, rest, and what is refused."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from churn.campaign.candidates import expected_cost
from churn.core.errors import ContractError, DataError
from churn.model.money import MoneySettings, expected_value
from tests.fakes.data.campaigns import AS_OF, ENTITY, batch, contacted, listed, many, planned, regions_of

MONEY = MoneySettings()


def test_the_most_valuable_come_first_and_only_those_worth_a_contact() -> None:
    plan = planned(batch([0.05, 0.5, 0.9, 0.3], [900, 200, 200, 20]))
    rows = listed(plan).to_pylist()
    assert [(row[ENTITY], row["rank"]) for row in rows] == [("c0002", 1), ("c0001", 2), ("c0000", 3)]
    assert rows[0]["expected_value"] == pytest.approx(float(expected_value(0.9, 200, MONEY)))
    assert rows[0]["expected_cost"] == pytest.approx(float(expected_cost(np.array(0.9), MONEY)))
    assert rows[0]["reason_1"] == "months as a customer: 2 (strong)"
    assert (rows[0]["batch_id"], rows[0]["group"]) == ("b1", "treatment")
    assert rows[0]["contacted_at"] == rows[0]["planned_at"] == AS_OF
    assert plan.campaign.positive == plan.campaign.plan.contacts == 3
    assert plan.campaign.bound == pytest.approx(plan.campaign.plan.profit.point)


def test_a_customer_exactly_at_break_even_is_left_alone() -> None:
    money = MoneySettings.model_validate(
        {"incentive_cost": 0, "contact_cost": 30, "acceptance": {"alpha": 1, "beta": 1}}
    )
    assert float(expected_value(0.5, 120, money)) == 0
    assert contacted(planned(batch([0.5, 0.5], [120, 121]), money=money)) == ["c0001"]


def test_equals_are_ordered_by_their_ids_whatever_the_order_of_the_rows() -> None:
    ids = ["d", "a", "c", "b"]
    assert contacted(planned(batch([0.5] * 4, ids=ids), capacity=3)) == ["a", "b", "c"]
    assert contacted(planned(batch([0.5] * 4, ids=sorted(ids)), capacity=3)) == ["a", "b", "c"]


@pytest.mark.parametrize(("capacity", "reached"), [(0, 0), (1, 1), (4, 4), (5, 4), (10_000, 4)])
def test_a_capacity_is_never_exceeded_nor_left_unused(capacity: int, reached: int) -> None:
    assert planned(batch([0.5, 0.6, 0.7, 0.8, 0.01]), capacity=capacity).campaign.plan.contacts == reached


def test_a_budget_counts_what_is_expected_to_be_spent() -> None:
    costs = expected_cost(np.array([0.9, 0.5]), MONEY)
    predictions = batch([0.9, 0.5])
    assert planned(predictions, budget=float(costs.sum())).campaign.plan.contacts == 2
    assert planned(predictions, budget=float(costs.sum()) - 0.001).campaign.plan.contacts == 1
    assert planned(predictions, budget=0).campaign.plan.contacts == 0
    spent = planned(many(), budget=400).campaign.plan.cost.point
    assert 395 < spent <= 400


def test_segments_have_limits_of_their_own_and_the_others_only_the_overall_one() -> None:
    regions = regions_of(["north", "south", "north", None, "west", "south"])
    segments = {"region": {"north": {"capacity": 1}, "south": {"budget": 8}}}
    plan = planned(batch([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), regions=regions, segments=segments)
    assert contacted(plan) == ["c0000", "c0001", "c0003", "c0004"]
    north, south = plan.campaign.segments
    assert (north.value, north.customers, north.contacts) == ("north", 2, 1)
    assert (south.value, south.customers, south.contacts) == ("south", 2, 1)
    assert south.cost == pytest.approx(float(expected_cost(np.array(0.8), MONEY)))
    assert contacted(planned(batch([0.9] * 6), regions=regions, segments=segments, capacity=2)) == ["c0000", "c0001"]


def test_a_segment_that_nobody_is_in_is_told_and_one_that_is_no_column_refused() -> None:
    regions = regions_of(["north", "south"])
    plan = planned(batch([0.9, 0.9]), regions=regions, segments={"region": {"nort": {"capacity": 0}}})
    assert plan.campaign.notes == ("No customer has region 'nort', which has limits; did you mean 'north'?",)
    assert plan.campaign.plan.contacts == 2
    for given in ({"regions": regions}, {}):
        with pytest.raises(ContractError, match=r"`campaign\.segments` limits 'regio', which no column"):
            planned(batch([0.9, 0.9]), segments={"regio": {"north": {}}}, **given)
    twice = pa.concat_tables([regions, regions])
    with pytest.raises(DataError, match="Customer 'c0000' is in two rows of the segments"):
        planned(batch([0.9, 0.9]), regions=twice, segments={"region": {"north": {}}})


def test_numbers_are_segments_too() -> None:
    regions = regions_of(["", ""]).append_column("tier", pa.array([1, 2], pa.int64()))
    plan = planned(batch([0.9, 0.9]), regions=regions, segments={"tier": {"1": {"capacity": 0}}})
    assert contacted(plan) == ["c0001"]


def test_a_row_without_a_number_is_named() -> None:
    with pytest.raises(DataError, match=r"1 of 3 predictions have no probability .* row 1, customer 'c0001', with nan"):
        planned(batch([0.5, np.nan, 0.2]))
    with pytest.raises(DataError, match=r"no probability that is between 0 and 1; the first is row 2, .* with 1\.5"):
        planned(batch([0.5, 1.0, 1.5]))
    with pytest.raises(
        DataError, match=r"no customer_value that is a finite amount.* row 0, customer 'c0000', with inf"
    ):
        planned(batch([0.5, 0.5], [np.inf, 1]))


def test_customers_in_two_rows_or_none_are_refused() -> None:
    with pytest.raises(DataError, match=r"Customer 'a' is in several rows .*\(2 row\(s\) too many\)"):
        planned(batch([0.5] * 4, ids=["a", "b", "a", "a"]))
    with pytest.raises(DataError, match="Row 1 of the predictions names no customer"):
        planned(batch([0.5, 0.5], ids=["a", None]))  # type: ignore[list-item]


def test_other_tables_are_refused() -> None:
    with pytest.raises(ContractError, match="no column 'probability'; did you mean 'probabilities'"):
        planned(batch([0.5]).rename_columns({"probability": "probabilities"}))


def test_a_negative_value_counts_as_zero_and_is_said() -> None:
    plan = planned(batch([0.9, 0.9, 0.9], [-36.0, 200.0, -0.01]))
    assert contacted(plan) == ["c0001"]
    (note,) = plan.campaign.notes
    assert note.startswith("2 customers have a customer value below 0")
    assert planned(batch([0.9], [0.0])).campaign.notes == ()


def test_a_batch_without_customers_gives_an_empty_campaign() -> None:
    plan = planned(batch([]), capacity=10, budget=10, control_share=0.2)
    assert (listed(plan).num_rows, plan.campaign.customers, plan.campaign.plan.profit.point) == (
        0,
        0,
        0,
    )


def test_those_of_other_batches_rest_until_the_day_is_over() -> None:
    first = planned(batch([0.9, 0.8], batch_id="before"), as_of=AS_OF - dt.timedelta(days=30))
    again = batch([0.9, 0.8, 0.7], batch_id="now")
    assert contacted(planned(again, contacted=listed(first), rest_days=30)) == [
        "c0000",
        "c0001",
        "c0002",
    ]
    resting = planned(again, contacted=listed(first), rest_days=31)
    assert (contacted(resting), resting.campaign.in_cooldown) == (["c0002"], 2)
    assert contacted(planned(again, contacted=listed(first), rest_days=0)) == [
        "c0000",
        "c0001",
        "c0002",
    ]


def test_planning_a_batch_again_changes_nothing() -> None:
    predictions = many()
    first = planned(predictions, capacity=50, control_share=0.2)
    again = planned(predictions, capacity=50, control_share=0.2, contacted=listed(first))
    assert again.campaign == first.campaign
    assert listed(again).equals(listed(first))


def test_rest_counts_from_the_day_of_planning_and_not_from_the_time_of_the_data() -> None:
    """On a dated snapshot the data's time stands still while days pass."""
    first = planned(batch([0.9, 0.8], batch_id="before"), planned_at=AS_OF)
    again = batch([0.9, 0.8], batch_id="now")
    soon = planned(again, contacted=listed(first), planned_at=AS_OF + dt.timedelta(days=89))
    later = planned(again, contacted=listed(first), planned_at=AS_OF + dt.timedelta(days=90))
    assert (contacted(soon), contacted(later)) == ([], ["c0000", "c0001"]), "the outcome window is the default"
    assert soon.campaign.settings.rest_days == 90


def test_contacts_of_a_version_without_the_day_of_planning_rest_from_the_time_of_their_data() -> None:
    first = planned(batch([0.9], batch_id="before"), as_of=AS_OF - dt.timedelta(days=29))
    old = listed(first).drop_columns(["planned_at"])
    nulls = listed(first).set_column(
        listed(first).column_names.index("planned_at"),
        "planned_at",
        pa.nulls(1, pa.timestamp("us", "UTC")),
    )
    for contacts in (old, nulls):
        assert contacted(planned(batch([0.9], batch_id="now"), contacted=contacts)) == []
        assert contacted(planned(batch([0.9], batch_id="now"), contacted=contacts, rest_days=29)) == ["c0000"]


def test_other_economics_than_those_of_the_predictions_are_used_and_told() -> None:
    decision = pa.array(["treat", "treat", "leave"])
    predictions = batch([0.9, 0.2, 0.1], decision=decision)
    assert planned(predictions).campaign.repriced == 0
    dear = planned(predictions, money=MoneySettings(contact_cost=20))
    assert (dear.campaign.repriced, contacted(dear)) == (1, ["c0000"])


def test_the_campaign_is_held_against_the_other_ways_to_choose() -> None:
    plan = planned(many(), capacity=50).campaign
    probability, value = (many()[name].to_numpy() for name in ("probability", "customer_value"))
    worth = expected_value(probability, value, MONEY)
    riskiest = worth[np.argsort(-probability)]
    earned = {choice.name: (choice.contacts, choice.profit.point) for choice in plan.choices}
    assert list(earned.values()) == [
        (np.sum(worth > 0), pytest.approx(worth[worth > 0].sum())),
        (50, pytest.approx(riskiest[:50].sum())),
        (50, pytest.approx(riskiest[:50].sum())),  # of 500 customers a tenth
        (np.sum(probability >= 0.5), pytest.approx(worth[probability >= 0.5].sum())),
        (500, pytest.approx(worth.sum())),
        (0, 0),
    ]
    assert plan.plan.profit.point == pytest.approx(np.sort(worth)[-50:].sum())


def test_the_curve_goes_from_nobody_to_everybody_and_through_the_best_point() -> None:
    plan = planned(many())
    curve = plan.campaign.curve
    assert curve[0] == (0, 0.0, 0.0)
    assert curve[-1][0] == 500
    assert max(profit for _, profit, _ in curve) == pytest.approx(plan.campaign.plan.profit.point, rel=0.001)


def test_what_a_wider_limit_would_add_is_what_the_wider_campaign_earns() -> None:
    plan = planned(many(), budget=500)
    (marginal,) = plan.campaign.marginal
    wider = planned(many(), budget=1500).campaign.plan
    assert (marginal.limit, marginal.extra, marginal.contacts) == (
        "budget",
        1000,
        wider.contacts - plan.campaign.plan.contacts,
    )
    assert marginal.profit == pytest.approx(wider.profit.point - plan.campaign.plan.profit.point)
    (unused,) = planned(many(), capacity=10_000).campaign.marginal
    assert (unused.limit, unused.contacts, unused.profit) == ("capacity", 0, 0)
    assert planned(many()).campaign.marginal == ()
