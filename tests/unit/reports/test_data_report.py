"""What the pages say about the data."""

from __future__ import annotations

from typing import Any

from churn.data.snapshot import ColumnProfile
from reports.data_report import leakage_section, table_section, validation_section
from reports.page import Callout, Cards, Definitions, Section, Table, page
from tests.fakes.data.findings import LEAKAGE, SNAPSHOT, VALIDATION


def blocks(section: Section, kind: type) -> list[Any]:
    return [block for block in section.blocks if isinstance(block, kind)]


def rows(table: Table) -> list[dict[str, object]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_a_table_is_shown_with_its_version_and_its_columns() -> None:
    section = table_section(SNAPSHOT)
    assert section.title == "Table churn_training"
    (facts,), (table,) = blocks(section, Definitions), blocks(section, Table)
    assert facts.items["table"] == "gym_simulated.churn_training, version 7"
    assert (facts.items["rows"], facts.items["content"]) == (4, "d1" * 32)
    by_name = {row["column"]: row for row in rows(table)}
    assert list(by_name) == ["customer_id", "tenure", "contract", "label"]
    tenure, contract = by_name["tenure"], by_name["contract"]
    assert (tenure["type"], tenure["missing"], tenure["from"], tenure["to"]) == ("number", "25.0%", "1", "5")
    spread = "values, most frequent first, or their spread"
    assert (contract["missing"], contract[spread]) == ("25.0%", "Two year, Month-to-month")
    assert tenure[spread] == "▄          █"
    assert by_name["label"]["missing"] == ""


def test_a_sample_is_called_one() -> None:
    (whole,) = blocks(table_section(SNAPSHOT), Table)
    ref = SNAPSHOT.ref.model_copy(update={"rows": 900_000})
    (part,) = blocks(table_section(SNAPSHOT.model_copy(update={"ref": ref, "sampled": 200_000})), Table)
    assert (whole.caption, part.caption) == ("All 4 columns", "All 4 columns, from a sample of 200,000 rows")


def test_the_spread_of_numbers_is_a_line_of_bars_in_which_no_row_is_lost() -> None:
    column = ColumnProfile(
        name="x", type="number", missing=0, distinct=9, spread={"1": 1000, "2": 1, "3": 0, "4": 500, "5": 501}
    )
    (table,) = blocks(table_section(SNAPSHOT.model_copy(update={"columns": (column,)})), Table)
    assert table.rows[0][-1] == "█▁ ▄▅"


def test_columns_without_values_and_tables_without_rows_make_a_page() -> None:
    nothing = ColumnProfile(name="x", type="number", missing=0, distinct=0, spread={})
    empty = SNAPSHOT.model_copy(update={"sampled": 0, "columns": (nothing,)})
    assert ">x<" in page("t", [table_section(empty)])
    assert "churn_training" in page("t", [table_section(empty.model_copy(update={"columns": ()}))])


def test_the_fate_of_every_row_is_told() -> None:
    section = validation_section(VALIDATION)
    (cards,) = blocks(section, Cards)
    assert [(card.label, card.value, card.note, card.tone) for card in cards.cards] == [
        ("rows from the source", 1000, "members.csv", "plain"),
        ("accepted", 960, "", "plain"),
        ("quarantined", 30, "3.0%", "warn"),
        ("exact copies", 10, "", "plain"),
    ]
    assert "favourite_colour" in section.lead


def test_broken_rules_come_first_with_examples_and_the_kept_ones_are_folded() -> None:
    broken, kept = blocks(validation_section(VALIDATION), Table)
    assert [(row["column"], row["broken"], row["examples"]) for row in rows(broken)] == [
        ("contract", 25, "'Weekly'"),
        ("tenure", 5, "'-1'"),
    ]
    assert (broken.folded, kept.folded) == (False, True)
    assert [row["column"] for row in rows(kept)] == ["member_id"]
    assert kept.caption == "Rules that every row kept: 1"


def test_a_batch_is_good_until_more_rows_break_the_contract_than_are_allowed() -> None:
    def verdict(quarantined: int) -> Callout:
        report = VALIDATION.model_copy(update={"quarantined": quarantined, "accepted": 990 - quarantined})
        (callout,) = blocks(validation_section(report), Callout)
        return callout

    assert (verdict(50).tone, verdict(51).tone) == ("good", "bad")
    assert "More rows broke the contract than the 5.0% that validation.max_quarantine_share" in verdict(51).text
    assert "none of the batch was used" in verdict(51).text


def test_a_batch_without_a_broken_row_has_no_table_of_them() -> None:
    rules = tuple(rule.model_copy(update={"broken": 0}) for rule in VALIDATION.rules)
    section = validation_section(
        VALIDATION.model_copy(update={"quarantined": 0, "rules": rules, "ignored_columns": ()})
    )
    (kept,) = blocks(section, Table)
    assert kept.caption == "Rules that every row kept: 3"
    assert section.lead.endswith("ignored: none.")
    assert [card.tone for card in blocks(section, Cards)[0].cards] == ["plain"] * 4


def test_a_batch_that_keeps_no_rule_has_no_table_of_those_kept() -> None:
    section = validation_section(VALIDATION.model_copy(update={"rules": VALIDATION.rules[:2]}))
    assert [table.caption for table in blocks(section, Table)] == ["Rules that some rows broke"]


def test_every_leakage_check_is_shown_and_the_best_lone_feature_first() -> None:
    checks, alone = blocks(leakage_section(LEAKAGE), Table)
    assert [(row["check"], row["held"]) for row in rows(checks)] == [
        ("Nothing from the future", True),
        ("No copy of the label", False),
    ]
    assert [row["feature"] for row in rows(alone)] == ["contract", "tenure"]
