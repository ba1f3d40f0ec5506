"""Rules for the rows of a table: types that every engine has, times in UTC, keys without nulls or duplicates."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from churn.core.errors import StoreError
from churn.ports.tables import TableSpec

__all__ = ["TIME", "check_key", "conform"]

TIME = pa.timestamp("us", tz="UTC")
"""The type of every time in a table."""

_EXAMPLES = 3
_EQUIVALENT = {
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
    pa.float16(): pa.float32(),
    pa.date64(): pa.date32(),
}


def conform(rows: pa.Table, schema: pa.Schema | None = None) -> pa.Table:
    """Return `rows` in the types that tables hold, those of `schema` where it has the column.

    Tables hold truth values, signed integers, floats, text, dates and times. Unsigned integers take the next wider
    signed type, dictionaries become what they encode, times become UTC microseconds (finer digits are cut; a time
    without a zone is taken as UTC). A column of type null is left out, for it says nothing, not even its type.

    Raises:
        StoreError: two columns have one name (case does not tell them apart), a column has another type, or a column
            of `schema` cannot hold its values exactly.
    """
    existing = {field.name: field.type for field in schema or ()}
    _refuse_twins([*rows.column_names, *(name for name in existing if name not in rows.column_names)])
    arrays = {
        name: _typed(name, rows[name], existing.get(name))
        for name in rows.column_names
        if not pa.types.is_null(rows.schema.field(name).type)
    }
    return pa.table(arrays)


def check_key(table: TableSpec, rows: pa.Table) -> None:
    """Refuse rows whose key does not identify them.

    Raises:
        StoreError: there is no key or a column of it is missing, a value is null (or NaN), or a key stands twice; with
            examples.
    """
    missing = [name for name in table.key if name not in rows.column_names]
    if missing or not table.key:
        raise StoreError(f"Rows of {table.name!r} need a key, and lack {', '.join(missing) or 'one'}: add the column.")
    for name in table.key:
        gaps = rows.num_rows - len(rows[name].filter(pc.invert(pc.is_null(rows[name], nan_is_null=True))))
        if gaps:
            raise StoreError(f"{gaps} row(s) of {table.name!r} have no {name!r}, a part of the key: fill or drop them.")
    counts = rows.group_by(list(table.key)).aggregate([([], "count_all")])
    twins = counts.filter(pc.greater(counts["count_all"], 1))
    if twins.num_rows:
        first = twins.slice(0, _EXAMPLES).select(list(table.key)).to_pylist()
        examples = "; ".join(", ".join(f"{name}={value}" for name, value in row.items()) for row in first)
        raise StoreError(
            f"{twins.num_rows} key(s) of {table.name!r} stand in more than one row ({examples}): keep one row for each "
            f"({', '.join(table.key)})."
        )


def _refuse_twins(names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            raise StoreError(
                f"The columns {seen[name.lower()]!r} and {name!r} differ at most in case, which tables do not tell "
                "apart: rename one."
            )
        seen[name.lower()] = name


def _typed(name: str, values: pa.ChunkedArray, existing: pa.DataType | None) -> pa.ChunkedArray:
    kind = _stored_type(name, values.type)
    target = kind if existing is None else existing
    if target != kind and not (_is_number(target) and _is_number(kind)):
        raise _unfit(name, values.type, target)
    if target == pa.float32() and kind == pa.float64():
        raise _unfit(name, values.type, target)  # Arrow would round
    try:
        return pc.cast(values, options=pc.CastOptions(target, allow_time_truncate=True))
    except pa.ArrowInvalid as cause:
        raise _unfit(name, values.type, target, f" ({cause})") from cause


def _stored_type(name: str, kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _stored_type(name, kind.value_type)
    if pa.types.is_timestamp(kind):
        return TIME
    kind = _EQUIVALENT.get(kind, kind)
    if _is_number(kind) or kind in (pa.bool_(), pa.string(), pa.date32()):
        return kind
    raise StoreError(
        f"The column {name!r} is of type {kind}; tables hold truth values, integers, floats, text, dates and times: "
        "cast it to one of them."
    )


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_signed_integer(kind) or kind in (pa.float32(), pa.float64()))


def _unfit(name: str, new: pa.DataType, stored: pa.DataType, why: str = "") -> StoreError:
    return StoreError(
        f"The column {name!r} is {stored} in the table, which cannot hold every value of the new {new} column{why}: "
        "cast it, or give it another name."
    )
