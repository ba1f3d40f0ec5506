"""A delivered table of any size: validated in parts, and for duplicates over the whole."""

from __future__ import annotations

import datetime as dt
import gc
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ..core.errors import ChurnError, ContractError, DataError
from ..model.frame import as_strings
from .contract import DatasetContract, snake_case
from .ingest import Repeats, Source, bronze_schema, conform, row_keys, rows_as_arrived, to_bronze
from .scorable import scorable
from .validation import ValidationReport, ValidationSettings, distinct_rows, merged, validate

__all__ = ["PART_ROWS", "Checked", "Delivery", "check", "numbered"]

PART_ROWS = 65_536
"""Rows of a part, the only ones that are in memory at a time."""


class Delivery(NamedTuple):
    """A table as it is delivered.

    Attributes:
        name: Where it comes from.
        parts: Reads it from the beginning: some rows at a time, the same at each call, in their order.
    """

    name: str
    parts: Callable[[], Iterator[Source]]


def numbered(delivery: Delivery, contract: DatasetContract) -> Delivery:
    """Return a table without a key with one: the number of each row, from 1, after a digest of the whole table.

    So the same table delivered again has the same customers, and no row of another table is taken for one of them.
    """

    def parts(table: str) -> Iterator[Source]:
        first = 1
        for source in delivery.parts():
            rows, clash = source.rows, [name for name in source.rows.column_names if snake_case(name) == key]
            if clash:
                raise ContractError(
                    f"{delivery.name} has a column {clash[0]!r}, and {contract.name!r} numbers the rows in a column of "
                    "that name: rename it, or take `numbered_rows` out of the contract if it is the customer's key."
                )
            names = pa.array(f"{table}{number}" for number in range(first, first + rows.num_rows))
            yield source._replace(rows=rows.append_column(key, names.cast(pa.string())))
            first += rows.num_rows

    key = contract.entity_key
    whole = hashlib.sha256()
    for source in parts(""):
        texts = rows_as_arrived(source, contract).drop(columns=key).apply(as_strings)
        whole.update(pd.util.hash_pandas_object(texts, index=False).to_numpy().tobytes())
    return Delivery(delivery.name, lambda: parts(f"{whole.hexdigest()[:8]}-"))


class Checked(NamedTuple):
    """A delivery after validation.

    Attributes:
        report: What became of its rows; `report.require()` applies the allowed share of broken ones.
        accepted: Reads the rows that keep every rule, as the bronze table stores them.
    """

    report: ValidationReport
    accepted: Callable[[], pa.RecordBatchReader]


class _Part(NamedTuple):
    """What the first reading found of a part: its rows, and which repeat others; None where it is the whole table."""

    rows: int
    repeats: Repeats | None


def check(
    delivery: Delivery,
    contract: DatasetContract,
    settings: ValidationSettings,
    *,
    now: dt.datetime,
    quarantine: Callable[[pa.Table], object],
    scoring: bool = False,
    entries_at_once: int = 100_000,
) -> Checked:
    """Check a delivery against its contract, a part at a time, as `validate` checks a table that is in memory.

    It is read to its end before the first rule is checked, so that a file that cannot be read leaves nothing behind.
    That reading tells which rows repeat others; it takes 8 bytes for each row, and about 400 for each that does.

    Args:
        delivery: The table.
        contract: The dataset contract.
        settings: How many broken rows are allowed.
        now: No row may lie after it.
        quarantine: Keeps entries of the quarantine. Those of the first parts stay there if a later part fails.
        scoring: Whether the rows are only to be scored; see `validate`.
        entries_at_once: How many entries are kept together, about; a table that has fewer keeps all of them at once.

    Raises:
        ContractError: the table is empty, or its columns are not the contract's.
        DataError: the table changed while it was read. The message says where entries are in the quarantine already.
    """
    parts = _first_reading(delivery, contract)
    reports: list[ValidationReport] = []
    masks: list[npt.NDArray[np.bool_]] = []
    entries: list[pa.Table] = []
    quarantined = 0
    try:
        for source, part in _read_again(delivery, parts):
            batch = conform(source, contract, part.repeats)
            accepted, broken, report = validate(batch, contract, settings, now=now, scoring=scoring)
            masks.append(np.isin(batch.frame.index, accepted.index))
            reports.append(report)
            entries.append(broken)
            if sum(table.num_rows for table in entries) >= entries_at_once or len(reports) == len(parts):
                together = distinct_rows(entries)
                if together is not None:
                    quarantine(together)
                    quarantined += together.num_rows
                entries.clear()
            del batch, accepted
            if len(parts) > 1:
                gc.collect()  # what checks the rules refers to itself and to the rows: they would be freed much later
    except ChurnError as error:
        if not quarantined:
            raise
        wrong = f"what was wrong with the first rows ({quarantined:,} entries) is in the quarantine table"
        raise type(error)(f"{error} None of the rows was used; {wrong}.", evidence=error.evidence) from error

    def batches() -> Iterator[pa.RecordBatch]:
        for (source, part), mask in zip(_read_again(delivery, parts), masks, strict=True):
            frame = conform(source, contract, part.repeats).frame[mask]
            yield from to_bronze(scorable(frame, contract) if scoring else frame, contract).to_batches()

    return Checked(
        merged(reports, contract, now),
        lambda: pa.RecordBatchReader.from_batches(bronze_schema(contract), batches()),
    )


def _first_reading(delivery: Delivery, contract: DatasetContract) -> list[_Part]:
    hashes = [
        pd.util.hash_pandas_object(row_keys(source, contract), index=False).to_numpy() for source in delivery.parts()
    ]
    if len(hashes) == 1:
        return [_Part(len(hashes[0]), None)]
    parts = [_Part(len(part), Repeats(*(np.zeros(len(part), dtype=bool) for _ in range(2)))) for part in hashes]
    ordered = np.concatenate(hashes)
    ordered.sort()
    several = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if len(several):
        _mark_repeats(delivery, contract, parts, [np.flatnonzero(np.isin(part, several)) for part in hashes])
    return parts


def _mark_repeats(
    delivery: Delivery, contract: DatasetContract, parts: Sequence[_Part], suspects: Sequence[npt.NDArray[np.intp]]
) -> None:
    """Mark which rows of each part repeat others, of those whose customer and time another row may have."""
    contents: set[bytes] = set()
    first: dict[tuple[object, ...], tuple[int, int]] = {}
    marks = [part.repeats for part in parts if part.repeats is not None]
    for number, (source, _) in enumerate(_read_again(delivery, parts)):
        if not len(suspects[number]):
            continue
        rows = Source(source.name, source.rows.take(pa.array(suspects[number])))
        keys = row_keys(rows, contract).itertuples(index=False, name=None)
        for row, key, content in zip(suspects[number], keys, _contents(rows_as_arrived(rows, contract)), strict=True):
            if content in contents:
                marks[number].copied[row] = True
                continue
            contents.add(content)
            if any(pd.isna(value) for value in key):
                continue
            part, place = first.setdefault(key, (number, int(row)))
            if (part, place) != (number, row):
                marks[part].shared[place] = marks[number].shared[row] = True


def _contents(rows: pd.DataFrame) -> Iterator[bytes]:
    """Yield 128 bits of each row; 0.0 is -0.0, and every missing value is the same."""
    for row in rows.itertuples(index=False, name=None):
        values = [None if pd.isna(value) else value + 0.0 if isinstance(value, float) else value for value in row]
        yield hashlib.blake2b(repr(values).encode(), digest_size=16).digest()


def _read_again(delivery: Delivery, parts: Sequence[_Part]) -> Iterator[tuple[Source, _Part]]:
    """Yield the parts of a delivery with what the first reading found of them."""
    number = -1
    for number, source in enumerate(delivery.parts()):
        if number >= len(parts) or source.rows.num_rows != parts[number].rows:
            raise _changed(delivery)
        yield source, parts[number]
    if number + 1 != len(parts):
        raise _changed(delivery)


def _changed(delivery: Delivery) -> DataError:
    return DataError(f"{delivery.name} changed while it was read: deliver it again once nobody writes to it.")
