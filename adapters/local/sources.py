"""Reading a user's table: CSV, Parquet or Delta, told apart by what lies at the path."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet

from churn.core.errors import ContractError, StoreError
from churn.data.delivery import PART_ROWS, Delivery
from churn.data.ingest import Source

__all__ = ["open_source", "read_source"]

_DELIMITERS = ",;\t|"
_BLOCK = 1 << 21
"""Bytes of a CSV that are parsed at a time, of which Arrow reads 32 ahead; no line may be longer."""


def open_source(path: Path, rows: int = PART_ROWS) -> Delivery:
    """Return the table at `path` in parts of so many rows; the values of a CSV are text, blank ones missing.

    Args:
        path: A `.csv` (any of `, ; | tab`, gzip too), a Parquet file, a folder of Parquet files or a Delta table.
        rows: Rows of a part.

    Raises:
        ContractError: there is nothing at the path; from the parts also, that it is none of these, broken or empty.
        StoreError: from the parts, that the file cannot be read.
    """
    if not path.exists():
        raise ContractError(f"There is no data at {path}: check `--data`.")

    def parts() -> Iterator[Source]:
        try:
            opened = _open(path, rows)
            for table in _of_equal_size(opened, rows):
                yield Source(str(path), table, tuple(opened.broken_lines))
                opened.broken_lines.clear()
        except PermissionError as error:
            raise StoreError(f"{path} may not be read by this user: change its permissions.") from error
        except (pa.ArrowInvalid, UnicodeDecodeError, csv.Error) as error:
            reason = str(error).splitlines()[0]
            raise ContractError(f"{path} is not a CSV in UTF-8, a Parquet file or a Delta table: {reason}.") from error

    return Delivery(str(path), parts)


def read_source(path: Path) -> Source:
    """Return the whole table at `path`. Raises as `open_source` and its parts do."""
    parts = list(open_source(path).parts())
    lines = chain.from_iterable(part.broken_lines for part in parts)
    return Source(str(path), pa.concat_tables([part.rows for part in parts]), tuple(lines))


class _Opened(NamedTuple):
    """A table as its format streams it; `broken_lines` grows while it is read."""

    schema: pa.Schema
    batches: Iterable[pa.RecordBatch]
    broken_lines: list[str]


def _open(path: Path, rows: int) -> _Opened:
    if (path / "_delta_log").is_dir():
        return _scanned(_delta(path), rows)
    if path.is_dir():
        return _scanned(pyarrow.dataset.dataset(path, format="parquet", partitioning="hive"), rows)
    if _is_parquet(path):
        file = pyarrow.parquet.ParquetFile(path)
        # One row group at a time: over all of them at once Arrow keeps 14 bytes for every row that it has read.
        groups = (file.iter_batches(rows, row_groups=[group]) for group in range(file.num_row_groups))
        return _Opened(file.schema_arrow, chain.from_iterable(groups), [])
    return _csv(path)


def _of_equal_size(opened: _Opened, rows: int) -> Iterator[pa.Table]:
    """Yield the rows, so many at a time; the last rows, or none of an empty table, once the table has been read."""
    waiting: list[pa.RecordBatch] = []
    room = rows
    for batch in opened.batches:
        rest = batch
        while rest.num_rows > room:
            yield pa.Table.from_batches([*waiting, rest.slice(0, room)])
            waiting, rest, room = [], rest.slice(room), rows
        waiting.append(rest)
        room -= rest.num_rows
    yield pa.Table.from_batches(waiting, opened.schema)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _delta(path: Path) -> pyarrow.dataset.Dataset:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        return DeltaTable(path).to_pyarrow_dataset()
    except DeltaError as error:
        raise ContractError(f"{path} is not a Delta table that can be read: {error}.") from error


def _scanned(table: pyarrow.dataset.Dataset, rows: int) -> _Opened:
    batches = table.to_batches(batch_size=rows, batch_readahead=1, fragment_readahead=1, use_threads=False)
    return _Opened(table.schema, batches, [])


def _csv(path: Path) -> _Opened:
    header = _header(path)
    delimiter = max(_DELIMITERS, key=header.count)
    names = next(csv.reader([header], delimiter=delimiter), [])
    if not names:
        raise ContractError(f"{path} is empty: it needs a line of column names and a line for each customer.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ContractError(f"{path} has more than one column named {', '.join(map(repr, twice))}: rename one of them.")
    broken: list[str] = []

    def refuse(row: pyarrow.csv.InvalidRow) -> str:
        broken.append(str(row.text))
        return "skip"

    reader = pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=_BLOCK),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )
    return _Opened(reader.schema, reader, broken)


def _header(path: Path) -> str:
    with pa.input_stream(str(path), compression="detect") as stream:
        start = stream.read(1 << 16)
    return (
        start.decode("utf-8-sig", errors="strict" if len(start) < 1 << 16 else "ignore").split("\n", 1)[0].rstrip("\r")
    )
