"""Why the model says what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn.evaluation.importance import Explanation, explain_rows
from churn.model.frame import columns_of
from churn.model.scorer import ReasonSettings, ScoringSettings
from reports.page import Figure, Table, page
from reports.training_report import explanation_section
from tests.fakes.data.findings import explanation
from tests.fakes.data.scorers import SCHEMA, customers, small_scorer

SCORER = small_scorer()
KINDS = {column.name: column.kind for column in SCHEMA.inputs}


def explained(rows: int, settings: ScoringSettings | None = None) -> Explanation:
    columns = SCORER.model.complete(columns_of(customers(rows), KINDS))
    return explain_rows(small_scorer(settings), columns, np.array([f"c{row}" for row in range(rows)]), seed=0)


def test_the_examples_are_the_customers_most_worth_treating() -> None:
    frame = customers(3)
    order = np.argsort(-SCORER.score(frame)["expected_value"].to_numpy())
    assert [example.customer for example in explanation().examples] == frame["customer_id"].iloc[order].tolist()
    assert len(explained(20).examples) == 8


def history(months: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return rows of 1,500 customers in the order of their keys, `months` each; the best are the last of all."""
    frame = customers(1500 * months)
    frame["monthly_charges"] = np.repeat(np.arange(1500) / 10 + 20, months)
    return SCORER.model.complete(columns_of(frame, KINDS)), np.repeat([f"c{row:04d}" for row in range(1500)], months)


def test_the_examples_are_found_among_all_rows_and_each_customer_stands_on_one_line() -> None:
    columns, customer = history(4)
    value = SCORER.score(columns, explain=False)["expected_value"].to_numpy()
    best = pd.Series(value).groupby(customer).max().nlargest(8)
    examples = explain_rows(SCORER, columns, customer, seed=0).examples
    assert len({example.customer for example in examples}) == 8
    assert [example.expected_value for example in examples] == pytest.approx(best.tolist())
    assert max(int(example.customer[1:]) for example in examples) > 500  # beyond the first 2,000 rows


def test_importance_is_that_of_customers_drawn_at_random_the_same_for_the_same_seed() -> None:
    columns, customer = history(4)
    first, again, other = (explain_rows(SCORER, columns, customer, seed=seed) for seed in (1, 1, 2))
    assert first.rows == 2000
    assert first.importance == again.importance != other.importance
    everybody = np.abs(SCORER.model.contributions(columns)[:, :-1]).mean(axis=0)
    assert list(first.importance.values()) == pytest.approx(sorted(everybody, reverse=True), rel=0.2)


def test_an_example_is_what_scoring_says_of_the_customer() -> None:
    first = explanation().examples[0]
    frame = customers(3)
    score = SCORER.score(frame[frame["customer_id"] == first.customer]).iloc[0]
    assert (first.probability, first.decision, first.expected_value) == pytest.approx(
        (score["probability"], score["decision"], score["expected_value"])
    )
    assert list(first.reasons) == score["reasons"]


def test_contributions_add_up_to_the_prediction() -> None:
    examples = explanation().examples
    assert examples
    for example in examples:
        log_odds = example.base + sum(added for _, added in example.contributions)
        assert 1 / (1 + np.exp(-log_odds)) == pytest.approx(example.probability)


def test_importance_is_the_mean_size_of_what_a_feature_adds() -> None:
    columns = SCORER.model.complete(columns_of(customers(3), KINDS))
    sizes = np.abs(SCORER.model.contributions(columns)[:, :-1]).mean(axis=0)
    assert explanation().importance == pytest.approx(dict(zip(columns, sizes, strict=True)))
    assert list(explanation().importance) == sorted(columns, key=lambda name: -explanation().importance[name])
    assert explanation().descriptions["tenure"] == "months as a customer"


def test_at_most_2000_rows_are_explained() -> None:
    assert (explained(2001).rows, explained(20).rows) == (2000, 20)


def test_reasons_are_as_many_as_the_settings_say() -> None:
    few = explained(3, ScoringSettings(reasons=ReasonSettings(top=1)))
    assert {len(example.reasons) for example in few.examples} <= {0, 1}
    assert max(len(example.reasons) for example in explanation().examples) > 1


def test_an_explanation_survives_the_way_between_steps() -> None:
    assert Explanation.model_validate_json(explanation().model_dump_json()) == explanation()


@pytest.mark.slow
def test_the_section_shows_importance_examples_and_how_the_first_comes_about() -> None:
    section = explanation_section(explanation())
    figures: list[Any] = [block for block in section.blocks if isinstance(block, Figure)]
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    assert "months as a customer" in figures[0].svg
    first = explanation().examples[0]
    assert f"customer {first.customer} " in figures[-1].caption
    assert table.columns == ["customer", "churn probability", "expected value, USD", "what raises the risk"]
    assert [row[0] for row in table.rows] == [example.customer for example in explanation().examples]
    assert table.rows[0][1] == f"{100 * first.probability:.1f}%"


def test_nobody_to_explain_makes_a_page_all_the_same() -> None:
    alone = explanation().model_copy(update={"examples": ()})
    assert "multiplies the odds" in page("t", [explanation_section(alone)])
