"""Which columns of an unknown table are the key, the event time, the revenue and the slices."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from ..core.errors import ContractError
from .sample import FEW_VALUES, SampledColumn
from .words import is_key, is_monthly_payment, is_of_an_entity, is_row_number, likeness_to_outcome, time_of_row

__all__ = ["NUMBERED", "active_days_of", "doubts_of_time", "entity_of", "event_time_of", "revenue_of", "slices_of"]

NUMBERED = "row"
"""What `--key` says where customers are to be numbered; the name of the key then."""
MAX_SLICES, MAX_SLICE_VALUES, MIN_SLICE_SHARE = 4, 8, 0.02
SEVERAL = 0.5
"""The share of rows, or of customers, from which a table is one of several rows a customer."""
MIN_GAPS = 30
"""Pairs of rows of one customer that the time between them is taken from."""
ON_ONE_DAY = 0.75
"""Deliveries as far apart as the rows of a customer, or at least by this share of it, have every customer."""
LATE = 0.95
"""The share of gaps between two rows of a customer that an active customer's newest row is not older than."""
LONG = dt.timedelta(days=366)
"""One row a customer does not usually describe customers over a longer time."""


def entity_of(columns: Mapping[str, SampledColumn], outcome: SampledColumn) -> tuple[SampledColumn, str | None]:
    """Return the column that is called like a customer's key, and what is doubtful about it.

    Raises:
        ContractError: there is none.
    """
    able = [
        column
        for column in columns.values()
        if column is not outcome
        and column.content in ("integer", "categorical")
        and not column.missing
        and re.match(r"[a-z]", column.name)
        and not is_row_number(column.source)
    ]
    panel = any(column.content == "time" for column in columns.values())
    keys = [
        column
        for column in able
        if is_key(column.source)
        and (column.unique or is_of_an_entity(column.source) or (panel and column.distinct > FEW_VALUES))
    ]
    if keys:
        return max(keys, key=lambda column: (is_of_an_entity(column.source), column.unique)), None
    coded = [
        column
        for column in able
        if column.unique and column.content == "categorical" and not column.text.str.contains(r"\s").any()
    ]
    if coded:
        best = max(coded, key=lambda column: is_of_an_entity(column.source))
        return best, "it is not called like a key, and was taken because it is different in every row."
    listed = ", ".join(column.source for column in columns.values())
    raise ContractError(
        "No column identifies a customer: none is called like a key and has no missing values. Name it with --key "
        f"COLUMN, or number the rows with --key {NUMBERED}: customers can then not be followed from one delivery to "
        f"the next. The table has: {listed}."
    )


def event_time_of(columns: Mapping[str, SampledColumn], entity: SampledColumn | None) -> SampledColumn | None:
    """Return the time that is called like the time of a row, not like a day in the customer's history.

    Where customers have several rows, it changes from one to the next.
    """
    times = [c for c in columns.values() if c.content == "time" and likeness_to_outcome(c.source) < 6]
    named = {c.name: time_of_row(c.source) for c in times}
    if entity is not None and entity.text.duplicated(keep=False).mean() > SEVERAL:
        able = [c for c in times if named[c.name] >= 0 and _changes(c, entity)]
    else:
        able = [c for c in times if named[c.name] > 0]
    return max(able, key=lambda column: named[column.name], default=None)


def _changes(column: SampledColumn, entity: SampledColumn) -> bool:
    """Return whether a column differs between the rows of most customers who have several."""
    rows = entity.text.duplicated(keep=False)
    return bool((column.values[rows].groupby(entity.text[rows]).nunique() > 1).mean() > SEVERAL)


def doubts_of_time(
    columns: Mapping[str, SampledColumn],
    entity: SampledColumn | None,
    event: SampledColumn | None,
    today: dt.date,
) -> str | None:
    """Return what is doubtful about the event time, or about there being none."""
    doubts = []
    if entity is not None:
        rows = pd.DataFrame({"key": entity.text, "time": "" if event is None else event.values})
        repeated = int(rows.duplicated().sum())
        what = "a customer" if event is None else "a customer at the same time"
        if repeated:
            doubts.append(
                f"rows that repeat {what}: {repeated:,}. They would be refused; --time COLUMN names another time."
            )
    if event is None:
        others = [column.source for column in columns.values() if column.content == "time"]
        if others:
            doubts.append(
                f"days in a customer's history were not taken for it ({', '.join(others)}); --time COLUMN names one."
            )
        return " ".join(doubts) or None
    if event.ambiguous:
        doubts.append(f"day and month may be the other way round; {event.format} was taken.")
    unread = event.missing + sum(event.odd.values())
    if unread:
        doubts.append(f"{unread:,} rows have none that can be read, and would be set aside.")
    future = int((event.values > pd.Timestamp(today, tz="UTC")).sum())
    if future:
        doubts.append(f"{future:,} rows lie in the future, and would be set aside.")
    if (entity is None or entity.unique) and event.values.max() - event.values.min() > LONG:
        doubts.append(
            "one row a customer, over more than a year: the day on which a customer joined or left is no event time "
            "(then write `column: null` and an `as_of`)."
        )
    return " ".join(doubts) or None


def active_days_of(entity: SampledColumn | None, event: SampledColumn | None) -> int | None:
    """Return how many days older than the newest row of all that of an active customer may be.

    Where all customers have their rows on the same days, half the time between two of these; where each has its own,
    the time within which 95 % of the next rows came.

    Returns:
        None where too few customers have several rows.
    """
    if entity is None or event is None:
        return None
    day = (event.values - pd.Timestamp(0, tz="UTC")).dt.days
    rows = pd.DataFrame({"key": entity.text, "day": day}).dropna().drop_duplicates()
    gaps = rows.sort_values("day").groupby("key")["day"].diff().dropna()
    if len(gaps) < MIN_GAPS:
        return None
    apart = rows["day"].drop_duplicates().sort_values().diff().median()
    together = apart >= ON_ONE_DAY * gaps.median()
    return max(1, int(apart / 2)) if together else math.ceil(gaps.quantile(LATE))


def revenue_of(inputs: Sequence[SampledColumn]) -> str | None:
    """Return the column with all that a customer pays in a month, where one is called so."""
    able = [
        column.name
        for column in inputs
        if column.is_numeric and column.distinct > 2 and column.values.min() >= 0 and is_monthly_payment(column.source)
    ]
    return min(able, key=lambda name: (name.count("_"), len(name)), default=None)


def slices_of(inputs: Sequence[SampledColumn], aucs: Mapping[str, float]) -> list[str]:
    """Return the groupings by which churn differs most, without groups too small to judge."""
    few = [column for column in inputs if 2 <= column.distinct <= MAX_SLICE_VALUES]
    groupings = [c.name for c in few if c.text.value_counts(normalize=True).min() >= MIN_SLICE_SHARE]
    return sorted(groupings, key=lambda name: -aucs[name])[:MAX_SLICES]
