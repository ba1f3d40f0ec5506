"""Compares two versions on the customers of a rollout, once outcomes are known.

A customer counts once, by the first row that was scored while the rollout ran. Customers who were contacted within
their outcome window do not count, in either arm, and a control group stands for them: see `churn.data.untreated`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..core.estimate import Estimate
from ..core.shares import hash_shares
from ..data.tables import EVENT_TIME, INGESTED_AT
from ..data.untreated import ContactHistory
from ..model.frame import FloatArray
from ..model.money import MoneySettings, expected_value
from .sequential import difference_of_arms, mean_of_pairs
from .shift import shift_of_counts

__all__ = ["Arms", "Compared", "compare", "score_shift"]

_BINS = 10


class Arms(NamedTuple):
    """Who came to which version.

    Attributes:
        champion: The version that answers everybody else.
        challenger: The version on trial.
        starts: From when on each share held, ascending (UTC).
        shares: Of the customers, for each start, 0 to 1; 0 in shadow.
        salt: Draws the customers.
    """

    champion: int
    challenger: int
    starts: Sequence[pd.Timestamp]
    shares: Sequence[float]
    salt: str

    @property
    def paired(self) -> bool:
        """Whether the rollout began in shadow: then both versions score the same customers, and are compared there."""
        return self.shares[0] == 0


class Compared(NamedTuple):
    """What the challenger gained on the customers whose outcome is known; None before there are enough of them.

    Attributes:
        customers: Whose outcome is known, in both arms.
        fewest: In the smaller arm; all of them where both versions scored everybody.
        contacted: Left out, because they were contacted.
        outcome: Brier score saved, a customer; positive where the challenger is better.
        profit: Profit of the decisions at the expected acceptance, a customer, in the currency.
    """

    customers: int
    fewest: int
    contacted: int
    outcome: Estimate | None
    profit: Estimate | None


def compare(
    rows: pd.DataFrame,
    labels: pd.DataFrame,
    contacts: ContactHistory,
    arms: Arms,
    money: MoneySettings,
    *,
    window_days: int,
    alpha: float,
    planned: int,
    min_customers: int,
) -> Compared:
    """Compare both versions by known outcomes.

    Args:
        rows: What was scored while the rollout ran: customer, event_time, scored_at, version, role (answered or
            shadow), request_id, probability, treat, customer_value. Rows without a customer or a score are left out.
        labels: Outcomes that are known: customer, event_time, label (0 or 1), label_ts, ingested_at.
        contacts: Who was contacted when, or held back.
        arms: Who came to which version.
        money: The economics of a treatment.
        window_days: Length of the outcome window.
        alpha: Probability of an interval that misses at any look, for each of the two.
        planned: See `mixture_bound`.
        min_customers: Known outcomes in each arm before there is an interval.
    """
    scored = rows[rows["probability"].notna() & (rows["customer"] != "")]
    mature = _with_outcome(_pairs(scored, arms) if arms.paired else _first(scored, arms), labels)
    outcomes = mature[["customer", "of", "ingested_at"]].set_axis(["customer", EVENT_TIME, INGESTED_AT], axis=1)
    stands_for = contacts.weigh(outcomes, window_days).weight
    is_left = stands_for > 0
    contacted, mature, weight = int(np.sum(~is_left)), mature[is_left], stands_for[is_left]
    arm = mature["version"].to_numpy() == arms.challenger
    fewest = len(mature) if arms.paired else int(min(np.sum(arm), np.sum(~arm)))
    if fewest < min_customers:
        return Compared(len(mature), fewest, contacted, None, None)
    label, worth = mature["label"].to_numpy(np.float64), mature["customer_value"].to_numpy(np.float64)
    earned = expected_value(label, worth, money)

    def values(suffix: str = "") -> tuple[FloatArray, FloatArray]:
        brier = -((mature[f"probability{suffix}"].to_numpy(np.float64) - label) ** 2)
        return brier, np.where(mature[f"treat{suffix}"].to_numpy(bool), earned, 0.0)

    if arms.paired:
        gains = [new - old for new, old in zip(values("_new"), values(), strict=True)]
        outcome, profit = (mean_of_pairs(gain, weight, alpha=alpha, planned=planned) for gain in gains)
    else:
        share = mature["share"].to_numpy(np.float64)
        outcome, profit = (
            difference_of_arms(value, arm, share, weight, alpha=alpha, planned=planned) for value in values()
        )
    return Compared(len(mature), fewest, contacted, outcome, profit)


def _pairs(rows: pd.DataFrame, arms: Arms) -> pd.DataFrame:
    """Return the first answer to each customer beside what the challenger said of the same row."""
    same = ["customer", "request_id"]
    answered = rows[(rows["role"] == "answered") & (rows["version"] == arms.champion)].drop_duplicates(same)
    shadow = rows[(rows["role"] == "shadow") & (rows["version"] == arms.challenger)].drop_duplicates(same)
    both = answered.merge(shadow[[*same, "probability", "treat"]], on=same, suffixes=("", "_new"))
    return both.sort_values("scored_at", kind="stable").drop_duplicates("customer")


def _first(rows: pd.DataFrame, arms: Arms) -> pd.DataFrame:
    """Return the first answer to each customer, with the share that held then.

    Rows that another version answered than the share says are left out: the endpoint did not know of the step yet.
    """
    answered = rows[(rows["role"] == "answered") & rows["version"].isin([arms.champion, arms.challenger])]
    first = answered.sort_values("scored_at", kind="stable").drop_duplicates("customer")
    step = pd.Series(list(arms.starts)).searchsorted(first["scored_at"], side="right") - 1
    share = np.asarray(arms.shares)[np.maximum(step, 0)]
    drawn = np.zeros(len(first), dtype=bool)
    for value in np.unique(share):
        drawn[share == value] = hash_shares(first["customer"][share == value], float(value), arms.salt)
    as_drawn = drawn == (first["version"].to_numpy() == arms.challenger)
    per_customer: pd.DataFrame = first.assign(share=share).loc[as_drawn]
    return per_customer


def _with_outcome(rows: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose outcome is known, with label and label_ts: that of the newest facts up to their own.

    An outcome that was known before the score is none of it: a version may have learned from it.
    """
    ordered = rows.sort_values("event_time", kind="stable")
    outcomes = labels.sort_values("event_time", kind="stable")
    outcomes["of"] = outcomes.pop("event_time")
    joined: pd.DataFrame = pd.merge_asof(ordered, outcomes, left_on="event_time", right_on="of", by="customer")
    return joined[joined["label_ts"] > joined["scored_at"]]


def score_shift(first: FloatArray, second: FloatArray) -> float:
    """Return the population stability index between two samples of scores, in ten bins of the first, 0 upwards."""
    edges = np.unique(np.quantile(first, np.linspace(0, 1, _BINS + 1)[1:-1]))
    before, after = (np.bincount(np.searchsorted(edges, x, "right"), minlength=len(edges) + 1) for x in (first, second))
    return shift_of_counts("probability", "the score", [""] * len(before), before, after).psi
