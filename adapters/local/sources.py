"""Reads a user's table: CSV, JSON lines, Excel, Parquet or Delta, recognised by the path and its content."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet

from churn.core.errors import ContractError, StoreError
from churn.data.delivery import PART_ROWS, Delivery
from churn.data.file_format import FileFormat
from churn.data.ingest import Source

from .opened_text import is_workbook
from .row_files import Opened, open_rows, open_workbook

__all__ = ["open_source", "read_source"]


def open_source(path: Path, rows: int = PART_ROWS, file_format: FileFormat | None = None) -> Delivery:
    """Return the table at `path` in parts of so many rows.

    Values of CSV, JSON lines and workbooks are text, blank ones missing. Rows and lines that were set aside are checked
    against the number of rows that the file itself counts.

    Args:
        path: A CSV (any of `, ; | tab`) or JSON lines, plain, compressed or alone in a zip archive; an Excel or
            OpenDocument workbook; a Parquet file, a folder of Parquet files or a Delta table.
        rows: Rows of a part.
        file_format: How the file is written, where that is not plain.

    Raises:
        ContractError: there is nothing at the path, or no file; from the parts also, that it is none of these, broken
            or empty.
        StoreError: from the parts, that the file cannot be read, or not all of its rows.
    """
    if not path.exists():
        raise ContractError(f"There is no data at {path}: check the path.")
    if not (path.is_file() or path.is_dir()):
        raise ContractError(
            f"{path} is a pipe or a device, and a table is read more than once: write it to a file first."
        )
    written = file_format or FileFormat()

    def parts() -> Iterator[Source]:
        with _explained(path):
            opened = _open(path, rows, written)
            count = 0
            for table in _of_equal_size(opened, rows):
                count += table.num_rows
                yield Source(str(path), table, tuple(_taken(opened.broken_lines)))
            if (expected := opened.own_count()) != count:
                raise StoreError(
                    f"{path} has {expected:,} rows by its own count, and {count:,} were read: it changes while it is "
                    "read, or is damaged. Copy it again."
                )

    return Delivery(str(path), parts)


def read_source(path: Path, file_format: FileFormat | None = None) -> Source:
    """Return the whole table at `path`. Raises as `open_source` and its parts do."""
    parts = list(open_source(path, file_format=file_format).parts())
    lines = chain.from_iterable(part.broken_lines for part in parts)
    return Source(str(path), pa.concat_tables([part.rows for part in parts]), tuple(lines))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise StoreError(f"{path} may not be read by this user: change its permissions.") from error
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0]
        raise ContractError(f"{path} is no table that can be read ({reason}): copy or write it again.") from error


def _taken(lines: deque[str]) -> Iterator[str]:
    while lines:
        yield lines.popleft()


def _open(path: Path, rows: int, written: FileFormat) -> Opened:
    if (path / "_delta_log").is_dir():
        return _scanned(_delta(path), rows)
    if path.is_dir():
        return _scanned(_folder(path), rows)
    if _is_parquet(path):
        file = pyarrow.parquet.ParquetFile(path)
        # One row group at a time: over all of them at once Arrow keeps 14 bytes for every row that it has read.
        groups = (file.iter_batches(rows, row_groups=[group]) for group in range(file.num_row_groups))
        return Opened(file.schema_arrow, chain.from_iterable(groups), lambda: file.metadata.num_rows, deque())
    return (open_workbook if is_workbook(path) else open_rows)(path, rows, written)


def _of_equal_size(opened: Opened, rows: int) -> Iterator[pa.Table]:
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


def _folder(path: Path) -> pyarrow.dataset.Dataset:
    """Return Parquet files in a folder and those below it, with the columns of all of them."""
    for file in path.rglob("*"):
        within = file.relative_to(path)
        hidden = any(part.startswith(("_", ".")) for part in within.parts)  # what Spark writes beside its files
        if file.is_file() and not hidden and not _is_parquet(file):
            raise ContractError(
                f"{path} is a folder, and {within} in it is no Parquet file: deliver one file, or a folder of "
                "Parquet files alone."
            )
    table = pyarrow.dataset.dataset(path, format="parquet", partitioning="hive")
    try:
        schemas = [table.schema, *(fragment.physical_schema for fragment in table.get_fragments())]
        return table.replace_schema(pa.unify_schemas(schemas, promote_options="permissive"))
    except pa.ArrowTypeError as error:
        raise ContractError(
            f"The Parquet files of the folder {path} hold a column in types that do not fit ({error}): write it in one "
            "type, or deliver the files one by one."
        ) from error


def _delta(path: Path) -> pyarrow.dataset.Dataset:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        return DeltaTable(path).to_pyarrow_dataset()
    except DeltaError as error:
        raise ContractError(f"{path} is not a Delta table that can be read: {error}.") from error


def _scanned(table: pyarrow.dataset.Dataset, rows: int) -> Opened:
    batches = table.to_batches(batch_size=rows, batch_readahead=1, fragment_readahead=1, use_threads=False)
    return Opened(table.schema, batches, table.count_rows, deque())
