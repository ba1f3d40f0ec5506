"""Drafts a dataset contract from a sample of a table: a guess at the role of each column, and what to check."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd

from ..core.errors import ContractError, nearest
from ..data.contract import snake_case
from ..data.file_format import FileFormat
from ..data.leakage import LeakageSettings, halves, univariate_auc
from ..data.tables import RESERVED, TRUTH
from .draft import Draft, write
from .number_format import number_format
from .outcome import outcome_of, sides_of
from .remarks import remarks_on
from .roles import (
    NUMBERED,
    active_days_of,
    doubt_of_key,
    doubts_of_time,
    entity_of,
    event_time_of,
    revenue_of,
    slices_of,
)
from .sample import FEW_VALUES, SampledColumn, read_columns
from .words import is_earlier, is_key, is_money, is_person, is_row_number, likeness_to_outcome

__all__ = ["infer"]

Columns = Mapping[str, SampledColumn]

WINDOW_DAYS = 30
MAX_CATEGORIES = 1000
UNIQUE_SHARE = 0.5
"""Text with a larger share of different values names things instead of grouping them."""
LONG_NUMBER = 1e6
"""Numbers of a person, such as a telephone number, are larger than counts of calls."""
MIN_PER_OUTCOME = 10
"""Customers of each outcome that the AUC of a column needs."""


def infer(
    frame: pd.DataFrame,
    name: str,
    *,
    key: str | None = None,
    label: str | None = None,
    time: str | None = None,
    file_format: FileFormat | None = None,
    broken_lines: Sequence[str] = (),
    today: dt.date,
) -> str:
    """Return the draft of a dataset contract: commented YAML that `DatasetContract.load` reads.

    Args:
        frame: A sample of the table, one row per customer, or per customer and time; values may be text.
        name: What to call the data set.
        key: The column that identifies a customer, where the guess is wrong; `row` numbers the rows of a table that
            has no column of that name.
        label: The column of the outcome, where the guess is wrong.
        time: The column of the event time, where the guess is wrong.
        file_format: How the table's file is written, where that is not plain.
        broken_lines: Lines of the file that are no row.
        today: The day from which a table without an event time is dated back.

    Raises:
        ContractError: the table is empty, two columns share a name, a named column is not there, or none can be the
            key or the outcome: a draft with something in their place would train a model of something else.
    """
    written, formatted = number_format(frame, file_format or FileFormat())
    columns = {column.name: column for column in read_columns(frame, written)}
    outcome, rival = (_named(columns, label, "label"), None) if label else outcome_of(columns)
    positive, negative, unsure = sides_of(outcome)
    entity, unnamed = _entity(columns, key, outcome)
    event = _time(columns, time) if time else event_time_of(columns, entity)
    _require_different({"key": entity, "outcome": outcome, "event time": event})
    others = [_with_free_name(column) for column in columns.values() if column not in (outcome, entity, event)]
    churned = outcome.text.map({positive: 1.0, negative: 0.0}).astype(np.float64)
    customers = outcome.text.index.to_series().astype(str) if entity is None else entity.text.fillna("")
    aucs = {column.name: _auc(column, churned, customers) for column in others}
    inputs, left_out = _inputs(others, aucs)
    revenue = revenue_of(inputs)
    doubts = {
        "file_format": " ".join(filter(None, [formatted, _set_aside(broken_lines)])),
        "entity_key": unnamed,
        "event_time": doubts_of_time(columns, entity, event, today),
        "label": " ".join(doubt for doubt in (unsure, rival) if doubt),
        "monthly_revenue": None if revenue else _amounts(inputs),
    }
    return write(
        Draft(
            name=_dataset_name(name),
            rows=len(frame),
            file_format=written,
            key=entity,
            event=event,
            as_of=_as_of(today),
            outcome=outcome,
            positive=positive,
            negative=negative,
            churn_share=float(churned.mean()),
            window_days=WINDOW_DAYS,
            active_days=active_days_of(entity, event),
            inputs=inputs,
            left_out=left_out,
            revenue=revenue,
            slices=slices_of(inputs, aucs),
            doubts={role: doubt for role, doubt in doubts.items() if doubt},
            remarks=remarks_on(inputs),
        )
    )


def _inputs(columns: list[SampledColumn], aucs: Mapping[str, float]) -> tuple[list[SampledColumn], dict[str, str]]:
    """Return the columns that a model may learn from, and why it may not learn from the others."""
    left_out = {column.source: why for column in columns if (why := _unfit(column, aucs[column.name]))}
    if len(left_out) == len(columns):
        listed = "; ".join(f"{column}: {why}" for column, why in left_out.items())
        raise ContractError(f"No column is left for a model to learn from. {listed or 'The table has no others'}.")
    return [column for column in columns if column.source not in left_out], left_out


def _set_aside(lines: Sequence[str]) -> str | None:
    if not lines:
        return None
    count = f"{len(lines):,}, such as {lines[0][:60]!r}"
    return f"lines that have not one value for each column, and would be set aside: {count}."


def _as_of(today: dt.date) -> dt.date:
    """Return the first of a month so long ago that the outcome window of its rows has closed."""
    return (today - dt.timedelta(days=2 * WINDOW_DAYS)).replace(day=1)


def _dataset_name(name: str) -> str:
    normal = snake_case(name)
    return normal if re.match(r"[a-z]", normal) else f"data_{normal}".rstrip("_")


def _named(columns: Columns, name: str, role: str) -> SampledColumn:
    if snake_case(name) not in columns:
        raise ContractError(f"The table has no column {name!r} for the {role}{nearest(snake_case(name), columns)}")
    return columns[snake_case(name)]


def _time(columns: Columns, name: str) -> SampledColumn:
    column = _named(columns, name, "time")
    if column.content != "time":
        example = next(iter(column.text.dropna()), None)
        holds = f"such as {example!r}" if example else "for it is always missing"
        times = [other.source for other in columns.values() if other.content == "time"]
        raise ContractError(
            f"The column {column.source!r} holds no times that can be read, {holds}. Columns of times: "
            f"{', '.join(times) or 'none; leave --time out, and one day stands for all rows'}."
        )
    return column


def _require_different(roles: Mapping[str, SampledColumn | None]) -> None:
    for (role, column), (other, same) in combinations(roles.items(), 2):
        if column is not None and column is same:
            raise ContractError(
                f"The column {column.source!r} cannot be both the {role} and the {other}: name another."
            )


def _with_free_name(column: SampledColumn) -> SampledColumn:
    """Return a column under a name that an input may have."""
    return replace(column, name=f"{column.name}_input") if column.name in RESERVED else column


def _entity(columns: Columns, key: str | None, outcome: SampledColumn) -> tuple[SampledColumn | None, str | None]:
    """Return the column of the key, None where the rows are to be numbered, and what is doubtful."""
    if key is None:
        return entity_of(columns, outcome)
    if snake_case(key) == NUMBERED and NUMBERED not in columns:
        return None, None
    column = _named(columns, key, "key")
    if not column.distinct:
        raise ContractError(f"The column {column.source!r} cannot be the key: it is always missing.")
    return column, doubt_of_key(column)


def _amounts(inputs: list[SampledColumn]) -> str | None:
    amounts = [
        column.name for column in inputs if column.is_numeric and column.distinct > 2 and is_money(column.source)
    ]
    return f"amounts that are not called so were not taken: {', '.join(amounts)}." if amounts else None


def _auc(column: SampledColumn, churned: pd.Series, customers: pd.Series) -> float:
    """Return how well a column alone tells who left, 0.5 to 1; 0.5 where too few customers did, or stayed."""
    labelled = churned.notna()
    label = churned[labelled].to_numpy().astype(np.int8)
    if np.bincount(label, minlength=2).min() < MIN_PER_OUTCOME:
        return 0.5
    values = column.values if column.is_numeric else column.text
    return univariate_auc(values[labelled].to_numpy(), label, halves(customers[labelled]))


def _unfit(column: SampledColumn, auc: float) -> str | None:
    """Return why a model should not learn from a column, or None."""
    present = len(column.text) - column.missing
    grouping = column.content == "number" or column.distinct <= FEW_VALUES
    names = column.content == "categorical" and column.distinct > min(UNIQUE_SHARE * present, MAX_CATEGORIES)
    numbering = is_key(column.source) and column.distinct > UNIQUE_SHARE * present
    count = column.content == "integer" and column.values.median() < LONG_NUMBER
    outcome = likeness_to_outcome(column.source) >= 8
    reasons = [
        (not re.match(r"[a-z]", column.name), "its name does not begin with a letter: rename it in the source"),
        (
            outcome and not is_earlier(column.source),
            "called like something that is known only once a customer has left",
        ),
        (column.name == TRUTH, "the probability from which a simulation drew the outcome"),
        (column.content == "nested", "it holds lists or structures"),
        (column.distinct == 0, "it is always missing"),
        (
            auc > LeakageSettings().max_feature_auc,
            f"it alone tells who left (ROC AUC {auc:.3f}): probably written afterwards",
        ),
        (column.distinct == 1, "it never changes"),
        (column.content == "time", "a date: give the model a number instead, such as the days until the event time"),
        (column.content == "unread times", "dates that are not all written in one way"),
        (column.content == "formatted numbers", "numbers with signs or separators: write them as plain numbers"),
        (
            column.content == "numbers with a unit",
            f"numbers with a unit ({', '.join(column.units)}): write them as plain numbers",
        ),
        (column.content == "durations", "durations such as 12:30: write them as numbers"),
        (column.content == "numbers and words", f"numbers mixed with other values, such as {_odd(column)}"),
        (column.unique and is_row_number(column.source), "it numbers the rows"),
        (numbering and not grouping, "it numbers something"),
        (is_person(column.source) and not grouping and not count, "personal data, which says nothing about a group"),
        (names and not grouping, f"names or free text: {column.distinct:,} different values"),
    ]
    return next((why for applies, why in reasons if applies), None)


def _odd(column: SampledColumn) -> str:
    return ", ".join(f"{value!r} ({n:,} rows)" for value, n in list(column.odd.items())[:3])
