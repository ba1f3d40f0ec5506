"""Contacts made outside the project, imported from a table: customer, time, offer."""

from __future__ import annotations

import datetime as dt
import hashlib

import pandas as pd
import pyarrow as pa

from ..core.errors import ContractError, DataError, nearest
from ..data.contract import DatasetContract, snake_case
from ..data.tables import TABLES
from ..model.frame import as_strings
from ..scoring.batch import BATCH_ID
from .candidates import CONTACTED_AT, PLANNED_AT

__all__ = ["IMPORTED", "imported_contacts"]

IMPORTED = "import-"
"""How the batch of a contact begins that was made outside the product."""
_TIMES = ("contacted_at", "contact_time", "contacted", "time", "date", "timestamp")
_CUSTOMERS = ("customer", "customer_id")
_OFFERS = ("offer", "campaign", "action")


def imported_contacts(rows: pa.Table, contract: DatasetContract, *, now: dt.datetime) -> pa.Table:
    """Return rows for `churn_contacts`, one for each contact in the table; copies count once.

    A table without rows has no contacts.

    Args:
        rows: As a source delivers them: the column of the customer's key (or `customer`), one of the time
            (`contacted_at`, `time` or `date`, in UTC where it has no zone), and one of the offer, if any; others are
            ignored.
        contract: The data set's contract.
        now: No contact can have been made later (UTC).

    Raises:
        ContractError: a column is not there.
        DataError: a row has no customer, or no time that can be read or has been.
    """
    names = {snake_case(name): name for name in rows.column_names}
    key = contract.entity_key
    customer = next((names[name] for name in (key, *_CUSTOMERS) if name in names), None)
    if customer is None:
        hint = nearest(key, names) or f": call the customer {key!r} or 'customer'."
        raise ContractError(f"The contacts have no column {key!r}{hint} There are: {', '.join(rows.column_names)}.")
    time = next((names[name] for name in _TIMES if name in names), None)
    if time is None:
        raise ContractError(f"The contacts have no column of the time: call it {_TIMES[0]!r}.")
    schema = TABLES["contacts"].arrow_schema(key, optional=["offer"])
    if not rows.num_rows:
        return schema.empty_table()
    offer = next((names[name] for name in _OFFERS if name in names), None)
    frame = pd.DataFrame(
        {
            key: as_strings(rows[customer].to_pandas()),
            CONTACTED_AT: pd.to_datetime(rows[time].to_pandas(), utc=True, errors="coerce", format="ISO8601"),
            "offer": None if offer is None else as_strings(rows[offer].to_pandas()),
        }
    )
    _refuse(frame[key].isna() | (frame[key] == ""), rows, customer, "no customer")
    _refuse(frame[CONTACTED_AT].isna(), rows, time, "no time that can be read: write it as 2025-06-30T09:00:00Z")
    _refuse(frame[CONTACTED_AT] > now, rows, time, f"a time after now ({now:%Y-%m-%d %H:%M} UTC)")
    frame = frame.drop_duplicates(ignore_index=True)
    # A batch has a customer once, so that each time and offer is one of its own; the same file gives the same batches.
    identity = frame[CONTACTED_AT].astype(str) + " " + frame["offer"].fillna("")
    marks = {text: hashlib.sha256(text.encode()).hexdigest()[:16] for text in identity.unique()}
    frame[BATCH_ID] = IMPORTED + identity.map(marks)
    frame[PLANNED_AT], frame["group"] = frame[CONTACTED_AT], "treatment"
    table = pa.Table.from_pandas(frame, preserve_index=False)
    columns = {
        field.name: table[field.name].cast(field.type) if field.name in frame else pa.nulls(len(frame), field.type)
        for field in schema
    }
    return pa.table(columns, schema=schema)


def _refuse(wrong: pd.Series, rows: pa.Table, column: str, why: str) -> None:
    if wrong.any():
        first = int(wrong.to_numpy().argmax())
        raise DataError(
            f"Row {first + 1} of the contacts has {why} ({column} is {rows[column][first].as_py()!r}); "
            f"{int(wrong.sum()):,} of {len(wrong):,} rows do. None was taken: correct them and import the file again."
        )
