"""The page of a scored batch: how many, whom it leaves out and why, and whether these are customers the model knows."""

from __future__ import annotations

from typing import Any

import pytest

from churn.scoring.batch import BatchSummary
from reports.batch_report import batch_page, batch_sections
from reports.page import Callout, Card, Cards, Figure, Section
from tests.fakes.data.batches import feature_rows, summary_of

pytestmark = pytest.mark.slow

SHIFTED = feature_rows(300, contract=["Two year"] * 300)


def cards(summary: BatchSummary) -> dict[str, Card]:
    (found,) = (block for block in batch_sections(summary)[0].blocks if isinstance(block, Cards))
    return {card.label: card for card in found.cards}


def about_shift(summary: BatchSummary) -> Section | None:
    return next((part for part in batch_sections(summary) if part.title.startswith("Are these the customers")), None)


def of_kind(section: Section, kind: type) -> list[Any]:
    return [block for block in section.blocks if isinstance(block, kind)]


def test_the_title_is_how_many_and_the_lead_what_they_are_worth() -> None:
    summary = summary_of()
    html = batch_page(summary, next_command="python run.py ui")
    assert "<h1>30 customers scored</h1>" in html
    assert f"By churn_toy version 3: {summary.treated} are worth treating" in html


@pytest.mark.parametrize(("inactive", "lately"), [(0, 0), (7, 7), (90, 30), (90, None)])
def test_who_is_left_out_is_a_tile_with_the_reason(inactive: int, lately: int | None) -> None:
    card = cards(summary_of(inactive=inactive, lately_inactive=lately))["left out"]
    assert (card.value, card.tone) == (inactive, "plain")
    reason = "have left: their newest row is older than the newest of all by more than 90 days"
    assert card.note == (reason if inactive else "nobody")


def test_the_tile_asks_for_an_incomplete_delivery_where_more_left_at_once_than_stayed() -> None:
    card = cards(summary_of(inactive=31, lately_inactive=31))["left out"]
    assert card.tone == "warn"
    assert card.note.endswith("51% of those with a row in one outcome window: was a delivery incomplete?")


def test_a_batch_of_other_customers_says_what_has_shifted() -> None:
    summary = summary_of(400, judged_on=SHIFTED)
    section = about_shift(summary)
    assert section is not None
    (verdict,) = of_kind(section, Callout)
    assert verdict.tone == "warn"
    assert verdict.text.startswith(
        "The customers differ strongly from those the model was judged on: length of the contract "
    )
    assert "differ strongly from those the model was judged on.</p>" in batch_page(summary, next_command="x")
    assert len(of_kind(section, Figure)) == 4


def test_a_batch_of_the_same_customers_says_so() -> None:
    section = about_shift(summary_of(400, judged_on=feature_rows(400)))
    assert section is not None
    (verdict,) = of_kind(section, Callout)
    assert (verdict.tone, verdict.text[:22]) == ("good", "The customers are like")


def test_without_a_baseline_nothing_is_said_of_a_shift() -> None:
    assert about_shift(summary_of()) is None
