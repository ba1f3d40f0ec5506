"""The point-in-time join in SQL: to each row of a spine, the features as they were known at its time.

A feature row can be seen from the later of its event and its arrival. Where rows become visible in the order of their
events, the newest visible row is the right one, and that is an as-of join. A row that arrives late can become visible
after a row with a later event; it is dominated from the start, and is dropped before the join.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import duckdb

from churn.core.errors import StoreError
from churn.data.tables import ARRIVED_AT, EVENT_TIME, FEATURE_TIME, LABEL_TIME

from ..rows import TIME
from .delta_table import DeltaVersion
from .duck import quoted

__all__ = ["ROW", "PointInTimeJoin", "plan_join"]

Result = TypeVar("Result")
_ONE_HASH = "two customers have one hash"
ROW = "(file_index::BIGINT << 40) + file_row_number"
"""The number of a row within its table, in SQL."""


@dataclass(frozen=True)
class PointInTimeJoin:
    """One join.

    Attributes:
        spine: The rows to be given features.
        features: The rows to take them from.
        entity: The columns in which both agree.
        known_by: Only features that arrived, and outcomes that were known, by then; None for all.
        arrivals_in_key: Whether one event may have several feature rows, with different arrivals.
        hash_function: The SQL function of the customer's columns that is sorted by.
    """

    spine: DeltaVersion
    features: DeltaVersion
    entity: Sequence[str]
    known_by: dt.datetime | None = None
    arrivals_in_key: bool = False
    hash_function: str = "hash"

    def run(self, connection: duckdb.DuckDBPyConnection, write: Callable[[str], Result]) -> Result:
        """Return what `write` returns of the query that selects the result's rows, in any order.

        A hash of the customer is sorted in place of its text, which takes half the time. Where two customers have one
        hash, which the query notices, it is done again with the text.
        """
        try:
            self._match(connection, by_hash=True)
            return write(self._result)
        except duckdb.InvalidInputException as error:
            if _ONE_HASH not in str(error):
                raise
        self._match(connection, by_hash=False)
        return write(self._result)

    def _match(self, connection: duckdb.DuckDBPyConnection, *, by_hash: bool) -> None:
        """Create the table `matches`: the spine, with the number and the event time of each row's feature row.

        Only keys and times are sorted; the features' values are fetched afterwards, by number.
        """
        customers = [quoted(name) for name in self.entity]
        customer = f"{self.hash_function if by_hash else 'ROW'}({', '.join(customers)}) AS _customer"
        identified = " AND ".join(f"{name} IS NOT NULL" for name in customers)
        spine = ", ".join(f"spine.{quoted(name)}" for name in self.spine.schema.names)
        visible = self._newest_when_seen if self._out_of_order(connection) else self._seen
        connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE matches AS
            SELECT {spine}, visible._row, visible._event AS {FEATURE_TIME}
            FROM (SELECT *, {customer} FROM ({self._mature})) AS spine
            ASOF LEFT JOIN (SELECT {customer}, _event, _from, _row FROM ({visible}) WHERE {identified}) AS visible
            ON spine._customer = visible._customer AND spine.{EVENT_TIME} >= visible._from""")

    @property
    def _result(self) -> str:
        """Select the result's rows; the query fails where a row got the features of another customer."""
        spine = [f"matches.{quoted(name)}" for name in self.spine.schema.names]
        left_out = {name.lower() for name in (*self.spine.schema.names, *self.entity, EVENT_TIME)}
        taken = [quoted(name) for name in self.features.schema.names if name.lower() not in left_out]
        customers = [quoted(name) for name in self.entity]
        stored = [f"{ROW} AS _row", *(f"{name} AS _key{at}" for at, name in enumerate(customers)), *taken]
        same = " AND ".join(f"matches.{name} = taken._key{at}" for at, name in enumerate(customers))
        time = f"CASE WHEN _row IS NULL OR ({same}) THEN matches.{FEATURE_TIME} ELSE error('{_ONE_HASH}') END"
        return f"""
            SELECT {", ".join(spine + [f"taken.{name}" for name in taken])}, {time} AS {FEATURE_TIME}
            FROM matches
            LEFT JOIN (SELECT {", ".join(stored)} FROM {self.features.relation()}) AS taken
            USING (_row)"""

    def _out_of_order(self, connection: duckdb.DuckDBPyConnection) -> bool:
        """Whether a row can come into sight beside or after one with a later event or arrival."""
        if ARRIVED_AT not in self.features.schema.names or self.arrivals_in_key:
            return self.arrivals_in_key
        late = f"SELECT 1 FROM {self.features.relation()} WHERE {ARRIVED_AT} > {EVENT_TIME} LIMIT 1"
        return bool(connection.execute(late).fetchall())

    @property
    def _mature(self) -> str:
        """Select the rows of the spine, but those whose outcome was not known yet."""
        has_outcome = self.known_by and LABEL_TIME in self.spine.schema.names
        condition = f"WHERE {LABEL_TIME} <= {self._known_by}" if has_outcome else ""
        return f"SELECT * FROM {self.spine.relation()} {condition}"

    @property
    def _known_by(self) -> str:
        return f"'{self.known_by.isoformat()}'::TIMESTAMPTZ" if self.known_by else ""

    @property
    def _arrival(self) -> str:
        has_arrival = ARRIVED_AT in self.features.schema.names
        return f"coalesce({ARRIVED_AT}, {EVENT_TIME})" if has_arrival else EVENT_TIME

    @property
    def _partition(self) -> str:
        return f"PARTITION BY {', '.join(map(quoted, self.entity))}"

    @property
    def _seen(self) -> str:
        """Select every feature row, and since when it can be seen."""
        condition = f"WHERE _arrival <= {self._known_by}" if self.known_by else ""
        return f"""
            SELECT {", ".join(map(quoted, self.entity))}, {EVENT_TIME} AS _event, {self._arrival} AS _arrival,
                greatest(_event, _arrival) AS _from, {ROW} AS _row
            FROM {self.features.relation()} {condition}"""

    @property
    def _newest_when_seen(self) -> str:
        """Select the rows that are newer than all others that could be seen when they came into sight."""
        ranked = (
            f"SELECT *, row_number() OVER ({self._partition} ORDER BY _event, _arrival) AS _place FROM ({self._seen})"
        )
        return f"SELECT * FROM ({ranked}) QUALIFY _place = max(_place) OVER ({self._partition} ORDER BY _from)"


def plan_join(
    spine: DeltaVersion, features: DeltaVersion, key: Sequence[str], known_by: dt.datetime | None = None
) -> PointInTimeJoin:
    """Return the join of two tables on what `key`, the features' key, holds beside times.

    A `known_by` without a time zone is taken as UTC.

    Raises:
        StoreError: a table lacks the event time, the spine lacks a column of the key or has it in another type, the
            key holds times alone, or a table already has a column `feature_ts`.
    """
    entity = [name for name in key if name not in (EVENT_TIME, ARRIVED_AT)]
    if not entity:
        raise StoreError(f"The table {features.path.name!r} has no customer in its key ({', '.join(key)}): add one.")
    for table in (spine, features):
        name = table.path.name
        types = {field.name: field.type for field in table.schema}
        if types.get(EVENT_TIME) != TIME:
            raise StoreError(f"The table {name!r} has no time {EVENT_TIME!r} to join on: add that column.")
        if FEATURE_TIME in types:
            raise StoreError(f"The table {name!r} has a column {FEATURE_TIME!r}, which the join makes: rename it.")
        for column in entity:
            if types.get(column) != features.schema.field(column).type:
                raise StoreError(
                    f"The table {name!r} has no column {column!r} of type {features.schema.field(column).type}, as "
                    f"{features.path.name!r} has: add it, or cast it."
                )
    if known_by is not None:
        known_by = known_by.replace(tzinfo=known_by.tzinfo or dt.UTC).astimezone(dt.UTC)
    return PointInTimeJoin(spine, features, entity, known_by, arrivals_in_key=ARRIVED_AT in key)
