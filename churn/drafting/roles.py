"""Which columns of an unknown table are the key, the event time, the revenue and the slices."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from ..core.errors import ContractError
from .sample import FEW_VALUES, SampledColumn
from .words import (
    is_entity_alone,
    is_key,
    is_monthly_payment,
    is_of_an_entity,
    is_person,
    is_row_number,
    is_time_of_row,
    likeness_to_outcome,
    time_of_row,
)

__all__ = [
    "NUMBERED",
    "active_days_of",
    "doubt_of_key",
    "doubts_of_time",
    "entity_of",
    "event_time_of",
    "revenue_of",
    "slices_of",
]

NUMBERED = "row"
"""What `--key` says where customers are to be numbered; the name of the key then."""
MAX_SLICES, MAX_SLICE_VALUES, MIN_SLICE_SHARE = 4, 8, 0.02
MAX_MISSING = 0.05
"""The share of rows that may lack a key or a time, or share a key, and be set aside: validation allows no more."""
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
    named = [column for column in columns.values() if column is not outcome and _may_name_a_customer(column)]
    able = [column for column in named if column.missing <= MAX_MISSING * len(column.text)]
    panel = any(column.content == "time" for column in columns.values())
    keys = [
        column
        for column in able
        if (is_key(column.source) and is_of_an_entity(column.source))
        or (is_key(column.source) and (_nearly_unique(column) or (panel and column.distinct > FEW_VALUES)))
        or (is_entity_alone(column.source) and _is_coded(column) and (_nearly_unique(column) or panel))
    ]
    if keys:
        return _followed(columns, max(keys, key=_likeness_to_key), [key for key in keys if _nearly_unique(key)])
    coded = [column for column in able if column.unique and column.content == "categorical" and _is_coded(column)]
    if coded:
        best = max(coded, key=lambda column: is_of_an_entity(column.source))
        doubt = "it is not called like a key, and was taken because it is different in every row."
        return best, " ".join(filter(None, [doubt, doubt_of_key(best)]))
    unfit = [_why_no_key(column) for column in named if is_key(column.source) or is_entity_alone(column.source)]
    raise ContractError(
        f"No column identifies a customer: {'; '.join(unfit) or 'none is called like a key'}. Name it with --key "
        f"COLUMN, or number the rows with --key {NUMBERED}: customers can then not be followed from one delivery to "
        f"the next. The table has: {', '.join(column.source for column in columns.values())}."
    )


def _may_name_a_customer(column: SampledColumn) -> bool:
    texts = column.content in ("integer", "categorical")
    return texts and bool(re.match(r"[a-z]", column.name)) and not is_row_number(column.source)


def _nearly_unique(column: SampledColumn) -> bool:
    return column.distinct >= (1 - MAX_MISSING) * len(column.text)


def _is_coded(column: SampledColumn) -> bool:
    """Return whether values look like codes: more than a grouping has, without spaces."""
    return column.distinct > FEW_VALUES and not column.text.str.contains(r"\s", na=False).any()


def _likeness_to_key(column: SampledColumn) -> tuple[bool, bool, bool]:
    return is_of_an_entity(column.source), is_key(column.source), _nearly_unique(column)


def _followed(
    columns: Mapping[str, SampledColumn], best: SampledColumn, unique: Sequence[SampledColumn]
) -> tuple[SampledColumn, str | None]:
    """Return a key by which the rows of a customer can be told apart: where no time does, one with a row each."""
    if unique and best not in unique and event_time_of(columns, best) is None:
        return unique[0], (
            f"each row counts as a customer: {best.source} repeats ({best.distinct:,} different in {len(best.text):,} "
            "rows), and no column says when each of its rows was true."
        )
    return best, doubt_of_key(best)


def doubt_of_key(column: SampledColumn) -> str | None:
    """Return what is doubtful about a column as the key."""
    doubts = [f"{column.missing:,} rows have none, and would be set aside."] if column.missing else []
    if is_person(column.source):
        doubts.append("it is personal data, and lists and pages name customers by it.")
    return " ".join(doubts) or None


def _why_no_key(column: SampledColumn) -> str:
    if column.missing > MAX_MISSING * len(column.text):
        return f"{column.source} is missing in {column.missing:,} of {len(column.text):,} rows"
    return f"{column.source} has {column.distinct:,} different values in {len(column.text):,} rows"


def event_time_of(columns: Mapping[str, SampledColumn], entity: SampledColumn | None) -> SampledColumn | None:
    """Return the time that is called like the time of a row, not like a day in the customer's history.

    Where customers have several rows, it changes from one to the next.
    """
    times = [
        column
        for column in columns.values()
        if column.content == "time"
        and likeness_to_outcome(column.source) < 6
        and column.values.isna().mean() <= MAX_MISSING
    ]
    named = {c.name: time_of_row(c.source) for c in times}
    if entity is not None and entity.text.duplicated(keep=False).mean() > SEVERAL:
        able = [c for c in times if named[c.name] >= 0 and _changes(c, entity)]
    else:
        able = [c for c in times if named[c.name] > 0 and (is_time_of_row(c.source) or not _is_long(c, entity))]
    return max(able, key=lambda column: named[column.name], default=None)


def _is_long(column: SampledColumn, entity: SampledColumn | None) -> bool:
    """Return whether a table of one row a customer has times that lie more than a year apart."""
    return (entity is None or entity.unique) and bool(column.values.max() - column.values.min() > LONG)


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
        repeated = int(rows[entity.text.notna()].duplicated().sum())
        what = "a customer" if event is None else "a customer at the same time"
        if repeated:
            doubts.append(
                f"rows that repeat {what}: {repeated:,}. They would be refused; --time COLUMN names another time."
            )
    if event is None:
        times = [column for column in columns.values() if column.content == "time"]
        seldom = [column.source for column in times if column.values.isna().mean() > MAX_MISSING]
        able = [column for column in times if column.source not in seldom]
        long = [column.source for column in able if time_of_row(column.source) > 0 and _is_long(column, entity)]
        history = [column.source for column in able if column.source not in long]
        if history:
            doubts.append(
                f"days in a customer's history were not taken for it ({', '.join(history)}); --time COLUMN names one."
            )
        if long:
            doubts.append(
                f"{', '.join(long)} was not taken for it: one row a customer over more than a year, and the day on "
                "which a customer joined or left is no event time; --time COLUMN names one."
            )
        if seldom:
            doubts.append(f"dates that many rows lack were not taken for it: {', '.join(seldom)}.")
        return " ".join(doubts) or None
    if event.ambiguous:
        doubts.append(f"day and month may be the other way round; {event.format} was taken.")
    unread = event.missing + sum(event.odd.values())
    if unread:
        doubts.append(f"{unread:,} rows have none that can be read, and would be set aside.")
    future = int((event.values > pd.Timestamp(today, tz="UTC")).sum())
    if future:
        doubts.append(f"{future:,} rows lie in the future, and would be set aside.")
    if _is_long(event, entity):
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
