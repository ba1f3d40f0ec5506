"""The port of the online store: the newest features of each customer, found by key in microseconds."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal, NamedTuple

import pyarrow as pa

from ..core.clock import UtcTime
from ..core.frozen import Frozen
from .tables import TableRef

__all__ = ["OnlineColumns", "OnlineRow", "OnlineStore", "OnlineValue", "OnlineWriter", "Publication"]

OnlineColumns = Mapping[str, Literal["categorical", "numeric"]]
"""The stored columns in their order, and how each is computed on."""
OnlineValue = float | str | None
"""A value as the model reads it: a finite number, a text in its canonical spelling, or None where it is missing."""


class OnlineRow(NamedTuple):
    """The newest features of one customer.

    Attributes:
        customer: The key.
        values: By column.
        event_time: When they were true (UTC).
        arrived_at: When they could first be seen (UTC).
        table_version: The version of the feature table that they were published from.
    """

    customer: str
    values: dict[str, OnlineValue]
    event_time: dt.datetime
    arrived_at: dt.datetime
    table_version: int


class Publication(Frozen):
    """What the store holds; recorded once all of it is there.

    Attributes:
        features: The version of the feature table.
        columns: The stored columns.
        as_of: What was known by then is there: the watermark from which the next publication goes on.
        ingested_until: When the newest published row was written to the tables: the same for rows that were corrected.
        published_at: When it was published, by the clock.
    """

    features: TableRef
    columns: OnlineColumns
    as_of: UtcTime
    ingested_until: UtcTime
    published_at: UtcTime


class OnlineWriter(ABC):
    """One publication that is under way; a killed one leaves whole rows, and the next one goes on from them."""

    @abstractmethod
    def write(self, rows: pa.RecordBatch, table_version: int) -> None:
        """Write rows, all of them or none.

        A row takes the place of the one that is there, unless that one is newer by event time and then by arrival; a
        full publication takes its own rows in any case. The same rows again change nothing.

        Args:
            rows: The columns `customer`, `event_time` and `arrived_at` (UTC), then those of the publication: float64
                or text, null where missing. No customer stands twice.
            table_version: The version of the feature table.
        """

    @abstractmethod
    def remove(self, customers: Sequence[str]) -> int:
        """Remove customers, and return how many of them were there."""

    @abstractmethod
    def record(self, publication: Publication) -> None:
        """Record that all of it is there."""


class OnlineStore(ABC):
    """One row a customer of one data set, a copy of the feature table: what is lost can be published again.

    Readers never wait for a writer, and see a customer's row as a whole, of before or of after. Any method raises
    StoreError where the store does not answer, is full, or has a format of another version of this project.
    """

    @abstractmethod
    def publication(self) -> Publication | None:
        """Return what was last published to its end; None where nothing was."""

    @abstractmethod
    def publishing(self, columns: OnlineColumns, *, full: bool) -> AbstractContextManager[OnlineWriter]:
        """Publish rows with these columns. One does so at a time and others wait; whoever is killed lets go.

        Args:
            columns: The stored columns.
            full: Whether rows may replace newer ones.
        """

    def get(self, customer: str) -> OnlineRow | None:
        """Return the row of a customer, None where there is none; see `rows`."""
        return next(iter(self.rows([customer])), None)

    @abstractmethod
    def rows(self, customers: Sequence[str]) -> Sequence[OnlineRow]:
        """Return the rows of those of the customers that are there, in any order. Safe to call from several threads.

        Any text may be asked for, also one that cannot be a key.

        Args:
            customers: Each once.
        """

    @abstractmethod
    def customers(self) -> Iterator[str]:
        """Return the key of every customer, in any order."""

    @abstractmethod
    def erase(self, customer: str) -> bool:
        """Remove the row of a customer, so that the files of the store hold it no more; return whether there was one.

        It waits for a publication that is under way. The next publication brings back what the feature table holds.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of connections; a closed store may be used again."""
