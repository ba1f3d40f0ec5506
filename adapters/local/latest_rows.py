"""SQL for the newest row of each customer among those that were known at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import duckdb
import pyarrow as pa

from churn.core.errors import StoreError
from churn.data.tables import ARRIVED_AT, EVENT_TIME

from ..rows import TIME
from .delta_table import DeltaVersion
from .duck import quoted
from .point_in_time import ROW

__all__ = ["customer_of", "known_until", "newest_rows", "newest_when_known"]


def newest_rows(
    connection: duckdb.DuckDBPyConnection,
    version: DeltaVersion,
    key: Sequence[str],
    as_of: dt.datetime,
    *,
    max_age: dt.timedelta | None = None,
    condition: str = "",
    customers_at_once: int = 1_000_000,
) -> pa.Table:
    """Return for each file of a table its `file_index` and `bits`, a text with a 1 for each customer's newest row.

    Keys and times are grouped for a part of the customers at a time, a hash of the key dividing them; a join by row
    numbers would hold several times as much as one bit a row.

    Args:
        connection: Where the rows are looked for; close it before they are read, for DuckDB holds on to its memory.
        version: The table.
        key: Its key.
        as_of: Only rows that were known by then.
        max_age: Only customers whose newest row is at most that much older than the newest of all.
        condition: Only rows for which this SQL expression is true; empty for all.
        customers_at_once: How many customers a part has, about.

    Raises as `customer_of` does.
    """
    entity = [quoted(name) for name in customer_of(version, key)]
    seen = f"FROM {version.relation()} WHERE {_seen(version)} <= {_literal(as_of)}" + (
        f" AND {condition}" if condition else ""
    )
    customer = f"hash({', '.join(entity)})"
    last = connection.execute(f"SELECT max(file_row_number) FROM {version.relation()}").fetchall()[0][0]
    counted = f"SELECT approx_count_distinct({customer}), max({EVENT_TIME}) {seen}"
    customers, newest = connection.execute(counted).fetchall()[0]
    current = ""
    if max_age is not None and newest is not None:
        current = f"HAVING max({EVENT_TIME}) >= {_literal(newest - max_age)}"
    # One event has several rows only where their arrivals tell them apart; a plain time is far cheaper to compare.
    rank = f"ROW({EVENT_TIME}, {_arrival(version)})" if ARRIVED_AT in key else EVENT_TIME
    connection.execute("CREATE TEMP TABLE parts (file_index UBIGINT, bits BIT)")
    parts = customers // customers_at_once + 1
    for part in range(parts):
        connection.execute(f"""
            INSERT INTO parts
            SELECT _row >> 40 AS file_index, bitstring_agg(_row & ((1::BIGINT << 40) - 1), 0, {last or 0})
            FROM (
                SELECT arg_max({ROW}, {rank}) AS _row {seen} AND {customer} % {parts} = {part}
                GROUP BY {", ".join(entity)} {current})
            GROUP BY ALL""")
    return connection.sql("SELECT file_index, bit_or(bits)::VARCHAR AS bits FROM parts GROUP BY ALL").to_arrow_table()


def customer_of(version: DeltaVersion, key: Sequence[str]) -> list[str]:
    """Return the columns of a table's key that identify a customer.

    Raises:
        StoreError: the table has no event time, or no customer in its key.
    """
    _require_times(version)
    entity = [name for name in key if name not in (EVENT_TIME, ARRIVED_AT)]
    if not entity:
        raise StoreError(f"The table {version.path.name!r} has no customer in its key ({', '.join(key)}): add one.")
    return entity


def newest_when_known(version: DeltaVersion, columns: Sequence[str]) -> str:
    """Select columns of the rows that `newest_rows` found and that are there as the table `newest`."""
    names = ", ".join(map(quoted, columns))
    rows = f"{version.relation()} JOIN (SELECT file_index, bits::BIT AS bits FROM newest) USING (file_index)"
    return f"SELECT {names} FROM {rows} WHERE get_bit(bits, file_row_number::INTEGER) = 1"


def known_until(version: DeltaVersion, as_of: dt.datetime) -> str:
    """Select the newest time, not after `as_of`, at which a row came into sight. Raises as `customer_of` does."""
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
