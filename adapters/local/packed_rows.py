"""A customer's values in one field of an online store: a JSON list in the order of the columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from churn.core.errors import StoreError
from churn.ports.online import OnlineColumns, OnlineRow, Publication

__all__ = ["FORMAT", "check_format", "columns_text", "names_in", "pack", "publication_of", "unpack"]

FORMAT = 1
"""The format of a store: its tables, and how a row is packed."""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def pack(rows: pa.RecordBatch) -> Iterator[tuple[str, int, int, str]]:
    """Return customer, event time, arrival and values of each row that `OnlineWriter.write` takes.

    Times are microseconds since 1970 (UTC); what is no finite number is missing. The rows come in the order of the
    customers, in which a database takes them fastest: a page of its index is written once.
    """
    order = pc.sort_indices(rows.column("customer"))
    times = (pc.cast(rows.column(name), pa.int64()) for name in ("event_time", "arrived_at"))
    values = pc.binary_join_element_wise(*(_json(column) for column in rows.columns[3:]), ",")
    lists = pc.binary_join_element_wise("[", values, "]", "")
    return zip(*(part.take(order).to_pylist() for part in (rows.column("customer"), *times, lists)), strict=True)


def _json(column: pa.Array) -> pa.Array:
    """Return each value as JSON; Arrow writes the shortest digits that read back as the same number."""
    if pa.types.is_floating(column.type):
        finite = pc.if_else(pc.is_finite(column), column, None)
        return pc.fill_null(pc.cast(finite, pa.string()), "null")
    coded = column.dictionary_encode()
    texts = [orjson.dumps(text).decode() for text in coded.dictionary.to_pylist()]
    return pa.array([*texts, "null"]).take(pc.fill_null(coded.indices, len(texts)))


def unpack(names: Sequence[str], customer: str, event: int, arrived: int, version: int, values: str) -> OnlineRow:  # noqa: PLR0917
    """Return a row from what `pack` made of it, `names` being those of its columns."""
    by_name = dict(zip(names, orjson.loads(values), strict=True))
    return OnlineRow(customer, by_name, _EPOCH + event * _MICROSECOND, _EPOCH + arrived * _MICROSECOND, version)


def columns_text(columns: OnlineColumns) -> str:
    """Return the columns as text that is equal where they are."""
    return orjson.dumps(list(columns.items())).decode()


def names_in(text: str) -> tuple[str, ...]:
    """Return the names of the columns from `columns_text`."""
    return tuple(name for name, _ in orjson.loads(text))


def publication_of(text: str, place: str) -> Publication:
    """Return the record of a publication from its JSON; raises as `check_format` does."""
    try:
        return Publication.model_validate_json(text)
    except ValidationError as error:
        raise StoreError(
            f"The online store {place} was published by another version of this project: remove it (it is a copy of "
            "the feature table) and run `python run.py features publish`."
        ) from error


def check_format(found: int, place: str) -> None:
    """Refuse a store of another format.

    Raises:
        StoreError: naming both formats, and what to do.
    """
    if found != FORMAT:
        raise StoreError(
            f"The online store {place} has format {found}, and this version of the project reads format {FORMAT}: "
            "remove it (it is a copy of the feature table) and run `python run.py features publish`."
        )
