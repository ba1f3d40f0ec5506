"""Publishes features to the online store, and verifies that it agrees with the feature table."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import DataError, NotFound, StoreError
from ..core.frozen import Frozen
from ..core.progress import note
from ..core.shares import hash_shares
from ..data.contract import DatasetContract
from ..data.tables import ARRIVED_AT, EVENT_TIME, INGESTED_AT
from ..model.frame import uncoded
from ..ports.online import OnlineColumns, OnlineRow, OnlineValue, Publication
from ..ports.tables import FeatureStore, TableRef
from ..scoring.rows import coded_columns
from ..settings import Settings
from .workspace import Workspace

__all__ = [
    "Difference",
    "Parity",
    "Published",
    "active_customers",
    "check_features",
    "online_columns",
    "publish_features",
]

_NEVER = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
_BATCH_ROWS = 50_000
_SHOWN = 5


class Difference(Frozen):
    """What differs for one customer.

    Attributes:
        customer: The key.
        column: The column, or `event_time`, or `row` where one of the two has none.
        online: What the online store says; None where it says nothing.
        offline: What the feature table says.
    """

    customer: str
    column: str
    online: OnlineValue
    offline: OnlineValue


class Parity(Frozen):
    """Whether the online store says what the feature table says as of now.

    Attributes:
        features: The version of the feature table that was compared.
        as_of: What was known by then was compared.
        customers: Customers who are active by the feature table.
        online: Customers in the online store.
        compared: Customers whose rows were compared, column by column.
        differences: The first that were found, in the order of the customers; none where the two agree.
        different: Customers who differ, of those compared or missing.
    """

    features: TableRef
    as_of: dt.datetime
    customers: int
    online: int
    compared: int
    differences: tuple[Difference, ...]
    different: int

    def require(self) -> None:
        """Raise StoreError, with the customers that differ and how, unless the two agree."""
        if not self.different:
            return
        shown = "; ".join(
            f"{differing.customer!r} {differing.column}: online {differing.online!r}, table {differing.offline!r}"
            for differing in self.differences
        )
        raise StoreError(
            f"The online store differs from {self.features.name} version {self.features.version} for "
            f"{self.different:,} of the customers compared ({self.compared:,} of {self.customers:,} active; "
            f"{self.online:,} online): {shown}. Publish again by `python run.py features publish`; where that does not "
            "end it, by `python run.py features publish --full`.",
            evidence=self,
        )


class Published(Frozen):
    """What a publication did.

    Attributes:
        features: The version of the feature table.
        as_of: What was known by then is online.
        written: Rows that were sent.
        removed: Customers who left and were removed.
        full: Whether every row was sent.
        parity: The check that followed.
    """

    features: TableRef
    as_of: dt.datetime
    written: int
    removed: int
    full: bool
    parity: Parity


class _Newest(NamedTuple):
    """Which rows are to be online: the newest of each active customer."""

    features: TableRef
    as_of: dt.datetime
    max_age: dt.timedelta


def online_columns(contract: DatasetContract) -> OnlineColumns:
    """Return the columns that are stored online: every input, and every feature that is not computed on demand."""
    return {**contract.kinds, **{spec.name: spec.kind for spec in contract.stored_features}}


def publish_features(workspace: Workspace, settings: Settings, *, full: bool = False) -> Published:
    """Bring the online store up to date with the feature table, and check a sample of it.

    Only rows that became known, or were written, since the last publication are sent, and those of customers who are
    not online; customers whom a batch would not score (`inference.max_age_days`) are removed. The keys of all customers
    are held meanwhile, about 100 bytes each.

    Args:
        workspace: The data set.
        settings: Who counts as active, and how many customers are compared.
        full: Send every row, and let the store hold those alone: after a feature is computed in another way.

    Raises:
        DataError: there is no feature table, or nothing in it is known yet.
        StoreError: a store does not answer, the feature table is older than what is online, or the two differ after it.
    """
    contract, store, online = workspace.contract, workspace.tables, workspace.online
    newest, columns = _newest(workspace, settings), online_columns(contract)
    published = online.publication()
    is_ours = published is not None and published.features.dataset == contract.name and published.columns == columns
    full = full or not is_ours
    with online.publishing(columns, full=full) as writer:
        before = None if full else online.publication()  # as it is now that nobody else publishes
        if before is not None and before.as_of > newest.as_of:
            raise StoreError(
                f"The online store holds what was known by {before.as_of:%Y-%m-%d %H:%M} UTC, and "
                f"{newest.features.name} ends at {newest.as_of:%Y-%m-%d %H:%M} UTC: if the older table is meant to "
                "replace it, publish by `python run.py features publish --full`."
            )
        held, active, written, ingested = {*online.customers()}, set[str](), 0, _NEVER
        for rows, ingested_at in _online_batches(store, contract, newest):
            customers = rows.column("customer").to_pylist()
            active.update(customers)
            ingested = max(ingested, pc.max(ingested_at).as_py() or _NEVER)
            if before is not None:
                absent = pa.array([customer not in held for customer in customers])
                sent = rows.filter(pc.or_(absent, _later(rows, ingested_at, before)))
            else:
                sent = rows
            if sent.num_rows:
                writer.write(sent, newest.features.version)
                written += sent.num_rows
        removed = writer.remove([*(held - active)])
        writer.record(
            Publication(
                features=newest.features,
                columns=columns,
                as_of=newest.as_of,
                ingested_until=ingested,
                published_at=workspace.clock(),
            )
        )
    note("publish", f"{written:,} customers written, {removed:,} removed")
    parity = check_features(workspace, settings)
    parity.require()
    return Published(
        features=newest.features, as_of=newest.as_of, written=written, removed=removed, full=full, parity=parity
    )


def check_features(workspace: Workspace, settings: Settings) -> Parity:
    """Compare the online store with the feature table as of now, for a sample of `serving.parity_sample` customers.

    Who is online is compared for all customers. Another publication draws another sample.

    Raises:
        DataError: there is no feature table, or nothing in it is known yet.
        StoreError: a store does not answer, or nothing was published yet.
    """
    contract, store, online = workspace.contract, workspace.tables, workspace.online
    published = online.publication()
    if published is None:
        raise StoreError("Nothing is in the online store yet: publish by `python run.py features publish`.")
    newest, columns = _newest(workspace, settings), online_columns(contract)
    held = set(online.customers())
    share = min(1.0, settings.serving.parity_sample / max(1, len(held)))
    missing, compared, active, differences = [], 0, 0, []
    for batch, _ in _online_batches(store, contract, newest):
        customers = batch.column("customer").to_pylist()
        active += len(customers)
        missing += [customer for customer in customers if customer not in held]
        held.difference_update(customers)
        drawn = batch.filter(pa.array(hash_shares(customers, share, str(published.published_at))))
        rows = {row.customer: row for row in online.rows(drawn.column("customer").to_pylist())}
        compared += len(rows)
        for offline in drawn.to_pylist():
            if (row := rows.get(offline["customer"])) is not None:
                differences += _differences(row, offline, columns)
    rowless = [Difference(customer=name, column="row", online=None, offline="there") for name in missing]
    rowless += [Difference(customer=name, column="row", online="there", offline=None) for name in held]
    differences = sorted(rowless + differences, key=lambda difference: difference.customer)
    return Parity(
        features=newest.features,
        as_of=newest.as_of,
        customers=active,
        online=active - len(missing) + len(held),
        compared=compared,
        differences=tuple(differences[:_SHOWN]),
        different=len({difference.customer for difference in differences}),
    )


def active_customers(workspace: Workspace, settings: Settings, rows: int) -> pa.RecordBatch:
    """Return the newest rows of some active customers, as the feature table has them.

    Args:
        workspace: The data set.
        settings: Who counts as active.
        rows: How many, at most; they are spread over the first 50,000.

    Raises:
        DataError: there is no feature table, or nothing in it is known yet.
        StoreError: the table cannot be read.
    """
    newest = _newest(workspace, settings)
    batches = workspace.tables.latest_rows(
        newest.features, newest.as_of, batch_rows=_BATCH_ROWS, max_age=newest.max_age
    )
    first = next(iter(batches))
    spread = np.unique(np.linspace(0, first.num_rows - 1, min(rows, first.num_rows)).astype(np.int64))
    return first.take(pa.array(spread))


def _newest(workspace: Workspace, settings: Settings) -> _Newest:
    contract, store = workspace.contract, workspace.tables
    try:
        features = store.latest(contract.table("features").name)
    except NotFound as error:
        raise DataError(
            f"There is no feature table of {contract.name!r} yet: make it by `python run.py --pipeline features`."
        ) from error
    as_of = store.known_until(features, workspace.clock())
    if as_of is None:
        raise DataError(
            f"Nothing in {features.name} (version {features.version}, {features.rows:,} rows) is known yet: bring rows "
            "whose time has come by `python run.py --pipeline features`."
        )
    return _Newest(features, as_of, settings.inference.max_age(contract))


def _online_batches(
    store: FeatureStore, contract: DatasetContract, newest: _Newest
) -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
    """Return the rows that are to be online, and when each was written to the table."""
    columns = online_columns(contract)
    for batch in store.latest_rows(newest.features, newest.as_of, batch_rows=_BATCH_ROWS, max_age=newest.max_age):
        event = batch.column(EVENT_TIME)
        arrived = pc.coalesce(batch.column(ARRIVED_AT), event) if ARRIVED_AT in batch.schema.names else event
        spelled = {name: uncoded(values) for name, values in coded_columns(batch, columns).items()}
        arrays = [
            pa.array(spelled[name], pa.float64() if kind == "numeric" else pa.string(), from_pandas=True)
            for name, kind in columns.items()
        ]
        rows = pa.RecordBatch.from_arrays(
            [pc.cast(batch.column(contract.entity_key), pa.string()), event, arrived, *arrays],
            names=["customer", "event_time", "arrived_at", *columns],
        )
        yield rows, batch.column(INGESTED_AT)


def _later(rows: pa.RecordBatch, ingested_at: pa.Array, before: Publication) -> pa.Array:
    """Return which rows became known, or were written, after a publication."""
    is_newer = [pc.greater(rows.column(name), _scalar(before.as_of)) for name in ("event_time", "arrived_at")]
    return reduce(pc.or_, [*is_newer, pc.greater(ingested_at, _scalar(before.ingested_until))])


def _scalar(moment: dt.datetime) -> pa.Scalar:
    return pa.scalar(moment, pa.timestamp("us", tz="UTC"))


def _differences(row: OnlineRow, offline: Mapping[str, Any], columns: OnlineColumns) -> list[Difference]:
    online: dict[str, Any] = {"event_time": str(row.event_time), **row.values}
    table: dict[str, Any] = {"event_time": str(offline["event_time"])}
    table |= {name: _missing_as_none(offline[name]) for name in columns}
    return [
        Difference(customer=row.customer, column=name, online=online.get(name), offline=table.get(name))
        for name in {**table, **online}
        if name not in online or name not in table or online[name] != table[name]
    ]


def _missing_as_none(value: Any) -> OnlineValue:
    missing = isinstance(value, float) and np.isnan(value)
    return None if missing else value
