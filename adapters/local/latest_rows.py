"""The newest row of each customer in SQL, of those that were known at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from churn.core.errors import StoreError
from churn.data.tables import ARRIVED_AT, EVENT_TIME

from .delta_table import DeltaVersion
from .duck import quoted
from .point_in_time import ROW
from .rows import TIME

__all__ = ["known_until", "newest_rows", "newest_when_known"]


def newest_rows(
    version: DeltaVersion,
    key: Sequence[str],
    as_of: dt.datetime,
    max_age: dt.timedelta | None = None,
    condition: str = "",
) -> str:
    """Select the numbers of the newest rows; only keys and times are grouped, the values are fetched by number.

    Args:
        version: The table.
        key: Its key.
        as_of: Only rows that were known by then.
        max_age: Only customers whose newest row is at most that much older than the newest of all.
        condition: Only rows for which this SQL expression is true; empty for all.

    Raises:
        StoreError: the table has no event time, or no customer in its key.
    """
    _require_times(version)
    entity = [name for name in key if name not in (EVENT_TIME, ARRIVED_AT)]
    if not entity:
        raise StoreError(f"The table {version.path.name!r} has no customer in its key ({', '.join(key)}): add one.")
    seen = f"FROM {version.relation()} WHERE {_seen(version)} <= {_literal(as_of)}" + (
        f" AND {condition}" if condition else ""
    )
    current = ""
    if max_age is not None:
        newest = f"(SELECT max({EVENT_TIME}) {seen}) - to_microseconds({max_age // dt.timedelta(microseconds=1)})"
        current = f"HAVING max({EVENT_TIME}) >= {newest}"
    # One event has several rows only where their arrivals tell them apart; a plain time is far cheaper to compare.
    rank = f"ROW({EVENT_TIME}, {_arrival(version)})" if ARRIVED_AT in key else EVENT_TIME
    return f"""
        SELECT arg_max({ROW}, {rank}) AS _row {seen}
        GROUP BY {", ".join(map(quoted, entity))} {current}"""


def newest_when_known(version: DeltaVersion, columns: Sequence[str], numbers: str) -> str:
    """Select columns of the rows whose numbers stand in the table `numbers`."""
    names = ", ".join(map(quoted, columns))
    return f"SELECT {names} FROM (SELECT *, {ROW} AS _row FROM {version.relation()}) SEMI JOIN {numbers} USING (_row)"


def known_until(version: DeltaVersion, as_of: dt.datetime) -> str:
    """Select the newest time, not after `as_of`, at which a row came into sight. Raises as `newest_rows` does."""
    _require_times(version)
    return f"SELECT max(_seen) FROM (SELECT {_seen(version)} AS _seen FROM {version.relation()}) WHERE _seen <= " + (
        _literal(as_of)
    )


def _require_times(version: DeltaVersion) -> None:
    types = {field.name: field.type for field in version.schema}
    if types.get(EVENT_TIME) != TIME:
        raise StoreError(f"The table {version.path.name!r} has no time {EVENT_TIME!r} to go by: add that column.")


def _arrival(version: DeltaVersion) -> str:
    return f"coalesce({ARRIVED_AT}, {EVENT_TIME})" if ARRIVED_AT in version.schema.names else EVENT_TIME


def _seen(version: DeltaVersion) -> str:
    """Return since when a row can be seen; a row without an event time never can."""
    return f"CASE WHEN {EVENT_TIME} IS NOT NULL THEN greatest({EVENT_TIME}, {_arrival(version)}) END"


def _literal(time: dt.datetime) -> str:
    return f"'{time.replace(tzinfo=time.tzinfo or dt.UTC).astimezone(dt.UTC).isoformat()}'::TIMESTAMPTZ"
