"""Readers of CSV, JSON lines and workbooks: files of rows as batches of text."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.csv

from churn.core.errors import ContractError, nearest
from churn.data.file_format import FileFormat
from churn.model.frame import canonical_text

from .opened_text import is_workbook, open_text
from .text_lines import CsvLines, column_names, lines_of

__all__ = ["Opened", "open_rows", "open_workbook", "sheet_names"]

_BATCH = 1 << 24
"""Characters of a CSV, or cells, that are parsed at a time; fewer where a part has fewer rows."""
_START = 4096
_JSON_LINES = 'write one object on each line (JSON lines; in pandas `to_json(FILE, orient="records", lines=True)`)'
Row = TypeVar("Row", str, Sequence[Any])


class Opened(NamedTuple):
    """A table as its format streams it.

    Attributes:
        schema: Its columns.
        batches: Its rows, streamed once.
        own_count: Returns how many rows there are, counted by the file itself or by other code than reads them.
        broken_lines: Lines that are no row; they are added while the rows are read.
    """

    schema: pa.Schema
    batches: Iterable[pa.RecordBatch]
    own_count: Callable[[], int]
    broken_lines: deque[str]


def open_rows(path: Path, rows: int, written: FileFormat) -> Opened:
    """Return a CSV or JSON lines, up to `rows` rows a batch; raises ContractError as `open_text` and `CsvLines` do."""
    with open_text(path, written.encoding) as text:
        first = text.read(_START).removeprefix("\ufeff").lstrip()
    if first.startswith("["):
        raise ContractError(f"{path} is one JSON array: {_JSON_LINES}.")
    return _json_lines(path, rows, written) if first.startswith("{") else _csv(path, rows, written)


def _csv(path: Path, rows: int, written: FileFormat) -> Opened:
    with open_text(path, written.encoding) as text:
        head = CsvLines(text, str(path))
    broken: deque[str] = deque()
    counted = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal counted
        with open_text(path, written.encoding) as text:
            lines = CsvLines(text, str(path), broken)
            for records in _in_batches(lines.records(), rows):
                counted += len(records)
                yield from _parsed("".join(records).encode(), head).to_batches()

    return Opened(pa.schema([(name, pa.string()) for name in head.names]), batches(), lambda: counted, broken)


def _parsed(text: bytes, head: CsvLines) -> pa.Table:
    return pyarrow.csv.read_csv(
        pa.BufferReader(text),
        read_options=pyarrow.csv.ReadOptions(column_names=head.names, use_threads=False, block_size=len(text) + 1),
        parse_options=pyarrow.csv.ParseOptions(delimiter=head.delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(head.names, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )


def _json_lines(path: Path, rows: int, written: FileFormat) -> Opened:
    broken: deque[str] = deque()
    lines = set_aside = 0

    def objects(aside: deque[str] | None) -> Iterator[Mapping[str, Any]]:
        nonlocal lines, set_aside
        with open_text(path, written.encoding) as text:
            for line in filter(str.strip, lines_of(text, str(path))):
                value = _object(line)
                if value is not None:
                    yield value
                elif aside is not None:
                    aside.append(line.strip())
                    set_aside += 1
                lines += aside is None

    names, whole = {}, True
    for value in objects(None):
        names.update(dict.fromkeys(value))
        whole = whole and all(isinstance(part, dict) for part in value.values())
    if not names:
        raise ContractError(f"{path} has no JSON object on a line of its own: {_JSON_LINES}.")
    if whole and lines == 1:
        raise ContractError(f"{path} is one JSON object of whole columns or rows: {_JSON_LINES}.")
    rows_of_values = (tuple(map(value.get, names)) for value in objects(broken))
    return Opened(*_texts(list(names), rows_of_values, rows, written), lambda: lines - set_aside, broken)


def _object(line: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value else None


def open_workbook(path: Path, rows: int, written: FileFormat) -> Opened:
    """Return a sheet of an Excel or OpenDocument workbook: its first, or the one that `written` names.

    Raises:
        ContractError: there is no such sheet, it is empty, two columns have one name, or the workbook is damaged or has
            a password.
    """
    import python_calamine as calamine

    try:
        book = calamine.CalamineWorkbook.from_path(path)
        sheet_name = book.sheet_names[0] if written.sheet is None else written.sheet
        if sheet_name not in book.sheet_names:
            raise ContractError(
                f"{path} has no sheet {sheet_name!r}{nearest(sheet_name, book.sheet_names) or '.'} It has: "
                f"{', '.join(book.sheet_names)}."
            )
        sheet = book.get_sheet_by_name(sheet_name)
    except calamine.PasswordError as error:
        raise ContractError(f"{path} is a workbook with a password: save it without one.") from error
    except calamine.CalamineError as error:
        raise ContractError(f"{path} is no workbook that can be read ({error}): save it again as .xlsx.") from error
    cells = (row for row in sheet.iter_rows() if any(value != "" for value in row))
    header = next(cells, [])
    names = column_names([canonical_text(value) for value in header], f"The sheet {sheet_name!r} of {path}")
    schema, batches = _texts(names, cells, rows, written)
    counted = sum(any(value != "" for value in row) for row in sheet.iter_rows()) - 1
    return Opened(schema, batches, lambda: counted, deque())


def sheet_names(path: Path) -> list[str]:
    """Return the sheets of a workbook, in their order; none of a file that is no workbook or cannot be read."""
    import python_calamine as calamine

    try:
        return list(calamine.CalamineWorkbook.from_path(path).sheet_names) if is_workbook(path) else []
    except (OSError, calamine.CalamineError, calamine.PasswordError):
        return []


def _texts(
    names: Sequence[str], rows: Iterator[Sequence[Any]], at_once: int, written: FileFormat
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return rows of Python values as columns of text, written as the files of the data set are."""
    schema = pa.schema([(name, pa.string()) for name in names])

    def text(value: Any) -> str | None:
        if isinstance(value, str) or value is None:
            return value or None
        if isinstance(value, dict | list):
            return json.dumps(value)
        if isinstance(value, float):
            return None if math.isnan(value) else canonical_text(value).replace(".", written.decimal)
        return canonical_text(value)

    def batches() -> Iterator[pa.RecordBatch]:
        for part in _in_batches(rows, at_once):
            columns = zip(*part, strict=True)
            arrays = [pa.array(map(text, column), pa.string()) for column in columns]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return schema, batches()


def _in_batches(rows: Iterator[Row], at_once: int) -> Iterator[list[Row]]:
    batch: list[Row] = []
    total = 0
    for row in rows:
        batch.append(row)
        total += len(row)
        if len(batch) == at_once or total > _BATCH:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
