"""The page of a campaign: the sums first, what its interval covers, beside what else could be done, who and why."""

from __future__ import annotations

import re
from typing import Any

import pytest

from churn.campaign.campaign import Campaign, ControlComparison
from churn.model.money import MoneySettings
from reports.campaign_report import campaign_headline, campaign_page, campaign_sections
from reports.page import Callout, Card, Cards, Figure, Section, Step, Steps, Table, Text
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
    assert rows[0]["against this campaign"] == "0"
    assert rows[-1]["against this campaign"] == f"{-whole.plan.profit.point:,.0f}"


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
    rows = table(section(whole, "Who is on the list, and why"))
    assert (rows[0]["rank"], rows[0]["customer"]) == (1, whole.first[0].customer)
    assert re.fullmatch(r"months as a customer: \d+ \(strong\)", rows[0]["why"])
    assert len(rows) == 10


def steps(of: Campaign, *, beside: bool = True) -> list[Step]:
    first = campaign_sections(of, beside=beside)[0]
    assert first.title == "Do this"
    return [step for block in first.blocks if isinstance(block, Steps) for step in block.steps]


def test_it_begins_with_what_to_do_by_when(whole: Campaign) -> None:
    hand_over, offer, leave, measure = steps(whole)
    assert hand_over.links == {"b1.csv": "b1.csv"}
    assert hand_over.text.startswith("90 customers, those who are worth most first. Contact them before 2025-08-30:")
    assert "An incentive that costs 10 USD where it is taken, by a contact that costs 1 USD" in offer.text
    assert leave.links == {"b1.control.csv": "b1.control.csv"}
    assert "24 customers get no offer from anybody before 2025-08-30" in leave.text
    assert measure.what == "Measure from 2025-08-30 on."
    assert "python run.py --pipeline features" in measure.text
    assert measure.command == "python run.py campaign effect b1"


@pytest.mark.parametrize(("dataset", "option"), [("saas", "saas"), ("/data/my gym.yaml", "'/data/my gym.yaml'")])
def test_its_commands_name_the_data_set_whichever_is_remembered_when_they_are_typed(
    whole: Campaign, dataset: str, option: str
) -> None:
    measure = steps(whole.model_copy(update={"dataset": dataset}))[-1]
    assert measure.command == f"python run.py campaign effect b1 --dataset {option}"
    assert f"python run.py --pipeline features --dataset {option}, with --data FILE" in measure.text


def test_where_the_lists_do_not_lie_beside_the_page_their_place_is_named(whole: Campaign) -> None:
    hand_over, _, leave, _ = steps(whole, beside=False)
    assert not hand_over.links
    assert hand_over.text.endswith("The file is campaigns/b1.csv in the state folder.")
    assert leave.text.endswith("The file is campaigns/b1.control.csv in the state folder.")


def test_without_a_control_group_there_is_nothing_to_measure_and_with_parquet_the_links_say_so() -> None:
    found = steps(planned(many(), format="parquet", rest_days=0).campaign)
    assert [step.what for step in found][2:] == ["Leave everybody else alone."]
    assert found[0].links == {"b1.parquet": "b1.parquet"}
    assert "Contact them before 2025-08-30: from then on they have left or stayed." in found[0].text


def test_a_campaign_of_nobody_asks_for_nothing() -> None:
    assert steps(campaign(capacity=0)) == []


def test_who_is_on_the_list_is_a_picture_of_two_columns(whole: Campaign) -> None:
    (figure,) = (b for b in section(whole, "Who is on the list, and why").blocks if isinstance(b, Figure))
    assert whole.audience is not None
    assert {whole.audience.down, whole.audience.across} == {"contract", "months as a customer"}
    assert 'aria-label="Which share of them is on the list"' in figure.svg
    assert "of the list are customers with months as a customer" in figure.caption
    assert "Month-to-month" in figure.svg


def test_the_money_is_a_waterfall_that_adds_up(whole: Campaign) -> None:
    parts = whole.parts
    assert parts.saved > 0 > max(parts.contacts, parts.churners, parts.stayers)
    total = parts.saved + parts.contacts + parts.churners + parts.stayers
    assert total == pytest.approx(whole.plan.profit.point)
    (figure,) = (b for b in section(whole, "The campaign").blocks if isinstance(b, Figure))
    for words in ("saved customers", "contacts", "incentives to churners", "incentives to stayers"):
        assert words in figure.svg


def test_it_says_what_became_of_those_who_are_worth_a_contact(whole: Campaign) -> None:
    (cards,) = [block for block in section(whole, "The campaign").blocks if isinstance(block, Cards)]
    (note,) = (card.note for card in cards.cards if card.label == "contacts")
    assert re.fullmatch(r"of \d+ worth one among 500; 24 in the control group, \d+ beyond the limits", note)


def test_economics_that_have_changed_are_told() -> None:
    import pyarrow as pa

    predictions = batch([0.9, 0.2], decision=pa.array(["treat", "treat"]))
    found = planned(predictions, money=MoneySettings(contact_cost=20)).campaign
    assert "1 customers are decided otherwise here than in the predictions" in words(section(found, "The campaign"))


def test_the_page_is_one_file_that_loads_nothing_and_runs_nothing(whole: Campaign) -> None:
    html = campaign_page(whole)
    assert re.findall(r"""\b(?:src|href)=["'](?!#)([^"']*)""", html) == ["b1.csv", "b1.control.csv"]
    hostile = planned(batch([0.9], ids=["<script>alert(1)</script>"])).campaign
    assert "<script" not in campaign_page(hostile)
    assert campaign_page(whole) == html
