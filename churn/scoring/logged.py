"""Converts rows that the endpoint logged to rows of the predictions table."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..data.tables import EVENT_TIME, TABLES
from ..ports.prediction_log import LoggedRow
from .batch import BATCH_ID
from .rows import reason_columns

__all__ = ["ENDPOINT", "LOGGED_SCHEMA", "prediction_rows"]

ENDPOINT = "endpoint"
"""The `source` of rows that the endpoint scored."""
_DECLARED = TABLES["predictions"].arrow_schema("customer", optional=TABLES["predictions"].optional)
_DECLARED_REASONS = sum(name.startswith("reason_") for name in _DECLARED.names)
LOGGED_SCHEMA = pa.schema(
    [
        (name, pa.list_(pa.string()) if name == "reasons" else _DECLARED.field(column).type)
        for name in LoggedRow._fields
        for column in ({"event_time": EVENT_TIME, "reasons": "reason_1"}.get(name, name),)
    ]
)
"""The fields of `LoggedRow` as columns."""


def prediction_rows(rows: pa.Table, batch_id: str, entity: str) -> pa.Table:
    """Return logged rows as the table of predictions takes them.

    Args:
        rows: Columns as `LOGGED_SCHEMA` has them.
        batch_id: The id of these rows in the table.
        entity: The column of the customer's key.
    """
    top = max(_DECLARED_REASONS, pc.max(pc.list_value_length(rows["reasons"])).as_py() or 0)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        **{name: rows[name] for name in _DECLARED.names if name in rows.column_names},
        **{name: _item(rows["reasons"], position) for position, name in enumerate(reason_columns(top))},
        BATCH_ID: pa.repeat(batch_id, rows.num_rows),
        "row_number": pa.array(np.arange(rows.num_rows)),
        "source": pa.repeat(ENDPOINT, rows.num_rows),
        EVENT_TIME: rows["event_time"],
    }
    names = [*_DECLARED.names, *(name for name in columns if name not in _DECLARED.names)]
    return pa.table({name: columns[name] for name in names}).rename_columns({"customer": entity})


def _item(lists: pa.ChunkedArray, position: int) -> pa.Array:
    """Return the item at a position of each list, null where the list is shorter."""
    padded = pc.list_slice(lists.combine_chunks(), position, position + 1, return_fixed_size_list=True)
    return padded.flatten()
