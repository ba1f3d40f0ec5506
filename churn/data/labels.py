"""Labels: whether a customer left within the outcome window of a row, and from when on that is known."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pydantic import Field

from ..core.frozen import Frozen
from ..core.shares import hash_shares
from ..model.frame import as_strings
from .contract import DatasetContract
from .ingest import RAW_LABEL
from .tables import CAMPAIGN_GROUP, EVENT_TIME, INGESTED_AT, LABEL, LABEL_TIME, SPLIT, TABLES, TRUTH, WEIGHT
from .untreated import ContactHistory, Weighed

__all__ = ["SplitSettings", "are_touched", "labels_of", "sides_of"]


class SplitSettings(Frozen):
    """Which customers are held out, by a hash of their key."""

    holdout_share: float = Field(default=0.2, gt=0, lt=1, description="Share of customers in the holdout.")
    salt: str = Field(default="churn", description="Another salt gives another split; change it only to start anew.")

    @property
    def tag(self) -> str:
        """The identity of the split, as a registered version is tagged with it."""
        return f"{self.holdout_share:g} by {self.salt}"


def sides_of(entities: Iterable[str], holdout_share: float, salt: str) -> npt.NDArray[np.object_]:
    """Return the side of each customer, shape `(n_rows,)`; see `hash_share`."""
    return np.where(hash_shares(entities, holdout_share, salt), "holdout", "train").astype(object)


def labels_of(
    bronze: pa.Table, contract: DatasetContract, split: SplitSettings, contacts: ContactHistory | None = None
) -> pa.Table:
    """Return the rows of the label table: one for each bronze row whose outcome the source has told.

    `label_ts` is when a label may first be used: when it became known (the source's own time for it, else the end of
    the outcome window plus the delay), but never before the window has closed. An early "churned" would otherwise
    enter the training set before the "stayed" of the same day, and the churn rate would be too high.

    Returns:
        Key, event time, label (1 churned, 0 stayed), label_ts, split, for a simulation the true probability and, with
        `contacts`, how many rows each outcome stands for.
    """
    columns = [contract.entity_key, EVENT_TIME, RAW_LABEL, LABEL_TIME, *([TRUTH] if contract.truth else [])]
    ingested = [INGESTED_AT] if INGESTED_AT in bronze.column_names else []
    frame = bronze.select([*columns, *ingested]).to_pandas().dropna(subset=[RAW_LABEL]).reset_index(drop=True)
    closed = frame[EVENT_TIME] + pd.Timedelta(days=contract.label.window_days)
    known_at = frame[LABEL_TIME].fillna(closed + pd.Timedelta(days=contract.label.delay_days))
    frame[LABEL_TIME] = np.maximum(known_at, closed)
    frame[LABEL] = (as_strings(frame[RAW_LABEL]) == contract.label.positive).astype(np.int8)
    frame[SPLIT] = sides_of(frame[contract.entity_key], split.holdout_share, split.salt)
    optional = [TRUTH] if contract.truth else []
    if contacts is not None:
        frame[WEIGHT], frame[CAMPAIGN_GROUP] = _weighed(frame, contract, contacts)
        optional += [WEIGHT, CAMPAIGN_GROUP]
    schema = TABLES["labels"].arrow_schema(contract.entity_key, optional=optional)
    return pa.Table.from_pandas(frame[schema.names], schema=schema, preserve_index=False).replace_schema_metadata(None)


def are_touched(bronze: pa.Table, contract: DatasetContract, contacts: ContactHistory) -> bool:
    """Return whether a campaign touches an outcome among the rows, so that not every one stands for itself alone."""
    frame = bronze.select([contract.entity_key, EVENT_TIME, RAW_LABEL, INGESTED_AT]).to_pandas()
    return bool((_weighed(frame.dropna(subset=[RAW_LABEL]), contract, contacts).weight != 1).any())


def _weighed(frame: pd.DataFrame, contract: DatasetContract, contacts: ContactHistory) -> Weighed:
    rows = frame.reindex(columns=[contract.entity_key, EVENT_TIME, INGESTED_AT])
    return contacts.weigh(rows.set_axis(["customer", EVENT_TIME, INGESTED_AT], axis=1), contract.label.window_days)
