"""The control group: stable, never contacted, and as valuable as the contacted."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from churn.campaign.plan import Plan
from tests.fakes.data.campaigns import ENTITY, batch, contacted, listed, many, planned, regions_of


def values(plan: Plan, group: str) -> list[float]:
    return [row["expected_value"] for row in listed(plan).to_pylist() if row["group"] == group]


@pytest.mark.parametrize("limits", [{}, {"capacity": 60}, {"budget": 400.0}, {"capacity": 60, "budget": 350.0}])
def test_it_holds_those_whose_value_would_have_got_them_on_the_list(limits: dict[str, float]) -> None:
    predictions = many(2000)
    plan = planned(predictions, control_share=0.3, **limits)
    without = planned(predictions, **limits)
    group, listed = set(contacted(plan, "control")), set(contacted(plan))
    assert group
    assert not group & listed
    assert min(values(plan, "control")) > 0
    if "budget" not in limits:
        assert min(values(plan, "control")) >= min(values(plan, "treatment"))
    # Were there no control group, its better part would be contacted and push out the least of the list.
    assert set(contacted(without)) <= group | listed
    share = len(group) / len(group | listed)
    assert share == pytest.approx(0.3, abs=0.08)


def test_it_is_the_same_in_every_campaign_with_the_same_salt() -> None:
    control = {seed: set(contacted(planned(many(seed=seed), control_share=0.2), "control")) for seed in (1, 2)}
    listed = {seed: set(contacted(planned(many(seed=seed), control_share=0.2))) for seed in (1, 2)}
    assert not control[1] & listed[2]
    assert not control[2] & listed[1]
    salted = planned(many(seed=1), control_share=0.2, salt="next year")
    assert control[1] & set(contacted(salted))


def test_it_grows_with_its_share_and_keeps_who_was_in_it() -> None:
    groups = [set(contacted(planned(many(), control_share=share), "control")) for share in (0, 0.1, 0.3, 0.5)]
    assert groups[0] == set()
    assert all(small < large for small, large in pairwise(groups))


def test_it_rests_as_the_contacted_do() -> None:
    first = planned(many(batch_id="before"), control_share=0.3)
    again = planned(many(batch_id="now"), control_share=0.3, contacted=listed(first))
    assert listed(first).num_rows > 0
    assert listed(again).num_rows == 0


def test_it_is_listed_after_the_contacted_without_a_rank() -> None:
    rows = listed(planned(many(), control_share=0.3)).to_pylist()
    groups = [row["group"] for row in rows]
    assert groups == sorted(groups, reverse=True)
    assert {row["rank"] is None for row in rows if row["group"] == "control"} == {True}
    assert [row["rank"] for row in rows if row["group"] == "treatment"] == list(range(1, groups.count("treatment") + 1))


def test_there_is_none_where_nobody_may_be_contacted() -> None:
    regions = regions_of(["north", "south"] * 250)
    plan = planned(many(), control_share=0.3, regions=regions, segments={"region": {"north": {"capacity": 0}}})
    north = {row[ENTITY] for row in regions.to_pylist() if row["region"] == "north"}
    assert not north & {*contacted(plan), *contacted(plan, "control")}
    assert contacted(plan, "control")
    assert listed(planned(many(), control_share=0.3, capacity=0)).num_rows == 0


def test_what_it_can_show_depends_on_its_size() -> None:
    risk = np.full(4000, 0.5)
    small, large = (planned(batch(risk), control_share=share).campaign.control for share in (0.02, 0.5))
    assert small.expected_drop == large.expected_drop == pytest.approx(0.15)
    assert large.detectable_drop is not None
    assert small.detectable_drop is not None
    # 2.8 standard errors of a difference of shares, here of two halves of 4,000 at 50 %.
    assert large.detectable_drop == pytest.approx(2.8 * np.sqrt(0.25 * (2 / 2000)), rel=0.02)
    assert small.detectable_drop > 2 * large.detectable_drop
    assert planned(batch(risk)).campaign.control.detectable_drop is None
