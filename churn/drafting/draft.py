"""Writes the draft of a dataset contract: YAML with a comment at every guess that a person must check."""

from __future__ import annotations

import datetime as dt
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from ..data.contract import snake_case
from ..data.file_format import FileFormat
from .roles import NUMBERED
from .sample import SampledColumn

__all__ = ["Draft", "write"]

LISTED_VALUES = 20
"""Up to so many values of a categorical column are written down as all there may be."""
LINE = 120


@dataclass(frozen=True)
class Draft:
    """The guesses about a table.

    Attributes:
        name: What the data set is called.
        rows: How many rows the sample has.
        file_format: How the table's file is written.
        key: The column that identifies a customer; None where the rows are numbered.
        event: The column of the event time, where there is one.
        as_of: The day on which the rows are taken to have been true, where there is none.
        outcome: The column of the outcome.
        positive: Its value for customers who churned.
        negative: Its value for customers who stayed.
        churn_share: The share of customers with an outcome who churned, 0 to 1.
        window_days: The length of the outcome window.
        active_days: How much older than the newest row of all that of an active customer may be; None where the rows
            do not say so.
        inputs: The columns a model may learn from.
        left_out: The other columns, each with the reason.
        revenue: The column with a customer's revenue in a month.
        slices: The columns by whose values quality is to be reported.
        doubts: What is doubtful about a role, by its key in the contract.
        remarks: What is to be checked about inputs, by their names.
    """

    name: str
    rows: int
    file_format: FileFormat
    key: SampledColumn | None
    event: SampledColumn | None
    as_of: dt.date
    outcome: SampledColumn
    positive: str
    negative: str
    churn_share: float
    window_days: int
    active_days: int | None
    inputs: Sequence[SampledColumn]
    left_out: Mapping[str, str]
    revenue: str | None
    slices: Sequence[str]
    doubts: Mapping[str, str]
    remarks: Mapping[str, Sequence[str]]


def write(draft: Draft) -> str:
    """Return the draft as YAML that `DatasetContract.load` reads, with a comment wherever a reader should look."""
    parts = [
        _head(draft),
        _event(draft),
        _label(draft),
        _active(draft),
        _uses(draft),
        _columns(draft),
        _left_out(draft),
    ]
    return "\n".join(line for part in parts if part for line in [*part, ""]).rstrip("\n") + "\n"


def _head(draft: Draft) -> list[str]:
    return [
        f"# Drafted from {draft.rows:,} rows. Every guess is marked CHECK; correct the wrong ones, then see how the",
        f"# table keeps the contract: python run.py data describe --dataset {draft.name}.yaml --data TABLE",
        "# All keys are explained in docs/dataset-contract.md.",
        f"name: {draft.name}",
        "description: CHECK, say whose customers these are and what churn means here",
        *_key(draft),
        *_doubt(draft, "file_format"),
        *_file_format(draft.file_format),
    ]


def _file_format(written: FileFormat) -> list[str]:
    settings = written.model_dump(exclude_defaults=True)
    return [f"file_format: {_flow(settings)}  # how delivered files are written"] if settings else []


def _key(draft: Draft) -> list[str]:
    if draft.key is None:
        return [
            "# CHECK: the table has no key, so each row is a customer, by its number in the delivery. Customers cannot",
            "# be followed from one delivery to the next, which replaces them: the same customer is another one there.",
            f"entity_key: {NUMBERED}",
            "numbered_rows: true",
        ]
    how = f"The {draft.rows:,} rows are of {draft.key.distinct:,} customers."
    if draft.key.unique:
        how = "It is different in every row."
    return [
        f"# CHECK: the column that identifies a customer. {how}",
        *_doubt(draft, "entity_key"),
        f"entity_key: {draft.key.name}",
    ]


def _event(draft: Draft) -> list[str]:
    if draft.event is None:
        return [
            "# CHECK: no column says when the facts of a row were true, so one day stands for all of them. Put the day",
            "# on which the table described its customers, before anybody could know who would leave.",
            *_doubt(draft, "event_time"),
            "event_time:",
            "  column: null",
            f"  as_of: {draft.as_of.isoformat()}",
        ]
    written, times = draft.event.format, draft.event.values
    return [
        f"# CHECK: when the facts of a row were true; here {times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}.",
        *_doubt(draft, "event_time"),
        "event_time:",
        f"  column: {draft.event.name}",
        *([f"  format: {_flow(written)}"] if written else []),
    ]


def _label(draft: Draft) -> list[str]:
    return [
        f"# CHECK: the outcome. {draft.churn_share:.1%} of the rows with an outcome are {draft.positive!r}.",
        *_doubt(draft, "label"),
        "label:",
        f"  column: {draft.outcome.name}",
        f"  positive: {_flow(draft.positive)}  # CHECK: left",
        f"  negative: {_flow(draft.negative)}  # CHECK: stayed",
        f"  window_days: {draft.window_days}  # CHECK: days after the event time within which leaving counts",
        "  delay_days: 0  # CHECK: days from the end of the window until the outcome is known",
    ]


def _active(draft: Draft) -> list[str]:
    if draft.active_days is None:
        return []
    return [
        *_check(
            "a customer whose newest row lies more days than this before the newest of all has left, by the time "
            "between the rows of one customer here."
        ),
        f"active_days: {draft.active_days}",
    ]


def _uses(draft: Draft) -> list[str]:
    paid = "what a customer pays in a month" if draft.revenue else "no column looks like a customer's monthly payment"
    return [
        *_check(f"{paid}; without it every customer has the value that `money.customer_value.amount` says."),
        *_doubt(draft, "monthly_revenue"),
        f"monthly_revenue: {draft.revenue or 'null'}",
        "# CHECK: quality is reported for each value of these, the groups that differ most in churn.",
        f"slices: {_flow(list(draft.slices))}",
    ]


def _columns(draft: Draft) -> list[str]:
    return [
        "# CHECK: what a model learns from. Delete what was written after the outcome was known, reword descriptions",
        "# (reports and reasons use them), widen or narrow ranges, and add `actionable: true` where the business can",
        "# change the value for a customer.",
        "columns:",
        *(line for column in draft.inputs for line in [*_remarks(draft, column.name), *_column(column)]),
    ]


def _column(column: SampledColumn) -> list[str]:
    spec: dict[str, object] = {"type": column.content}
    note = ""
    if column.content == "categorical" and column.distinct <= LISTED_VALUES:
        spec["allowed"] = column.different
    elif column.content == "categorical":
        note = f"  # {column.distinct:,} values: any is allowed"
    else:
        spec["min"], spec["max"] = _floor(column.values.min()), _roof(column.values.max())
        note = f"  # {column.values.min():,g} to {column.values.max():,g}"
    if column.missing:
        spec["nullable"] = True
        note += f"{', ' if note else '  # '}{column.missing / len(column.values):.1%} missing"
    spec["description"] = snake_case(column.source).replace("_", " ")
    if column.name != snake_case(column.source):
        spec["aliases"] = [column.source]
    line = f"  {column.name}: {_flow(spec)}"
    if len(line + note) <= LINE:
        return [line + note]
    return [f"  {column.name}:{note}", *(f"    {key}: {_flow(value)}" for key, value in spec.items())]


def _remarks(draft: Draft, column: str) -> list[str]:
    return [line for remark in draft.remarks.get(column, ()) for line in _check(remark, "  ")]


def _left_out(draft: Draft) -> list[str]:
    if not draft.left_out:
        return ["# No column was left out."]
    return ["# Left out:", *(f"#   {name}: {reason}" for name, reason in draft.left_out.items())]


def _doubt(draft: Draft, role: str) -> list[str]:
    return _check(draft.doubts[role]) if role in draft.doubts else []


def _check(text: str, indent: str = "") -> list[str]:
    start, further = f"{indent}# CHECK: ", f"{indent}# "
    return textwrap.wrap(
        text, LINE, initial_indent=start, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
    )


def _floor(lowest: float) -> int:
    return 0 if lowest >= 0 else -_roof(-lowest)


def _roof(highest: float) -> int:
    """Return a round number that leaves a column room to grow: the first of 1, 2, 5, 10, 20, … at or above twice it."""
    if highest <= 1:
        return 1  # flags and shares
    power = 10 ** math.floor(math.log10(2 * highest))
    return int(next(step * power for step in (1, 2, 5, 10) if step * power >= 2 * highest))


def _flow(value: object) -> str:
    """Return a value in YAML, on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf, allow_unicode=True)
    return str(text).removesuffix("...\n").strip()
