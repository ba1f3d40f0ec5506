"""What a report says about an evaluation, and about the money."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from churn.core.estimate import Estimate
from churn.evaluation.evaluate import Evaluation, EvaluationSettings, evaluate
from churn.evaluation.headline import headline
from churn.model.money import MoneySettings
from reports.evaluation_report import evaluation_sections, money_section
from reports.page import Callout, Cards, Section, Table, Text, page
from tests.fakes.data.predictions import predictions

pytestmark = pytest.mark.slow

MONEY = MoneySettings()
SAMPLE = predictions(1500)


def evaluated(**changes: Any) -> Evaluation:
    given: dict[str, Any] = {
        "label": SAMPLE.label,
        "probability": SAMPLE.probability,
        "entity": SAMPLE.entity,
        "thresholds": {"f1": 0.35},
        "money": MONEY,
        "value": 200.0,
        "slices": {"plan": np.where(np.arange(1500) < 30, "rare", "usual")},
        "settings": EvaluationSettings(resamples=100),
        "seed": 1,
    }
    return evaluate(**given | changes)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluated(truth=SAMPLE.truth)


@pytest.fixture(scope="module")
def sections(evaluation: Evaluation) -> tuple[Section, ...]:
    return evaluation_sections(evaluation)


def with_metric(evaluation: Evaluation, name: str, lower: float, point: float, upper: float) -> Evaluation:
    changed = Estimate(point=point, lower=lower, upper=upper, se=0.1)
    return evaluation.model_copy(update={"metrics": evaluation.metrics | {name: changed}})


def block_of(sections: tuple[Section, ...], title: str, kind: type) -> Any:
    section = next(section for section in sections if section.title == title)
    return next(block for block in section.blocks if isinstance(block, kind))


def test_the_headline_says_whom_to_treat_and_what_that_earns(evaluation: Evaluation) -> None:
    campaign = evaluation.campaign
    said = headline(evaluation)
    assert f"the {campaign.treated:,} of 1,500 customers whose churn probability is above 16.4%" in said
    profit = evaluation.metrics["profit_per_customer"]
    earned = f"would have earned {1000 * profit.point:,.0f} USD per 1,000 customers ({1000 * profit.lower:,.0f} to "
    assert earned in said


@pytest.mark.parametrize(
    ("lower", "upper", "verdict"),
    [(0.1, 2.0, r"\) less\.$"), (-0.1, 2.0, "no different within the margin of error"), (-2.0, -0.1, "which is more")],
)
def test_the_headline_compares_with_treating_everybody(
    evaluation: Evaluation, lower: float, upper: float, verdict: str
) -> None:
    assert re.search(verdict, headline(with_metric(evaluation, "profit_over_all", lower, (lower + upper) / 2, upper)))


def test_the_headline_says_when_nobody_or_everybody_is_treated() -> None:
    assert headline(evaluated(value=5.0)).startswith("Nobody is worth treating: none of 1,500 customers")
    assert headline(evaluated(value=1e6)).startswith("Treating all 1,500 customers would have earned")


def test_the_headline_speaks_of_records_where_customers_have_several() -> None:
    assert "of 1,500 customer-months whose" in headline(evaluated(entity=SAMPLE.entity[np.arange(1500) // 2]))


def test_the_headline_gives_the_range_of_break_evens() -> None:
    value = np.where(np.arange(1500) % 2, 100.0, 1000.0)
    assert "their own break-even (3.6% to 29.7%, by what each is worth)" in headline(evaluated(value=value))


def test_the_money_section_has_every_way_to_decide(evaluation: Evaluation) -> None:
    table = block_of((money_section(evaluation),), "Money", Table)
    rules = ["expected value above 0", "from 35.0%, the F1 threshold", "everybody", "nobody"]
    assert [row[0] for row in table.rows] == rules
    assert not [head for head in table.columns if "cost" in head]
    profit = evaluation.metrics["profit_per_customer"]
    assert table.rows[0][5] == f"{profit.point:.2f} ({profit.lower:.2f} to {profit.upper:.2f})"


def test_the_economics_are_put_in_words(evaluation: Evaluation) -> None:
    lead = money_section(evaluation).lead
    assert "worth 200 USD. An accepted offer costs 10 USD, a contact 1 USD, and 30% of churners accept" in lead
    by_revenue = MoneySettings.model_validate({"customer_value": {"margin": 0.3, "months": 24}})
    other = evaluation.model_copy(update={"money": by_revenue})
    assert "30% of the monthly revenue for 24 months (200 USD where" in money_section(other).lead


def test_the_cost_matrix_is_shown_only_where_one_is_set() -> None:
    assert not [block for block in money_section(evaluated()).blocks if isinstance(block, Text)]
    own = MoneySettings.model_validate({"cost_matrix": {"tp": 900, "fp": -300, "fn": -1000, "tn": 0}})
    section = money_section(evaluated(money=own))
    assert "a churner missed -1,000 USD" in block_of((section,), "Money", Text).text
    table = block_of((section,), "Money", Table)
    assert "above 13.6%, the cost matrix" in [row[0] for row in table.rows]
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert "cost-matrix profit" in table.columns[-1]


def test_the_glance_warns_where_the_model_earns_no_more_than_treating_everybody(evaluation: Evaluation) -> None:
    def tone(lower: float) -> str:
        changed = with_metric(evaluation, "profit_over_all", lower, 1.0, 2.0)
        cards: Cards = block_of(evaluation_sections(changed), "At a glance", Cards)
        return cards.cards[0].tone

    assert (tone(0.01), tone(0.0)) == ("good", "warn")


def test_calibration_beyond_chance_is_a_warning(evaluation: Evaluation) -> None:
    limit = evaluation.calibration_noise.upper

    def callout(error: float) -> Callout:
        changed = with_metric(evaluation, "ece", 0.0, error, 0.3)
        found: Callout = block_of(evaluation_sections(changed), "Quality", Callout)
        return found

    assert callout(limit).tone == "good"
    beyond = callout(limit + 1e-6)
    assert beyond.tone == "warn"
    assert "calibrate the model" in beyond.text


def test_a_slice_that_was_skipped_says_why(sections: tuple[Section, ...]) -> None:
    table: Table = block_of(sections, "Groups of customers", Table)
    by_value = {row[1]: row for row in table.rows}
    assert by_value["rare"][4] == "fewer than 50 rows"
    assert re.fullmatch(r"0\.\d{3} \(0\.\d{3} to 0\.\d{3}\)", str(by_value["usual"][4]))


def test_the_truth_and_slices_are_sections_only_where_there_are_any(sections: tuple[Section, ...]) -> None:
    titles = [section.title for section in sections]
    assert titles == ["At a glance", "Money", "Quality", "Groups of customers", "Against the truth"]
    bare = evaluation_sections(evaluated(slices={}))
    assert [section.title for section in bare] == ["At a glance", "Money", "Quality"]


def test_an_evaluation_with_hardly_any_metric_still_makes_a_page() -> None:
    zero = evaluated(probability=np.zeros(1500), thresholds={})
    assert "Nobody is worth treating" in page("t", evaluation_sections(zero), lead=headline(zero))
