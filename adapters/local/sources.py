"""Reading a user's table: CSV, Parquet or Delta, told apart by what lies at the path."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from churn.core.errors import ContractError, StoreError
from churn.data.ingest import Source

__all__ = ["read_source"]

_DELIMITERS = ",;\t|"


def read_source(path: Path) -> Source:
    """Return the rows at `path`; the values of a CSV are text, blank ones missing.

    Args:
        path: A `.csv` (any of `, ; | tab`, gzip too), a Parquet file, a folder of Parquet files or a Delta table.

    Raises:
        ContractError: there is nothing at the path, or it is none of these, or it is broken or empty.
        StoreError: the file cannot be read.
    """
    if not path.exists():
        raise ContractError(f"There is no data at {path}: check `--data`.")
    try:
        if (path / "_delta_log").is_dir():
            return Source(str(path), _read_delta(path))
        if path.is_dir() or _is_parquet(path):
            return Source(str(path), pyarrow.parquet.read_table(path))
        return _read_csv(path)
    except PermissionError as error:
        raise StoreError(f"{path} may not be read by this user: change its permissions.") from error
    except (pa.ArrowInvalid, UnicodeDecodeError, csv.Error) as error:
        reason = str(error).splitlines()[0]
        raise ContractError(f"{path} is not a CSV in UTF-8, a Parquet file or a Delta table: {reason}.") from error


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _read_delta(path: Path) -> pa.Table:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        return DeltaTable(path).to_pyarrow_table()
    except DeltaError as error:
        raise ContractError(f"{path} is not a Delta table that can be read: {error}.") from error


def _read_csv(path: Path) -> Source:
    header = _header(path)
    delimiter = max(_DELIMITERS, key=header.count)
    names = next(csv.reader([header], delimiter=delimiter), [])
    if not names:
        raise ContractError(f"{path} is empty: it needs a line of column names and a line for each customer.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ContractError(f"{path} has more than one column named {', '.join(map(repr, twice))}: rename one of them.")
    broken: list[pyarrow.csv.InvalidRow] = []

    def refuse(row: pyarrow.csv.InvalidRow) -> str:
        broken.append(row)
        return "skip"

    table = pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )
    return Source(str(path), table, tuple(str(row.text) for row in broken))


def _header(path: Path) -> str:
    with pa.input_stream(str(path), compression="detect") as stream:
        start = stream.read(1 << 16)
    return (
        start.decode("utf-8-sig", errors="strict" if len(start) < 1 << 16 else "ignore").split("\n", 1)[0].rstrip("\r")
    )
