"""A ledger record as a row: its canonical text, and columns that repeat it for queries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from churn.core.canonical import canonical
from churn.core.errors import StoreError
from churn.data.tables import TABLES
from churn.ports.ledger import Decision, first_format

__all__ = ["COLUMNS", "RECORD", "record_of", "row_of"]

COLUMNS = TABLES["decisions"].arrow_schema()
"""The columns beside the text."""
RECORD = pa.field("record", pa.string())
"""The canonical text of a record of format 2 and later."""
_JSON = ("numbers", "verdicts", "digests")


def row_of(record: Decision) -> dict[str, Any]:
    """Return the row of a record."""
    return {**_columns_of(record), RECORD.name: record.text}


def record_of(row: Mapping[str, Any], table: str) -> Decision:
    """Return the record of a row; where a column was changed it says so, and its hash no longer fits.

    Args:
        row: The columns; without the text, one of format 1.
        table: Where the row is, in words.

    Raises:
        StoreError: the row is no record, or one of a newer format.
    """
    try:
        columns = {**row, **{name: json.loads(row[name]) for name in _JSON}}
        text = columns.pop(RECORD.name, None)
        if text is None:
            return Decision.read(first_format(columns), columns["hash"])
        record = Decision.read(text, columns["hash"])
        if _columns_of(record) == {name: row[name] for name in COLUMNS.names}:
            return record
        altered = json.loads(first_format(columns))
        return Decision.read(canonical({**json.loads(text), **altered}), columns["hash"])
    except (ValueError, TypeError, AttributeError) as error:
        raise _no_decision(row, table, "it is no decision") from error
    except StoreError as error:
        raise _no_decision(row, table, str(error)) from error


def _columns_of(record: Decision) -> dict[str, Any]:
    values = record.model_dump(include=set(COLUMNS.names))
    return values | {name: json.dumps(values[name], sort_keys=True) for name in _JSON}


def _no_decision(row: Mapping[str, Any], table: str, why: str) -> StoreError:
    return StoreError(
        f"Record {row['sequence']} ({row['decision_id']}) of {table} cannot be read: {why}. Restore the table to its "
        "last good version, or move it away to begin anew."
    )
