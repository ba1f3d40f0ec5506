"""What campaigns changed, on a page and on a screen."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from reports.effect_report import acceptance_settings, effect_headline, effect_lines, effect_page
from tests.unit.campaign.test_effect import customers, effect

_ROWS = customers("3f2a", (1000, 150), (500, 150))
EFFECT = effect(
    _ROWS.assign(contract=np.where(np.arange(len(_ROWS)) % 2, "One year", "Two year")), segments=["contract"]
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("campaign", "told"),
    [
        (customers("b", (1000, 150), (500, 150)), "The campaign earned 20,500 USD"),
        (customers("b", (40_000, 12_000), (40_000, 12_000)), "The campaign lost money: 320,000 USD"),
        (customers("b", (3000, 750), (3000, 900), customer_value=180.0), "kept customers; whether that paid is open"),
        (customers("b", (60, 18), (20, 6)), "cannot show less than 33.3 pp"),
        (customers("b", (100, 10), (0, 0)), "had no control group"),
        (customers("b", (100, 10), (50, 5), churned=np.nan), "too early to tell"),
    ],
)
def test_the_headline_says_what_was_found_or_why_nothing_was(campaign: pd.DataFrame, told: str) -> None:
    found = effect(campaign)
    assert told in effect_headline(found)
    assert effect_headline(found) in re.sub("<[^>]+>", "", effect_page(found))
    assert effect_headline(found) in effect_lines(found)


def test_more_churn_among_the_contacted_is_called_a_rise() -> None:
    found = effect(customers("b", (100, 40), (100, 20)))
    assert "40.0% of the contacted churned and 20.0% of the control group, a rise of 20.0 pp (" in effect_headline(
        found
    )


def test_a_difference_of_several_campaigns_says_that_it_is_taken_within_each() -> None:
    both = pd.concat([customers("a", (100, 40), (50, 25)), customers("b", (50, 5), (100, 20))], ignore_index=True)
    assert "within each campaign." in effect_headline(effect(both))


def test_both_groups_and_the_money_are_on_the_page_and_on_the_screen() -> None:
    page, screen = effect_page(EFFECT), "\n".join(effect_lines(EFFECT))
    for text in ("1,000", "500", "30,000"):
        assert text in page
        assert text in screen
    assert "contract = One year" in page


def test_the_options_set_the_acceptance_that_was_found_and_apply_nothing_by_themselves() -> None:
    options = acceptance_settings(EFFECT)
    assert f"money.acceptance.alpha={EFFECT.acceptance.fitted.alpha:.2f}" in options
    assert options in effect_page(EFFECT)
    assert "changes no setting" in effect_page(EFFECT)


def test_outcomes_that_are_open_are_said() -> None:
    waiting = customers("b", (20, 0), (10, 0), first=5000, churned=np.nan)
    found = effect(pd.concat([_ROWS, waiting], ignore_index=True))
    assert "30 outcomes are not known. All were due by 2025-06-01 00:00 UTC: bring them" in "\n".join(
        effect_lines(found)
    )
