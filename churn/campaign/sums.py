"""What a choice of customers comes to, beside other ways to choose and against its control group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..model.frame import FloatArray
from ..model.money import MoneySettings
from .campaign import Choice, Comparison, Contact
from .candidates import BoolArray, Candidates
from .outlook import outlook

__all__ = ["Groups", "counted", "ranked", "reasons_of"]

_FIRST = 25
_POINTS = 101
_POWER = 1.959964 + 0.841621
"""Normal quantiles of a two-sided test at 5 % and of a power of 80 %."""


class Groups(NamedTuple):
    """Who rests, who is never contacted, who is, and who of the never contacted is comparable; shape `(n,)` each."""

    rests: BoolArray
    held_back: BoolArray
    treated: BoolArray
    control: BoolArray

    @property
    def free(self) -> BoolArray:
        """Whom nothing but the limits keeps from being contacted."""
        return ~self.rests & ~self.held_back


def counted(candidates: Candidates, groups: Groups, money: MoneySettings, confidence: float) -> dict[str, Any]:
    """Return what a `Campaign` says that follows from the groups, by the names of its attributes."""
    worthwhile = candidates.worth > 0
    return {
        "customers": candidates.rows.num_rows,
        "worthwhile": int(np.count_nonzero(worthwhile)),
        "resting": int(np.count_nonzero(groups.rests & worthwhile)),
        "repriced": candidates.repriced,
        "plan": _choice("this campaign", candidates, groups.treated, money, confidence),
        "control": _comparison(candidates, groups, money),
        "choices": _choices(candidates, groups, money, confidence),
        "curve": _curve(candidates, groups.free),
        "first": _first(candidates, groups.treated),
    }


def _choice(name: str, candidates: Candidates, who: BoolArray, money: MoneySettings, confidence: float) -> Choice:
    expected = outlook(candidates.probability[who], candidates.value[who], money, confidence)
    return Choice(name=name, contacts=int(np.count_nonzero(who)), profit=expected.profit, cost=expected.cost)


def _choices(candidates: Candidates, groups: Groups, money: MoneySettings, confidence: float) -> tuple[Choice, ...]:
    free = groups.free
    riskiest = np.flatnonzero(free)[np.argsort(-candidates.probability[free], kind="stable")]

    def first(number: int) -> BoolArray:
        who = np.zeros(len(free), dtype=bool)
        who[riskiest[:number]] = True
        return who

    ways = {
        "all whose expected value is above 0": free & (candidates.worth > 0),
        "as many as this campaign, by probability": first(int(np.count_nonzero(groups.treated))),
        "the riskiest tenth": first(round(0.1 * len(riskiest))),
        "probability of 50% or more": free & (candidates.probability >= 0.5),
        "everybody": free,
        "nobody": np.zeros(len(free), dtype=bool),
    }
    return tuple(_choice(name, candidates, who, money, confidence) for name, who in ways.items())


def _comparison(candidates: Candidates, groups: Groups, money: MoneySettings) -> Comparison:
    treated, control = groups.treated, groups.control
    contacted, compared = int(np.count_nonzero(treated)), int(np.count_nonzero(control))
    churn = candidates.probability[treated | control]
    spread = float(np.mean(churn) * (1 - np.mean(churn))) if len(churn) else 0.0
    drop = money.acceptance.mean * candidates.probability[treated].mean() if contacted else 0.0
    both = contacted and compared
    return Comparison(
        customers=compared,
        never_contacted=int(np.count_nonzero(groups.held_back)),
        profit=float(candidates.worth[control].sum()),
        expected_drop=float(drop),
        detectable_drop=float(_POWER * np.sqrt(spread * (1 / contacted + 1 / compared))) if both else None,
    )


def _curve(candidates: Candidates, free: BoolArray) -> tuple[tuple[int, float, float], ...]:
    order = np.flatnonzero(free)[np.argsort(-candidates.worth[free], kind="stable")]
    numbers = np.unique(np.linspace(0, len(order), _POINTS).round().astype(int))
    sums = [np.append(0.0, np.cumsum(each[order]))[numbers] for each in (candidates.worth, candidates.cost)]
    return tuple((int(number), float(profit), float(cost)) for number, profit, cost in zip(numbers, *sums, strict=True))


def ranked(worth: FloatArray, who: BoolArray) -> npt.NDArray[np.intp]:
    """Return the places of those who are chosen, the most valuable first, equals in the order of their ids."""
    rows = np.flatnonzero(who)
    return rows[np.argsort(-worth[rows], kind="stable")]


def _first(candidates: Candidates, treated: BoolArray) -> tuple[Contact, ...]:
    rows = ranked(candidates.worth, treated)[:_FIRST]
    reasons = candidates.rows.select(reasons_of(candidates.rows)).take(rows).to_pylist()
    return tuple(
        Contact(
            customer=str(candidates.rows[candidates.entity][int(row)].as_py()),
            probability=float(candidates.probability[row]),
            expected_value=float(candidates.worth[row]),
            customer_value=float(candidates.value[row]),
            reasons=tuple(words for words in why.values() if words),
        )
        for row, why in zip(rows, reasons, strict=True)
    )


def reasons_of(rows: pa.Table) -> Sequence[str]:
    """Return the columns that hold reasons, the strongest first."""
    found = [name for name in rows.column_names if name.startswith("reason_")]
    return sorted(found, key=lambda name: int(name.removeprefix("reason_")))
