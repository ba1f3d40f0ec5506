"""The outcomes of past campaigns' customers, treatment and control, with the row that was scored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import NotFound, nearest
from ..data.contract import DatasetContract
from ..data.tables import EVENT_TIME, LABEL, LABEL_TIME
from ..data.untreated import SALT
from ..ports.tables import FeatureStore, TableRef
from ..scoring.batch import BATCH_ID
from .candidates import CONTACTED_AT, PLANNED_AT
from .imported import IMPORTED
from .plan import CONTROL

__all__ = ["Followed", "follow"]


class Followed(NamedTuple):
    """The customers of some campaigns.

    Attributes:
        rows: What `churn.campaign.effect.campaign_effect` compares; the columns of the contract's slices are there too.
        salt: By which the control group of all of them was drawn.
        known_from: From when on all outcomes may be known, in the time of the data (UTC).
        control_contacted: Rows of the control group whose customer was contacted outside the product meanwhile.
    """

    rows: pd.DataFrame
    salt: str
    known_from: dt.datetime
    control_contacted: int


def follow(
    store: FeatureStore, contract: DatasetContract, *, now: dt.datetime, salt: str, batch_id: str | None = None
) -> Followed:
    """Return the customers of a campaign, or of all campaigns whose control group one salt drew, with their outcomes.

    The outcome is that of the row that was scored: whether the customer churned within the window of the label after
    it. It counts as known once the label may be used.

    Args:
        store: The tables of the data set.
        contract: Its contract.
        now: Outcomes that became known later are not (UTC).
        salt: The salt of the settings; campaigns of a version that did not keep its salt count as drawn by it.
        batch_id: One campaign alone, whatever its salt.

    Raises:
        NotFound: there is no such campaign.
    """
    contacts = _contacts(store, contract)
    if batch_id is not None and batch_id not in set(contacts[BATCH_ID]):
        raise NotFound(
            f"There is no campaign of batch {batch_id!r}{nearest(batch_id, contacts[BATCH_ID].unique()) or '.'} "
            "`python run.py campaign effect` without a batch takes all of them."
        )
    contacts[SALT] = contacts[SALT].fillna(salt)
    planned = contacts[~contacts[BATCH_ID].str.startswith(IMPORTED)]
    chosen = planned[planned[BATCH_ID] == batch_id] if batch_id is not None else planned[planned[SALT] == salt]
    if chosen.empty:
        why = f"no campaign's control group was drawn by the salt {salt!r}" if len(planned) else "none was planned yet"
        raise NotFound(
            f"There is no campaign to measure: {why}. `python run.py --pipeline inference` plans one for each batch."
        )
    chosen = chosen.sort_values([PLANNED_AT, BATCH_ID, "customer"], ignore_index=True)
    chosen = _scored_rows(store, contract, chosen)
    chosen = _with_outcomes(store, contract, chosen, now)
    window = dt.timedelta(days=contract.label.window_days)
    outside = contacts[contacts[BATCH_ID].str.startswith(IMPORTED)]
    due = chosen[EVENT_TIME].max() + window + dt.timedelta(days=contract.label.delay_days)
    return Followed(
        rows=chosen,
        salt=str(chosen[SALT].iloc[0]),
        known_from=(now if pd.isna(due) else due.to_pydatetime()),
        control_contacted=_contacted_meanwhile(chosen[chosen["group"] == CONTROL], outside, window),
    )


def _contacts(store: FeatureStore, contract: DatasetContract) -> pd.DataFrame:
    try:
        ref = store.latest(contract.table("contacts").name)
    except NotFound as error:
        raise NotFound(
            "There is no campaign to measure: none was planned yet. `python run.py --pipeline inference` plans one for "
            "each batch."
        ) from error
    columns = [BATCH_ID, contract.entity_key, "group", "probability", "customer_value", CONTACTED_AT, PLANNED_AT, SALT]
    frame = _frame(store, ref, columns, contract.entity_key)
    frame = frame.reindex(columns=["customer" if name == contract.entity_key else name for name in columns])
    frame[PLANNED_AT] = frame[PLANNED_AT].fillna(frame[CONTACTED_AT])
    return frame


def _scored_rows(store: FeatureStore, contract: DatasetContract, contacts: pd.DataFrame) -> pd.DataFrame:
    """Add the event time of the row that was scored; missing where the predictions are gone."""
    ref = store.latest(contract.table("predictions").name)
    keys = [BATCH_ID, contract.entity_key, EVENT_TIME]
    scored = [store.scan(ref, keys, where={BATCH_ID: batch}).read_all() for batch in contacts[BATCH_ID].unique()]
    rows = pa.concat_tables(scored).rename_columns([BATCH_ID, "customer", EVENT_TIME]).to_pandas()
    return contacts.merge(rows, on=[BATCH_ID, "customer"], how="left", validate="one_to_one")


def _with_outcomes(
    store: FeatureStore, contract: DatasetContract, contacts: pd.DataFrame, now: dt.datetime
) -> pd.DataFrame:
    """Add `churned`, and the values of the contract's slices at the row that was scored."""
    customers = contacts["customer"].unique()
    try:
        labels = _of_customers(store, contract, "labels", [LABEL, LABEL_TIME], customers)
    except NotFound:
        labels = pd.DataFrame({"customer": [], EVENT_TIME: [], LABEL: [], LABEL_TIME: []})
    labels = labels[labels[LABEL_TIME] <= now] if len(labels) else labels
    features = _of_customers(store, contract, "features", list(contract.slices), customers)
    keys = ["customer", EVENT_TIME]
    outcome = labels.set_index(pd.MultiIndex.from_frame(labels[keys]))[LABEL] if len(labels) else None
    places = pd.MultiIndex.from_frame(contacts[keys])
    churned = np.full(len(contacts), np.nan) if outcome is None else outcome.reindex(places).to_numpy(np.float64)
    return contacts.assign(churned=churned).merge(
        features.drop_duplicates(keys, keep="last"), on=keys, how="left", validate="many_to_one"
    )


def _of_customers(
    store: FeatureStore, contract: DatasetContract, table: str, columns: list[str], customers: Collection[str]
) -> pd.DataFrame:
    """Return some columns of the rows of some customers; the table is streamed."""
    ref = store.latest(contract.table(table).name)  # type: ignore[arg-type]
    return _frame(
        store, ref, [contract.entity_key, EVENT_TIME, *columns], contract.entity_key, pa.array(customers, pa.string())
    )


def _frame(
    store: FeatureStore, ref: TableRef, columns: list[str], key: str, customers: pa.Array | None = None
) -> pd.DataFrame:
    """Return those of the columns that there are, the customer's key as `customer`; of some customers, or of all."""
    present = store.scan(ref).schema.names
    reader = store.scan(ref, [name for name in columns if name in present])
    parts = iter(reader)
    if customers is not None:
        parts = (part.filter(pc.is_in(pc.cast(part.column(key), pa.string()), value_set=customers)) for part in reader)
    rows = pa.Table.from_batches(parts, reader.schema)
    frame: pd.DataFrame = rows.rename_columns(
        ["customer" if name == key else name for name in rows.column_names]
    ).to_pandas()
    return frame


def _contacted_meanwhile(control: pd.DataFrame, outside: pd.DataFrame, window: dt.timedelta) -> int:
    met = control[["customer", PLANNED_AT]].merge(outside[["customer", CONTACTED_AT]], on="customer")
    within = (met[CONTACTED_AT] >= met[PLANNED_AT]) & (met[CONTACTED_AT] <= met[PLANNED_AT] + window)
    return int(within.sum())
