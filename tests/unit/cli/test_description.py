"""What `data describe` prints of a table."""

from __future__ import annotations

import re
from io import StringIO

import pyarrow as pa

from churn.data.snapshot import profile_of
from churn.data.validation import RuleResult, ValidationReport
from cli.console import plain_console
from cli.description import describe
from tests.fakes.data.findings import ROWS, VALIDATION


def lines(report: ValidationReport, rows: pa.Table = ROWS) -> list[str]:
    output = StringIO()
    console = plain_console(output)
    console.width = 100
    describe(console, report, profile_of(rows))
    return [line.rstrip() for line in output.getvalue().splitlines()]


def cells(line: str) -> list[str]:
    return re.split(" {2,}", line.strip())


def test_every_column_is_shown_with_its_values() -> None:
    found = lines(VALIDATION)
    assert found[0].strip() == "members.csv: 1,000 rows"
    assert [cells(line) for line in found[4:8]] == [
        ["customer_id", "text", "0", "4", "a, b, c, d"],
        ["tenure", "number", "1", "2", "1 … 5"],
        ["contract", "text", "1", "2", "Two year, Month-to-month"],
        ["label", "number", "0", "2", "0 … 1"],
    ]


def test_broken_rules_ignored_columns_and_the_outcome_follow() -> None:
    assert lines(VALIDATION)[-4:] == [
        "✗ contract is one of its values: 25 rows do not, such as 'Weekly'",
        "✗ tenure is at least 0: 5 rows do not, such as '-1'",
        "· favourite_colour is not in the contract and is ignored",
        "960 rows keep the contract, 30 would go to quarantine.",
    ]


def test_what_the_data_holds_is_printed_as_it_is() -> None:
    rule = RuleResult(column="plan", rule="is one", checked=2, broken=1, examples=("'[red]basic[/red]'", "'[/x]'"))
    report = VALIDATION.model_copy(update={"source": "[old].csv", "rules": (rule,), "ignored_columns": ("[b]",)})
    found = lines(report, pa.table({"plan": ["[/gold]", "[red]basic[/red]", ":smile:"]}))
    assert found[0].strip() == "[old].csv: 1,000 rows"
    assert cells(found[4])[-1] == "[/gold], [red]basic[/red], :smile:"
    assert found[-3].endswith("such as '[red]basic[/red]', '[/x]'")
    assert found[-2].startswith("· [b] is not")
