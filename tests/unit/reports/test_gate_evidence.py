"""What the page of a gate says about its evidence."""

from __future__ import annotations

from typing import Any

import pytest

from reports.gate_evidence import comparison_section, forest, recipe_section, slice_section, smallest_difference
from reports.page import Callout, Figure, Section, Table
from tests.fakes.data.gate_reports import HOLDOUT, METRICS, NEWEST, RECIPES, SLICES, estimate, gate_report, paired, part


def blocks(section: Section, kind: type) -> list[Any]:
    return [block for block in section.blocks if isinstance(block, kind)]


def rows(section: Section) -> list[dict[str, object]]:
    (table,) = blocks(section, Table)
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


@pytest.fixture(scope="module")
def holdout() -> Section:
    return comparison_section(HOLDOUT, gate_report())


def test_the_smallest_difference_that_shows_is_told_in_money_and_in_auc() -> None:
    assert smallest_difference(HOLDOUT, "USD") == (
        "Differences under 0.31 USD of profit per customer and month or 0.0045 of ROC AUC cannot be told apart on this "
        "holdout."
    )
    assert smallest_difference(NEWEST, "EUR").endswith("cannot be told apart on these rows.")


def test_nothing_is_said_of_a_difference_that_was_not_computed_or_that_is_none() -> None:
    alone = HOLDOUT.model_copy(update={"metrics": METRICS[1:2]})
    assert smallest_difference(alone, "USD").startswith("Differences under 0.0045 of ROC AUC")
    same = HOLDOUT.model_copy(update={"metrics": tuple(paired(each.name, 1.0, 0.0, 0.0) for each in METRICS)})
    assert smallest_difference(same, "USD") == ""


def test_every_metric_of_both_models_stands_in_one_row(holdout: Section) -> None:
    found = {row["metric"]: row for row in rows(holdout)}
    assert found["ROC AUC"] == {
        "metric": "ROC AUC",
        "champion": "0.840",
        "challenger": "0.843",
        "challenger better by (90% interval)": "0.0031 (0.0001 to 0.0061)",
        "allowed loss": "0.0100",
        "smallest difference that shows": "0.0045",
    }
    assert found["profit per customer and month"]["challenger better by (90% interval)"] == "0.11 USD (-0.10 to 0.32)"
    assert found["F1"]["allowed loss"] is None
    assert list(found)[:3] == ["profit per customer and month", "ROC AUC", "log loss"]
    assert len(found) == len(METRICS) - 1  # no cost matrix is set


def test_the_reader_learns_on_whom_both_were_compared(holdout: Section) -> None:
    assert holdout.lead == (
        "Both models score the same 1,409 customers, 373 of whom churned (2024-01-01). Neither training saw them. "
        "The customers are drawn anew 2,000 times, the same draw for both; parentheses hold 90% of the outcomes."
    )
    newest = comparison_section(NEWEST, gate_report()).lead
    assert (
        "same 2,800 customer-months of 1,409 customers, 240 of whom churned "
        "(2024-01-01 to 2024-03-01). A customer-month is one customer scored on one date. "
    ) in newest
    assert "Neither training saw them, and all are newer than what the champion learned from. " in newest


def test_every_tested_gain_is_drawn_in_units_of_what_may_be_lost() -> None:
    tested = tuple(metric.model_copy(update={"p_worse": 0.5}) for metric in METRICS[:3] + METRICS[6:7])
    figure = forest(gate_report(), HOLDOUT.model_copy(update={"metrics": tested}))
    assert figure is not None
    for words in ("recipe: log loss 0.0018", "recipe: ROC AUC 0.0015", "profit per customer and month 0.11 USD"):
        assert f">{words} (" in figure.svg
    assert ">log loss 0.0022 (0.0001 to 0.0043)<" in figure.svg
    assert ">F1 0.0026 (-0.0074 to 0.0126), no allowed loss<" in figure.svg
    assert forest(gate_report(recipes=None), None) is None


def test_both_recipes_are_compared_with_how_likely_luck_is() -> None:
    section = recipe_section(RECIPES, "90%")
    assert "same 5 folds of 5,634 training customers, drawn 2 times" in section.lead
    assert rows(section)[0] == {
        "metric": "log loss",
        "champion's": "0.4128",
        "challenger's": "0.4110",
        "challenger better by (90% interval)": "0.0018 (0.0008 to 0.0028)",
        "p-value": "0.009",
        "smallest difference that shows": "0.0017",
    }
    drawings = [figure.svg for figure in blocks(section, Figure)]
    assert len(drawings) == 2
    for name, drawing in zip(("Log loss", "ROC AUC"), drawings, strict=True):
        assert f'aria-label="{name} by fold"' in drawing


def test_a_recipe_that_is_behind_is_told_with_how_likely_luck_is_to_show_such_a_loss() -> None:
    behind = RECIPES.metrics[1].model_copy(
        update={"gain": estimate(-0.0015, 0.0008), "p_better": 0.95, "p_worse": 0.05}
    )
    (row,) = rows(recipe_section(RECIPES.model_copy(update={"metrics": (behind,)}), "90%"))
    assert (row["challenger better by (90% interval)"], row["p-value"]) == ("-0.0015 (-0.0028 to -0.0002)", "0.050")


def with_slices(*slices: Any) -> Section:
    return slice_section(HOLDOUT.model_copy(update={"slices": slices}), gate_report())


@pytest.mark.slow
def test_a_group_that_is_worse_is_named() -> None:
    worse = part("contract", "Two year", 326, -0.02, -1.2, 0.004, worse=True)
    section = with_slices(*SLICES, worse)
    assert blocks(section, Callout) == [Callout("Worse in: contract: Two year.", "bad")]
    assert rows(section)[-1] | {"log loss saved (90% interval)": ""} == {
        "group of": "contract",
        "value": "Two year",
        "rows": 326,
        "log loss saved (90% interval)": "",
        "profit per customer and month gained, USD (90% interval)": "-1.20 (-1.58 to -0.82)",
        "p-value": "0.004",
        "verdict": "worse",
    }
    assert blocks(with_slices(*SLICES), Callout) == [Callout("Worse in no group.", "good")]


def test_a_group_too_small_to_judge_says_so_and_is_not_drawn() -> None:
    section = with_slices(SLICES[-1])
    assert (rows(section)[0]["verdict"], rows(section)[0]["p-value"]) == ("fewer than 100 rows", None)
    assert blocks(section, Figure) == []


@pytest.mark.parametrize(("count", "folded"), [(29, False), (30, True)])
def test_many_groups_are_folded_away(count: int, folded: bool) -> None:
    section = with_slices(*[SLICES[-1]] * count)
    (table,) = blocks(section, Table)
    assert (table.folded, table.caption) == (folded, f"All {count} groups" if folded else "")
