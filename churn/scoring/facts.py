"""Facts of one customer at a time from the tables, and the values of similar customers."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import NotFound
from ..data.contract import DatasetContract
from ..data.tables import ARRIVED_AT, EVENT_TIME
from ..model.frame import Columns, canonical_text, columns_of
from ..ports.tables import FeatureStore, TableRef

__all__ = ["Alike", "Facts", "alike", "facts_of"]

_NEIGHBOURS = 300
_SHOWN = 3


class Facts(NamedTuple):
    """The newest row of a customer that was known at a time.

    Attributes:
        customer: Their id.
        columns: The contract's columns, arrays of shape `(1,)`.
        true_at: When the facts were true (UTC).
        known_at: When they could first be seen (UTC).
    """

    customer: str
    columns: Columns
    true_at: dt.datetime
    known_at: dt.datetime


def facts_of(
    store: FeatureStore, features: TableRef, contract: DatasetContract, customer: str, as_of: dt.datetime
) -> Facts:
    """Return what was known of a customer at a time: the newest row that was known by then; see `latest_rows`.

    Raises:
        NotFound: nobody has that id, with the ids most like it; or nothing was known of them yet, with the first time.
    """
    name = canonical_text(customer)
    where = {contract.entity_key: name}
    rows = store.latest_rows(features, as_of, where=where).read_all()
    if not rows.num_rows:
        raise NotFound(_not_known(store, features, contract.entity_key, name, as_of))
    times = rows.select([column for column in (EVENT_TIME, ARRIVED_AT) if column in rows.column_names]).to_pylist()[0]
    true_at: dt.datetime = times[EVENT_TIME]
    return Facts(
        name,
        columns_of(rows.to_pandas(), contract.kinds),
        true_at.astimezone(dt.UTC),
        max(true_at, times.get(ARRIVED_AT) or true_at).astimezone(dt.UTC),
    )


def _not_known(store: FeatureStore, features: TableRef, entity: str, customer: str, as_of: dt.datetime) -> str:
    rows = store.scan(features, where={entity: customer}).read_all().to_pylist()
    if not rows:
        return _unknown(store, features, entity, customer)
    first = min(max(row[EVENT_TIME], row.get(ARRIVED_AT) or row[EVENT_TIME]) for row in rows)
    return (
        f"Nothing was known of customer {customer!r} at {as_of:%Y-%m-%d %H:%M} UTC: the first facts came in at "
        f"{first:%Y-%m-%d %H:%M} UTC; give a later --as-of."
    )


class Alike(NamedTuple):
    """What values a customer could have, going by those that others have.

    Attributes:
        texts: By categorical column, the values seen together with each of this customer's fixed ones.
        ranges: By numeric column, the smallest and the largest value seen.
    """

    texts: Mapping[str, Sequence[str]]
    ranges: Mapping[str, tuple[float, float]]


def alike(
    store: FeatureStore, features: TableRef, contract: DatasetContract, facts: Facts, as_of: dt.datetime
) -> Alike:
    """Return which values of the actionable columns other customers had, by what was known at a time.

    A text counts that occurs with each single fixed (not actionable) text of the customer: who has internet does not
    get "no internet service" proposed.
    """
    texts = [name for name, column in contract.columns.items() if column.kind == "categorical"]
    free = [name for name in texts if contract.columns[name].actionable]
    fixed = {name: facts.columns[name][0] for name in texts if name not in free}
    fixed = {name: value for name, value in fixed.items() if value is not None}
    numbers = [name for name, column in contract.columns.items() if column.actionable and name not in free]
    seen: dict[str, dict[str, set[str]]] = {name: {other: set() for other in fixed} for name in free}
    spans = {name: (float("inf"), float("-inf")) for name in numbers}
    columns = [*free, *fixed, *numbers]
    for batch in store.latest_rows(features, as_of, columns) if columns else ():
        for other, value in fixed.items():
            same = pc.fill_null(pc.equal(batch.column(other), value), False)
            for name in free:
                seen[name][other] |= set(batch.column(name).filter(same).unique().drop_null().to_pylist())
        for name in numbers:
            spans[name] = _wider(spans[name], batch.column(name))
    together = {name: sorted(set.intersection(*others.values())) if others else [] for name, others in seen.items()}
    return Alike(together, {name: span for name, span in spans.items() if span[0] <= span[1]})


def _wider(span: tuple[float, float], values: pa.Array) -> tuple[float, float]:
    numbers = values.cast(pa.float64())
    extremes = pc.min_max(numbers.filter(pc.is_finite(numbers)))
    least, greatest = extremes["min"].as_py(), extremes["max"].as_py()
    return span if least is None else (min(span[0], least), max(span[1], greatest))


def _unknown(store: FeatureStore, features: TableRef, entity: str, customer: str) -> str:
    ids: set[str] = set()
    for batch in store.scan(features, [entity]):
        ids.update(batch.column(0).unique().to_pylist())
    close = _closest(customer, ids)
    hint = f" The nearest are {', '.join(map(repr, close))}." if close else ""
    return f"There is no customer {customer!r} among the {len(ids):,} of the table {features.name!r}.{hint}"


def _closest(customer: str, ids: set[str]) -> list[str]:
    """Return the ids most like `customer`; of many, only those that begin or end like it are looked at."""
    near: set[str] = set()
    for turn in (str, lambda text: text[::-1]):
        ordered = sorted(map(turn, ids))
        position = bisect_left(ordered, turn(customer))
        near |= {turn(name) for name in ordered[max(0, position - _NEIGHBOURS) : position + _NEIGHBOURS]}
    return get_close_matches(customer, sorted(near), n=_SHOWN, cutoff=0.6)
