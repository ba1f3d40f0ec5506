"""What a campaign must do, whatever the formulas: more budget never earns less, control customers are left alone …"""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from churn.campaign.plan import Plan
from churn.model.money import MoneySettings
from tests.fakes.data.campaigns import AS_OF, contacted, listed, many, planned


def earned(plan: Plan) -> float:
    return plan.campaign.plan.profit.point


def test_more_budget_never_earns_less() -> None:
    predictions = many(300)
    profits = [earned(planned(predictions, budget=float(budget))) for budget in range(0, 2400, 50)]
    assert np.all(np.diff(profits) >= -1e-9)
    assert profits[-1] == pytest.approx(earned(planned(predictions)))


def test_more_capacity_never_earns_less() -> None:
    profits = [earned(planned(many(300), capacity=capacity)) for capacity in range(0, 300, 10)]
    assert np.all(np.diff(profits) >= -1e-9)
    assert profits[0] == 0 < profits[1]


def test_each_further_contact_earns_no_more_than_the_one_before() -> None:
    profits = [earned(planned(many(100), capacity=capacity)) for capacity in range(40)]
    assert np.all(np.diff(profits, 2) <= 1e-9)


def test_a_limit_never_earns_more_than_none() -> None:
    free = earned(planned(many()))
    assert free > earned(planned(many(), capacity=50))
    assert free > earned(planned(many(), budget=300))
    assert free > earned(planned(many(), control_share=0.2))


def test_a_customer_in_the_control_group_is_never_contacted() -> None:
    never = {f"c{number:04d}" for number in range(500)} - set(contacted(planned(many(), control_share=0.2)))
    control = set(contacted(planned(many(), control_share=0.2), "control"))
    assert control <= never
    for seed in range(5):
        for limits in ({}, {"capacity": 30}, {"budget": 200.0}):
            assert not control & set(contacted(planned(many(seed=seed), control_share=0.2, **limits)))


def test_a_customer_contacted_yesterday_rests() -> None:
    yesterday = planned(many(batch_id="yesterday"), as_of=AS_OF - dt.timedelta(days=1))
    today = planned(many(batch_id="today"), contacted=listed(yesterday), rest_days=7)
    assert contacted(yesterday)
    assert contacted(today) == []


def test_a_customer_contacted_long_ago_is_contacted_again() -> None:
    long_ago = planned(many(batch_id="long-ago"), as_of=AS_OF - dt.timedelta(days=90))
    today = planned(many(batch_id="today"), contacted=listed(long_ago), rest_days=30)
    assert contacted(today) == contacted(long_ago)


def test_a_dearer_offer_reaches_fewer() -> None:
    reached = [planned(many(), money=MoneySettings(incentive_cost=cost)).campaign.plan.contacts for cost in (1, 10, 40)]
    assert reached[0] > reached[1] > reached[2] > 0


def test_a_customer_who_is_worth_more_is_not_passed_over_for_one_who_is_worth_less() -> None:
    plan = listed(planned(many(), capacity=40)).to_pylist()
    values = [row["expected_value"] for row in plan]
    assert values == sorted(values, reverse=True)
    assert min(values) > 0


def test_the_campaign_earns_at_least_what_the_habitual_lists_earn_at_the_same_length() -> None:
    for seed in range(5):
        predictions = many(seed=seed)
        campaign = planned(predictions, capacity=50).campaign
        as_many = next(choice for choice in campaign.choices if choice.id == "by_probability")
        assert campaign.plan.contacts == as_many.contacts
        assert campaign.plan.profit.point > as_many.profit.point


def test_nothing_of_it_is_left_to_chance() -> None:
    shuffled = many().take(np.random.default_rng(3).permutation(500))
    one, other = (planned(each, capacity=40, control_share=0.2) for each in (many(), shuffled))
    assert one.campaign == other.campaign
    assert listed(one).equals(listed(other))
