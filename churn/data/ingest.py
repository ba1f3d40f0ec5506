"""Converts a source's rows to the contract's names, types and times, and records every value that does not fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import ContractError, nearest
from ..model.frame import as_numbers, as_strings, without_missing_words
from .contract import DatasetContract, snake_case
from .file_format import FileFormat
from .tables import ARRIVED_AT, EVENT_TIME, LABEL_TIME, TRUTH

__all__ = [
    "EPOCHS",
    "RAW_LABEL",
    "CellFault",
    "Conformed",
    "Repeats",
    "Source",
    "bronze_schema",
    "conform",
    "epoch_times",
    "fault_columns",
    "row_keys",
    "rows_as_arrived",
    "to_bronze",
]

EPOCHS: Mapping[str, Literal["s", "ms"]] = {"unix seconds": "s", "unix milliseconds": "ms"}
"""How times are written that count from 1970, and what pandas calls the unit."""
RAW_LABEL = "raw_label"
"""The outcome as the source spells it."""


class Source(NamedTuple):
    """Rows as a source delivered them: where from, the table (values may be text), and lines that are no row of it."""

    name: str
    rows: pa.Table
    broken_lines: tuple[str, ...] = ()


class CellFault(NamedTuple):
    """One value that breaks a rule: the row's position, the column, the rule in words, the value as it arrived."""

    row: int
    column: str
    rule: str
    value: str


class Repeats(NamedTuple):
    """Which rows of a source repeat others; shape `(n_rows,)` each.

    Attributes:
        copied: An earlier row is the same in every column.
        shared: Another row, copies left out, has the same customer and event time.
    """

    copied: npt.NDArray[np.bool_]
    shared: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Conformed:
    """A source's rows under the contract's names and types.

    Attributes:
        frame: One row per row of the source, less exact copies, index from 0. Key, categorical columns and the raw
            label are text (None for missing), numeric columns float64 (NaN for missing), times UTC (NaT for missing).
        raw: The same rows as they arrived.
        faults: Values that could not be read as their column's type; they are missing in `frame`.
        copies: Rows left out because an earlier row was the same in every column.
        shared: Whether another row has the same customer and event time, shape `(n_rows,)`.
        ignored: The source's columns that the contract does not know.
        source: Where the rows came from.
        broken_lines: Lines of a text file that do not have one value for each column.
    """

    frame: pd.DataFrame
    raw: pd.DataFrame
    faults: tuple[CellFault, ...]
    copies: int
    shared: npt.NDArray[np.bool_]
    ignored: tuple[str, ...]
    source: str
    broken_lines: tuple[str, ...]


def conform(source: Source, contract: DatasetContract, repeats: Repeats | None = None) -> Conformed:
    """Read a source's rows as the contract's.

    Args:
        source: The rows.
        contract: The dataset contract.
        repeats: Which rows repeat others, where the source is a part of a table; found among the rows if left out.

    Raises:
        ContractError: the table is empty, two columns have the same normalised name, or a column that the contract
            requires is not there; the message names the columns and the nearest ones that are.
    """
    table, ignored = _known(source, contract)
    raw = _as_arrived(table)
    copied = raw.duplicated().to_numpy() if repeats is None else repeats.copied
    raw = raw.loc[~copied].reset_index(drop=True)
    frame, faults = _typed(raw, contract)
    if repeats is None:
        key = frame[[contract.entity_key, EVENT_TIME]]
        shared = (key.duplicated(keep=False) & key.notna().all(axis=1)).to_numpy()
    else:
        shared = repeats.shared[~copied]
    return Conformed(frame, raw, tuple(faults), int(copied.sum()), shared, ignored, source.name, source.broken_lines)


def rows_as_arrived(source: Source, contract: DatasetContract) -> pd.DataFrame:
    """Return the rows as they arrived, in the contract's columns. Raises as `conform` does."""
    return _as_arrived(_known(source, contract)[0])


def row_keys(source: Source, contract: DatasetContract) -> pd.DataFrame:
    """Return customer and event time of the rows, as `conform` reads them. Raises as `conform` does."""
    table, _ = _known(source, contract)
    names = [name for name in (contract.entity_key, contract.event_time.column) if name in table.column_names]
    raw = _as_arrived(table.select(names))
    return pd.DataFrame({names[0]: _known_text(raw[names[0]]), EVENT_TIME: _event_time(raw, contract, [])})


def fault_columns(contract: DatasetContract) -> list[str | None]:
    """Return the columns whose values may be unreadable, in the order in which `conform` reads them."""
    clock = contract.event_time
    return [clock.column, clock.arrived_at, *contract.columns, contract.label.known_at, contract.truth]


def bronze_schema(contract: DatasetContract) -> pa.Schema:
    """Return the columns and types of the bronze table: key, times, inputs, raw label and a simulation's truth."""
    time = pa.timestamp("us", tz="UTC")
    types = {"categorical": pa.string(), "integer": pa.int64(), "number": pa.float64()}
    return pa.schema(
        [
            (contract.entity_key, pa.string()),
            (EVENT_TIME, time),
            (ARRIVED_AT, time),
            *((name, types[column.type]) for name, column in contract.columns.items()),
            (RAW_LABEL, pa.string()),
            (LABEL_TIME, time),
            *([(TRUTH, pa.float64())] if contract.truth else []),
        ]
    )


def to_bronze(frame: pd.DataFrame, contract: DatasetContract) -> pa.Table:
    """Return conformed rows as the bronze table stores them."""
    schema = bronze_schema(contract)
    complete = frame.reindex(columns=schema.names)
    return pa.Table.from_pandas(complete, schema=schema, preserve_index=False, safe=False).replace_schema_metadata(None)


def _known(source: Source, contract: DatasetContract) -> tuple[pa.Table, tuple[str, ...]]:
    """Return the rows in the contract's columns, under its names, and the names of the other columns."""
    if source.rows.num_rows == 0 and source.broken_lines:
        names, line = source.rows.column_names, source.broken_lines[0]
        raise ContractError(
            f"None of the {len(source.broken_lines):,} lines of {source.name} has one value for each of its "
            f"{len(names)} column names ({', '.join(names)[:80]}), such as {line[:80]!r}: give every column a name, in "
            "the first line."
        )
    if source.rows.num_rows == 0:
        raise ContractError(f"{source.name} has no rows, and {contract.name!r} needs at least one: check the source.")
    table = source.rows.rename_columns(_normalised(source.rows.column_names, contract))
    columns = [name for name in table.column_names if name in {*contract.columns, *contract.roles.values()}]
    _require_columns(columns, table.column_names, contract)
    for name in columns:
        if pa.types.is_nested(table.schema.field(name).type):
            raise ContractError(f"The column {name!r} holds lists or structures, not single values: flatten it first.")
    return table.select(columns), tuple(name for name in table.column_names if name not in columns)


def _as_arrived(table: pa.Table) -> pd.DataFrame:
    for position, field in enumerate(table.schema):
        # To pandas, texts are equal that are so up to their first zero byte.
        if pa.types.is_string(field.type) and pc.any(pc.match_substring(table.column(position), "\0")).as_py():
            table = table.set_column(position, field, pc.replace_substring(table.column(position), "\0", ""))
    rows: pd.DataFrame = table.to_pandas(integer_object_nulls=True, ignore_metadata=True)
    return rows


def _normalised(names: list[str], contract: DatasetContract) -> list[str]:
    aliases = {alias: name for name, column in contract.columns.items() for alias in column.aliases}
    result = [aliases.get(name, snake_case(name)) for name in names]
    expected = {*contract.columns, *contract.roles.values()}
    twice = sorted({name for name in result if result.count(name) > 1 and name in expected})
    if twice:
        sources = [name for name, normal in zip(names, result, strict=True) if normal in twice]
        raise ContractError(f"The source's columns {sources} are all {twice} once normalised: keep one of each.")
    return result


def _require_columns(columns: list[str], present: list[str], contract: DatasetContract) -> None:
    required = [contract.entity_key, *contract.columns]
    if contract.event_time.column is not None and contract.event_time.as_of is None:
        required.append(contract.event_time.column)
    spare = [name for name in present if name not in columns]
    missing = [f"{name!r}{nearest(name, spare)}" for name in required if name not in columns]
    if missing:
        raise ContractError(
            f"The source lacks {len(missing)} column(s) of the contract {contract.name!r}: {', '.join(missing)}. "
            f"It has: {', '.join(present)}. Rename the source's columns, or list the source's name under `aliases` of "
            "the contract's column."
        )


def _typed(raw: pd.DataFrame, contract: DatasetContract) -> tuple[pd.DataFrame, list[CellFault]]:
    faults: list[CellFault] = []
    written = contract.file_format
    columns = {contract.entity_key: _known_text(raw[contract.entity_key])}
    columns[EVENT_TIME] = _event_time(raw, contract, faults)
    columns[ARRIVED_AT] = _time(raw, contract.event_time.arrived_at, None, faults).fillna(columns[EVENT_TIME])
    for name, column in contract.columns.items():
        is_text = column.kind == "categorical"
        columns[name] = _text(raw[name]) if is_text else _number(raw[name], column.type == "integer", written, faults)
    label, truth = contract.label, contract.truth
    columns[RAW_LABEL] = (
        _known_text(raw[label.column], keep=(label.positive, label.negative))
        if label.column in raw
        else pd.Series([None] * len(raw), dtype=object)
    )
    columns[LABEL_TIME] = _time(raw, label.known_at, None, faults)
    if truth in raw:
        columns[TRUTH] = _number(raw[truth], False, written, faults)
    return pd.DataFrame(columns), faults


def _text(values: pd.Series) -> pd.Series:
    return pd.Series(as_strings(values), dtype=object, name=values.name)


def _known_text(values: pd.Series, keep: Collection[str] = ()) -> pd.Series:
    """Return canonical text in which words for a missing value are missing, but for those in `keep`."""
    return without_missing_words(_text(values), keep)


def _number(values: pd.Series, whole: bool, written: FileFormat, faults: list[CellFault]) -> pd.Series:
    numbers = pd.Series(written.numbers(values), name=values.name)
    text = _known_text(values.where(numbers.isna()))
    faults += _faults(text, text.notna(), "is a finite number")
    if not whole:
        return numbers
    fractional = numbers.notna() & (numbers != np.floor(numbers))
    faults += _faults(values.astype(str), fractional, "is a whole number")
    return numbers.mask(fractional)


def _event_time(raw: pd.DataFrame, contract: DatasetContract, faults: list[CellFault]) -> pd.Series:
    clock = contract.event_time
    if clock.as_of is not None and clock.column not in raw:
        return pd.Series(pd.Timestamp(clock.as_of), index=raw.index).dt.as_unit("us")
    return _time(raw, clock.column, clock.format, faults)


def _time(raw: pd.DataFrame, name: str | None, written: str | None, faults: list[CellFault]) -> pd.Series:
    if name not in raw:
        return pd.Series(pd.NaT, index=raw.index, dtype="datetime64[us, UTC]")
    values = raw[name]
    if pd.api.types.is_datetime64_any_dtype(values):
        return pd.to_datetime(values, utc=True).dt.as_unit("us")
    text = _known_text(values)
    if written is not None and written in EPOCHS:
        times = epoch_times(pd.Series(as_numbers(text)), written)
    else:
        times = pd.to_datetime(text, errors="coerce", utc=True, format=written or "ISO8601")
    rule = f"is a time written as {written!r}" if written else "is a date or a time such as 2025-01-31"
    faults += _faults(text, times.isna() & text.notna(), rule)
    in_microseconds: pd.Series = times.dt.as_unit("us")
    return in_microseconds


def epoch_times(numbers: pd.Series, written: str) -> pd.Series:
    """Return the UTC times that numbers since 1970 stand for, in a unit of `EPOCHS`; NaT where one is none."""
    times: pd.Series = pd.to_datetime(numbers, unit=EPOCHS[written], errors="coerce", utc=True)
    return times


def _faults(text: pd.Series, broken: pd.Series, rule: str) -> list[CellFault]:
    return [CellFault(int(row), str(text.name), rule, str(text.iloc[row])) for row in np.flatnonzero(broken)]
