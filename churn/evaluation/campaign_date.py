"""The newest mature campaign date of a holdout: each customer once, with profit per 1,000 customers."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from ..core.frozen import Finite
from ..model.frame import FloatArray, IntArray
from ..model.money import expected_value
from .holdout import Holdout

__all__ = [
    "PER_CUSTOMERS",
    "CampaignDate",
    "CampaignRows",
    "period_of",
    "rows_digest",
    "rows_of_newest_date",
    "unit_of",
]

PER_CUSTOMERS = 1_000
"""What a campaign earns is given for so many customers."""
_MAX_DATES = 40
"""With more distinct days, rows are grouped by calendar month."""


class CampaignDate(Finite):
    """The customers of one campaign date; what it earns is in the metrics `campaign_…`."""

    since: dt.datetime
    until: dt.datetime = Field(description="The same as `since` where all rows are of one date (UTC).")
    customers: int = Field(description="Each counted as often as those that it stands for, here and below.")
    churners: int = Field(description="Customers among them who churned.")
    treated: int = Field(description="Customers who are treated, because their expected value is above 0.")
    found: int = Field(description="Customers among the treated who churned.")


def period_of(event_time: pd.Series, unit: str) -> npt.NDArray[np.datetime64]:
    """Return the day (`D`) or calendar month (`M`) of each time (UTC), shape `(n_rows,)`."""
    times: npt.NDArray[np.datetime64] = event_time.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    return times.astype(f"datetime64[{unit}]")


def unit_of(event_time: pd.Series) -> str:
    """Return `D` where rows are of few days, as in a table that is delivered monthly, else `M`."""
    return "D" if len(np.unique(period_of(event_time, "D"))) <= _MAX_DATES else "M"


def rows_of_newest_date(
    event_time: pd.Series, entity: npt.NDArray[np.str_], label: FloatArray, min_per_class: int
) -> IntArray | None:
    """Return the rows of one campaign, each customer once; None where no date has enough outcomes.

    A table with one row a customer is one campaign. Otherwise it is the newest day, or calendar month where rows are of
    many days, in which enough customers churned and stayed; of a month each customer's newest row counts.

    Args:
        event_time: When the facts of each row were true, shape `(n_rows,)`.
        entity: The customer of each row, shape `(n_rows,)`.
        label: 1 churned, 0 stayed, shape `(n_rows,)`.
        min_per_class: Customers who must have churned, and must have stayed.
    """
    if len(np.unique(entity)) == len(entity):
        return np.arange(len(entity))
    order = np.argsort(event_time.to_numpy(), kind="stable")[::-1]
    periods = period_of(event_time, unit_of(event_time))
    for newest in np.unique(periods)[::-1]:
        rows = order[periods[order] == newest]
        rows = np.sort(rows[np.unique(entity[rows], return_index=True)[1]])
        churners = int(np.sum(label[rows]))
        if min(churners, len(rows) - churners) >= min_per_class:
            return rows.astype(np.int64)
    return None


@dataclass(frozen=True)
class CampaignRows:
    """What a campaign on one date earns, as a function of the weights of all rows of the holdout.

    Attributes:
        rows: Positions of its rows, shape `(n_customers,)`.
        earned: What treating each of them earns, in the currency, shape `(n_customers,)`.
        treated: Who is treated, shape `(n_customers,)`.
    """

    rows: IntArray
    earned: FloatArray
    treated: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, holdout: Holdout, rows: IntArray) -> Self:
        """Prepare the rows of a holdout that one campaign is made of."""
        earned = expected_value(holdout.label[rows], holdout.value[rows], holdout.money)
        return cls(rows, earned, holdout.treated["profit"][rows])

    def metrics(self, weights: FloatArray) -> dict[str, float]:
        """Return what the campaign earns for each 1,000 customers, in the currency; NaN where they weigh nothing."""
        weight = weights[self.rows]
        total = np.sum(weight)
        chosen, everybody = (
            float(PER_CUSTOMERS * (weight @ earned) / total) if total > 0 else float("nan")
            for earned in (np.where(self.treated, self.earned, 0.0), self.earned)
        )
        return {
            "campaign_profit": chosen,
            "campaign_profit_if_all": everybody,
            "campaign_profit_over_all": chosen - everybody,
        }

    def summary(self, holdout: Holdout, event_time: pd.Series) -> CampaignDate:
        """Return who is in the campaign."""
        times, label, weight = event_time.iloc[self.rows], holdout.label[self.rows], holdout.weight[self.rows]
        return CampaignDate(
            since=times.min().to_pydatetime(),
            until=times.max().to_pydatetime(),
            customers=round(weight.sum()),
            churners=round(float(weight @ label)),
            treated=round(weight[self.treated].sum()),
            found=round(float(weight[self.treated] @ label[self.treated])),
        )


def rows_digest(holdout: Holdout, event_time: pd.Series | None) -> str:
    """Return 12 digits that are the same for the same customers, times, outcomes and weights, in whatever order."""
    time = "" if event_time is None else event_time.dt.tz_convert("UTC").dt.as_unit("us").astype("int64")
    rows = pd.DataFrame({"entity": holdout.entity, "time": time, "label": holdout.label})
    rows = rows.assign(weight=holdout.weight) if holdout.weighted else rows
    hashes = np.sort(pd.util.hash_pandas_object(rows, index=False).to_numpy())
    return hashlib.sha256(hashes.tobytes()).hexdigest()[:12]
