"""Helpers for Spark SQL: quoted names and values, and a fingerprint of rows that ignores their order."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from churn.data.tables import INGESTED_AT

__all__ = ["all_equal", "comparable", "content", "qualified", "quoted", "text"]


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return "`" + name.replace("`", "``") + "`"


def qualified(name: str) -> str:
    """Return a name with its catalog and schema, such as `main.telco.churn_features`, as SQL writes it."""
    return ".".join(map(quoted, name.split(".")))


def text(value: str) -> str:
    """Return a text as a literal; Spark knows the backslash alone as an escape."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def all_equal(where: Mapping[str, str] | None) -> str:
    """Return the condition that text columns hold these values; true without any."""
    return " AND ".join(f"{quoted(name)} = {text(value)}" for name, value in (where or {}).items()) or "true"


def comparable(reference: str, kind: pa.DataType) -> str:
    """Return a value in a form in which one zero and one NaN are left, on every engine; null stays null."""
    return f"CAST({reference} + 0.0D AS STRING)" if pa.types.is_floating(kind) else reference


def content(schema: pa.Schema) -> tuple[str, str, str]:
    """Return what to select of a table: its `rows`, and sums that change with its content, `low` and `high`.

    A null counts as a column that is not there; `ingested_at`, the order of rows and columns and how many bits a number
    has do not count. The integer 1, the float 1.0, true and the text "1" are four values.
    """
    row = " ^ ".join(_word(field) for field in schema if field.name != INGESTED_AT) or "0L"
    low, high = (
        f"coalesce(sum(CAST(xxhash64('{lane}', {row}) AS DECIMAL(38, 0))), 0) AS {lane}" for lane in ("low", "high")
    )
    return "count(*) AS rows", low, high


def _word(field: pa.Field) -> str:
    kind, form = _FORMS[_family(field.type)]
    name, label = quoted(field.name), text(f"{kind} {field.name}")
    return f"if({name} IS NULL, 0L, xxhash64({label}, {form.format(comparable(name, field.type))}))"


_FORMS = {
    "integer": ("integer", "CAST({} AS BIGINT)"),
    "floating": ("float", "{}"),
    "boolean": ("truth", "CAST({} AS INT)"),
    "date32": ("date", "unix_date({})"),
    "timestamp": ("time", "unix_micros({})"),
    "string": ("text", "{}"),
}


def _family(kind: pa.DataType) -> str:
    return next(name for name in _FORMS if getattr(pa.types, f"is_{name}")(kind))
