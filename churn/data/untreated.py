"""Untreated outcomes: which labels tell of churn without treatment, and how many rows each stands for.

A model, a gate and monitoring are asked what a customer does who is left alone. Who is contacted within the outcome
window of a row does not show that, and the row is left out. A campaign draws a control group from those whom it would
contact, so that such a customer stays untreated with a known probability, the share of the control group. Each of its
rows therefore stands for as many as that probability's inverse says (inverse probability weighting: Horvitz and
Thompson 1952; for treatments that come in the course of time Robins, Hernán and Brumback 2000). Rows of customers whom
no campaign would have contacted are untreated anyway, and stand for themselves.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ..core.errors import NotFound
from ..core.frozen import Frozen
from ..core.wording import percent
from ..model.frame import FloatArray
from ..ports.tables import FeatureStore, TableRef
from .contract import DatasetContract
from .tables import CAMPAIGN_GROUP, EVENT_TIME, INGESTED_AT, SPLIT, WEIGHT, Side

__all__ = [
    "AS_OF",
    "CONTACTED_AT",
    "CONTROL",
    "CONTROL_SHARE",
    "PLANNED_AT",
    "SALT",
    "TREATMENT",
    "UNCONTROLLED",
    "ContactHistory",
    "UnseenSegment",
    "UntreatedRows",
    "Weighed",
    "untreated_rows",
]

TREATMENT, CONTROL, UNCONTROLLED = "treatment", "control", "uncontrolled"
"""Contacted; held back to compare with; contacted without anybody who was held back."""
AS_OF = "as_of"
"""The time of the data that a contact was planned from: as of when its batch was scored (UTC)."""
CONTACTED_AT = "contacted_at"
"""When a customer was put on the list that is handed out, by the clock (UTC); before there was `as_of`, that time."""
PLANNED_AT = "planned_at"
"""When a contact was planned, by the clock (UTC); days of rest count from it."""
SALT = "salt"
"""The column of `churn_contacts` that says by which salt the control group was drawn."""
CONTROL_SHARE = "control_share"
"""The share of the customers that was held back."""
_COLUMNS = (AS_OF, CONTACTED_AT, PLANNED_AT, SALT, CONTROL_SHARE)
_SHOWN = 4


class Weighed(NamedTuple):
    """What rows stand for, shape `(n_rows,)` each.

    Attributes:
        weight: 1; 0 where the customer was contacted; more than 1 in a control group.
        group: `control`, `treatment`, `uncontrolled`, or None where no campaign touches the row.
    """

    weight: FloatArray
    group: npt.NDArray[np.object_]


@dataclass(frozen=True)
class ContactHistory:
    """Everybody who was contacted, or held back to compare with.

    Attributes:
        contacts: A row for each customer of each campaign: `customer`, `at` (in the time of the data), `planned_at`
            (by the clock), `treated`, `share` (of the control group; 0 without one) and `salt`.
    """

    contacts: pd.DataFrame

    @classmethod
    def read(cls, store: FeatureStore, contract: DatasetContract) -> Self:
        """Return the contacts of a data set, planned or imported; none where nothing was planned yet."""
        try:
            ref = store.latest(contract.table("contacts").name)
        except NotFound:
            return cls.of(pd.DataFrame({"batch_id": [], "customer": [], "group": []}))
        present = store.scan(ref).schema.names
        names = [name for name in _COLUMNS if name in present]
        rows = store.scan(ref, ["batch_id", contract.entity_key, "group", *names]).read_all()
        return cls.of(rows.rename_columns(["batch_id", "customer", "group", *names]).to_pandas())

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Self:
        """Take rows of `churn_contacts`; of older ones, the share of the control group is that of the batch's rows.

        Args:
            rows: `batch_id`, `customer`, `group`, and those of as_of, contacted_at, planned_at, salt and control_share
                that there are.
        """
        rows = rows.reindex(columns=[*rows.columns, *(name for name in _COLUMNS if name not in rows.columns)])
        times = {name: pd.to_datetime(rows[name], utc=True) for name in (AS_OF, CONTACTED_AT, PLANNED_AT)}
        treated = rows["group"] == TREATMENT
        counted = 1 - treated.groupby(rows["batch_id"]).transform("mean").astype(np.float64)
        share = rows[CONTROL_SHARE].astype(np.float64).fillna(counted).where(counted > 0, 0.0)
        return cls(
            pd.DataFrame(
                {
                    "customer": rows["customer"].astype(str),
                    "at": times[AS_OF].fillna(times[CONTACTED_AT]),
                    "planned_at": times[PLANNED_AT].fillna(times[CONTACTED_AT]),
                    "treated": treated,
                    "share": share,
                    "salt": rows[SALT].fillna("").astype(str),
                }
            )
        )

    def weigh(self, rows: pd.DataFrame, window_days: int) -> Weighed:
        """Return what the outcome of each row stands for.

        A contact touches a row if its time lies in the outcome window, whose start belongs to it and whose end does
        not, unless the outcome had been delivered before the contact was planned. A row that a contact touches
        counts 0, whatever else there is. A row of a control group counts the inverse of the probability that
        the customer was left alone by all campaigns that touch it: the smallest of the shares that one salt drew, for a
        greater share holds the customers of a smaller one, times those of the other salts.

        Args:
            rows: `customer`, the event time and `ingested_at`, since when the outcome was there (missing: unknown).
            window_days: Length of the outcome window.
        """
        weight, group = np.ones(len(rows)), np.full(len(rows), None, dtype=object)
        contacts = self.contacts[self.contacts["customer"].isin(rows["customer"].unique())]
        if contacts.empty:
            return Weighed(weight, group)
        met = rows.assign(row=np.arange(len(rows))).merge(contacts, on="customer")
        ends = met[EVENT_TIME] + pd.Timedelta(days=window_days)
        known_before = met[INGESTED_AT] <= met["planned_at"]
        met = met[(met["at"] >= met[EVENT_TIME]) & (met["at"] < ends) & ~known_before]
        left_alone = met[~met["treated"]].groupby(["row", "salt"])["share"].min().groupby("row").prod()
        weight[left_alone.index], group[left_alone.index] = 1 / left_alone.to_numpy(), CONTROL
        contacted = met[met["treated"]].groupby("row")["share"].min()
        weight[contacted.index] = 0.0
        group[contacted.index] = np.where(contacted > 0, TREATMENT, UNCONTROLLED)
        return Weighed(weight, group)


class UnseenSegment(Frozen):
    """Rows of one value of a column, and how many of them nobody stands for."""

    column: str
    value: str
    rows: int
    lost: int


class UntreatedRows(Frozen):
    """What the campaigns cost a table of outcomes.

    Attributes:
        rows: Rows whose outcome is known.
        contacted: Those left out because their customer was contacted within the outcome window.
        control: Rows of control groups, which stand for them.
        uncontrolled: Those of `contacted` that nobody stands for.
        effective: How many rows of equal weight the others are worth (Kish 1965): `(sum w)² / sum w²`.
        unseen: The values of the contract's slices that lost the greatest shares of their rows with nobody standing for
            them, the greatest first.
    """

    rows: int
    contacted: int
    control: int
    uncontrolled: int
    effective: float
    unseen: tuple[UnseenSegment, ...] = ()

    @property
    def kept(self) -> int:
        """The rows that are not left out."""
        return self.rows - self.contacted

    @property
    def sentence(self) -> str:
        """What was left out, and what stands for it."""
        return (
            f"{self.contacted:,} of {self.rows:,} rows are left out, because their customer was contacted within the "
            f"outcome window; {self.control:,} rows of the control group stand for them, weighted by the inverse of "
            f"its share. The {self.kept:,} rows count as much as {self.effective:,.0f} of equal weight."
        )

    @property
    def cost(self) -> str:
        """What it costs that some contacts have no control group; empty where all have one."""
        if not self.uncontrolled:
            return ""
        lost = ", ".join(f"{part.column} {part.value} ({percent(part.lost / part.rows, 0)})" for part in self.unseen)
        return (
            f"Nobody stands for {self.uncontrolled:,} of the rows that are left out: their campaign had no control "
            "group, or the contacts were imported. Customers like them are not seen, and what is predicted for them is "
            f"a guess from others{f'; most rows were lost of {lost}' if lost else ''}. Keep a campaign.control_share "
            "above 0."
        )


def untreated_rows(
    store: FeatureStore, ref: TableRef, contract: DatasetContract, side: Side | None = None
) -> UntreatedRows | None:
    """Return what the campaigns cost a table of outcomes, or one side of it; None where none touched it.

    Args:
        store: The tables of the data set.
        ref: Outcomes joined with features.
        contract: The data set's contract, whose slices are looked at.
        side: Of the split; None for both.
    """
    present = store.scan(ref).schema.names
    if WEIGHT not in present:
        return None
    slices = {words: name for words, name in contract.slice_names.items() if name in present}
    groups: Counter[str | None] = Counter()
    rows: Counter[tuple[str, str]] = Counter()
    lost: Counter[tuple[str, str]] = Counter()
    total = squares = 0.0
    where = None if side is None else {SPLIT: side}
    for batch in store.scan(ref, [WEIGHT, CAMPAIGN_GROUP, *slices.values()], where=where):
        weight = batch.column(WEIGHT).to_numpy()
        total, squares = total + float(weight.sum()), squares + float((weight**2).sum())
        group = batch.column(CAMPAIGN_GROUP).to_pandas()
        groups.update(group.fillna("").value_counts().to_dict())
        for words, name in slices.items():
            values = pd.Series(batch.column(name).cast(pa.string()).to_pandas()).fillna("(missing)")
            gone = values[(group == UNCONTROLLED).to_numpy()]
            for counts, counted in ((rows, values), (lost, gone)):
                counts.update((words, value) for value in counted)
    most = sorted(lost, key=lambda part: (-lost[part] / rows[part], part))[:_SHOWN]
    return UntreatedRows(
        rows=groups.total(),
        contacted=groups[TREATMENT] + groups[UNCONTROLLED],
        control=groups[CONTROL],
        uncontrolled=groups[UNCONTROLLED],
        effective=total**2 / squares if squares else 0.0,
        unseen=tuple(UnseenSegment(column=c, value=v, rows=rows[c, v], lost=lost[c, v]) for c, v in most),
    )
