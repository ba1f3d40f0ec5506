"""The page of a campaign: the sums first, what its interval covers, beside what else could be done, who and why."""

from __future__ import annotations

import re
from typing import Any

import pytest

from churn.campaign.campaign import Campaign, ControlComparison
from churn.model.money import MoneySettings
from reports.campaign_report import campaign_headline, campaign_page, campaign_sections
from reports.page import Callout, Card, Cards, Section, Table, Text
from tests.fakes.data.campaigns import batch, campaign, many, planned

pytestmark = pytest.mark.slow


def section(of: Campaign, title: str) -> Section:
    return next(each for each in campaign_sections(of) if each.title == title)


def words(part: Section) -> str:
    return " ".join(block.text for block in part.blocks if isinstance(block, Text | Callout))


def table(part: Section) -> list[dict[str, Any]]:
    (found,) = [block for block in part.blocks if isinstance(block, Table)]
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


@pytest.fixture(scope="module")
def whole() -> Campaign:
    return campaign()


def test_the_headline_says_what_it_earns_and_costs(whole: Campaign) -> None:
    plan = whole.plan
    assert campaign_headline(whole).startswith(
        f"Contacting {plan.contacts:,} of 500 customers is expected to earn {plan.profit.point:,.0f} USD "
        f"({plan.profit.lower:,.0f} to {plan.profit.upper:,.0f}) at a cost of {plan.cost.point:,.0f} USD"
    )


@pytest.mark.parametrize(
    ("options", "ending"),
    [
        ({"capacity": 50}, r"by probability alone would earn \d+(,\d+)? USD less\."),
        ({}, r"by probability alone would earn [\d,.]+ USD less\."),
    ],
)
def test_it_is_held_against_a_list_by_probability(options: dict[str, Any], ending: str) -> None:
    assert re.search(ending, campaign_headline(planned(many(), **options).campaign))


def test_where_customers_are_worth_alike_the_lists_are_the_same() -> None:
    text = campaign_headline(planned(batch([0.9, 0.8, 0.3]), capacity=2).campaign)
    assert text.endswith("As many contacts chosen by probability alone would earn the same.")


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (planned(batch([])), "the batch has no customers."),
        (planned(batch([0.01, 0.02])), "none of 2 customers is expected to be worth the cost."),
        (
            planned(batch([0.9, 0.9]), capacity=0),
            "2 customers are worth it; the limits, the control group and the rest",
        ),
    ],
)
def test_a_campaign_of_nobody_says_why(made: Any, why: str) -> None:
    assert campaign_headline(made.campaign).startswith(f"Nobody is contacted: {why}")
    assert f'<p class="callout warn">{why[:10].capitalize()}' in campaign_page(made.campaign)


def test_the_cards_give_the_sums_and_the_most_it_can_cost(whole: Campaign) -> None:
    (cards,) = [block for block in section(whole, "The campaign").blocks if isinstance(block, Cards)]
    by_label: dict[str, Card] = {card.label: card for card in cards.cards}
    assert by_label["contacts"].value == whole.plan.contacts
    assert f"{11 * whole.plan.contacts:,} USD if everybody takes it" in by_label["expected cost"].note


def test_it_says_what_the_interval_covers_and_what_not(whole: Campaign) -> None:
    text = words(section(whole, "The campaign"))
    assert "covers chance: who churns, who of them accepts, and the acceptance rate itself (30% on average" in text
    assert "does not cover a model that errs" in text


def test_every_other_way_stands_beside_it(whole: Campaign) -> None:
    rows = table(section(whole, "What else could be done"))
    assert [row["who is treated"] for row in rows] == [
        "this campaign",
        "all whose expected value is above 0",
        "as many as this campaign, by probability",
        "the riskiest tenth",
        "probability of 50% or more",
        "everybody",
        "nobody",
    ]
    assert rows[0]["beside this campaign"] == "0"
    assert rows[-1]["beside this campaign"] == f"{-whole.plan.profit.point:,.0f}"


def test_the_limits_say_what_more_would_earn(whole: Campaign) -> None:
    text = words(section(whole, "Limits"))
    assert re.search(
        r"The next 1,000 USD of budget would earn [\d,.]+ USD more, for [\d,.]+ USD and \+\d+ contacts", text
    )
    assert "The next 100 contacts would earn nothing: something else than the capacity is the limit." in text
    assert "Within capacity 120 contacts and budget 700 USD, no other choice" in text
    (row,) = table(section(whole, "Limits"))
    assert (row["segment"], row["budget"]) == ("region: north", "300.00")


def test_a_campaign_without_limits_has_no_page_of_them() -> None:
    assert "Limits" not in [each.title for each in campaign_sections(planned(many()).campaign)]


def test_the_control_group_is_explained_and_its_size_judged(whole: Campaign) -> None:
    text = words(section(whole, "Control group"))
    assert "20.0% of the customers are never contacted, drawn by a hash of their id before anything is ranked" in text
    assert "is too small to show that in this campaign alone: add up several campaigns" in text
    large = ControlComparison(customers=900, never_contacted=950, profit=1.0, expected_drop=0.15, detectable_drop=0.05)
    enough = whole.model_copy(update={"control": large})
    assert "fall by 15.0 percentage points; the two groups would show a fall of 5.0 percentage points or more" in words(
        section(enough, "Control group")
    )
    assert "is large enough to show that." in words(section(enough, "Control group"))
    assert "There is none" in words(section(planned(many()).campaign, "Control group"))


def test_the_first_of_the_list_come_with_their_reasons(whole: Campaign) -> None:
    rows = table(section(whole, "Who and why"))
    assert (rows[0]["rank"], rows[0]["customer"]) == (1, whole.first[0].customer)
    assert rows[0]["why"].startswith("months as a customer: ")
    assert len(rows) == 25


def test_economics_that_have_changed_are_told() -> None:
    import pyarrow as pa

    predictions = batch([0.9, 0.2], decision=pa.array(["treat", "treat"]))
    found = planned(predictions, money=MoneySettings(contact_cost=20)).campaign
    assert "1 customers are decided otherwise here than in the predictions" in words(section(found, "The campaign"))


def test_the_page_is_one_file_that_loads_nothing_and_runs_nothing(whole: Campaign) -> None:
    html = campaign_page(whole)
    assert re.findall(r"""\b(?:src|href)=["'](?!#)[^"']*""", html) == []
    hostile = planned(batch([0.9], ids=["<script>alert(1)</script>"])).campaign
    assert "<script" not in campaign_page(hostile)
    assert campaign_page(whole) == html
