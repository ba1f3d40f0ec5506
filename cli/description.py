"""`run.py data describe`: the columns of a table, and how it keeps its contract."""

from __future__ import annotations

from collections.abc import Iterable

from churn.data.snapshot import SAMPLE, ColumnProfile
from churn.data.validation import ValidationReport

from .console import Screen, table

__all__ = ["describe"]


def describe(console: Screen, report: ValidationReport, columns: Iterable[ColumnProfile]) -> None:
    """Print the columns with their values, the rules that rows break, and what would become of the rows."""
    title = f"{report.source}: {report.rows:,} rows"
    if report.rows > SAMPLE:
        title += f"; columns of the first {SAMPLE:,}"
    shown = table("column", "type", "missing", "distinct", "values")
    for column in columns:
        values = f"{column.low} … {column.high}" if column.low else ", ".join(column.spread)
        shown.add_row(column.name, column.type, f"{column.missing:,}", f"{column.distinct:,}", values)
    console.print(title)
    console.print(shown)
    for rule in report.broken_rules:
        console.print(f"✗ {rule.column} {rule.rule}: {rule.broken:,} rows do not, such as {', '.join(rule.examples)}")
    for name in report.ignored_columns:
        console.print(f"· {name} is not in the contract and is ignored")
    console.print(f"{report.accepted:,} rows keep the contract, {report.quarantined:,} would go to quarantine.")
