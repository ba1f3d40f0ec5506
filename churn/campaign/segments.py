"""Limits of parts of the customers: at most so many, or so much money, for those with a value in a column."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ..core.errors import ContractError, DataError, nearest
from ..model.frame import as_strings
from .campaign import SegmentUse
from .candidates import BoolArray, Candidates
from .selection import Bar, select
from .settings import CampaignSettings, Limits

__all__ = ["SegmentLimits"]


class SegmentLimits(NamedTuple):
    """Who is left after the limits of the segments.

    Attributes:
        left: Those worth contacting for whom their segments have a place, shape `(n,)`.
        reached: Who, control group and all, is as valuable as the least of those in their segments, shape `(n,)`.
        members: Column, value, limits and members of each segment.
        notes: Segments that nobody is in.
    """

    left: BoolArray
    reached: BoolArray
    members: tuple[tuple[str, str, Limits, BoolArray], ...]
    notes: tuple[str, ...]

    @classmethod
    def apply(
        cls, candidates: Candidates, settings: CampaignSettings, segments: pa.Table | None, free: BoolArray
    ) -> SegmentLimits:
        """Apply the limits column by column, in the order of the settings, to the customers who are `free`.

        Raises:
            ContractError: nothing is known of a column.
            DataError: a customer stands twice in `segments`.
        """
        left, reached = free & (candidates.worth > 0), np.ones(len(free), dtype=bool)
        members: list[tuple[str, str, Limits, BoolArray]] = []
        notes: list[str] = []
        for column, values in settings.segments.items():
            there = _values_of(candidates, segments, column)
            for value, limits in values.items():
                of = np.asarray(there == value, dtype=bool)
                members.append((column, value, limits, of))
                if not of.any():
                    known = sorted({each for each in there if each is not None})
                    notes.append(f"No customer has {column} {value!r}, which has limits{nearest(value, known) or '.'}")
                bar = _bar_in(candidates, left, of, limits)
                reached &= ~of | bar.reached(candidates.worth, candidates.cost)
        return cls(left, reached, tuple(members), tuple(notes))

    def used(self, candidates: Candidates, treated: BoolArray) -> tuple[SegmentUse, ...]:
        """Return what each segment took of its limits."""
        return tuple(
            SegmentUse(
                column=column,
                value=value,
                limits=limits,
                customers=int(np.count_nonzero(of)),
                contacts=int(np.count_nonzero(of & treated)),
                cost=float(candidates.cost[of & treated].sum()),
            )
            for column, value, limits, of in self.members
        )


def _bar_in(candidates: Candidates, left: BoolArray, of: BoolArray, limits: Limits) -> Bar:
    """Take those out of `left` whom the limits of a segment leave no place."""
    rows = np.flatnonzero(left & of)
    found = select(candidates.worth[rows], candidates.cost[rows], limits)
    left[rows[~found.chosen]] = False
    return found.bar


def _values_of(candidates: Candidates, segments: pa.Table | None, column: str) -> npt.NDArray[np.object_]:
    """Return each customer's value in a column as text, None where it is not known, shape `(n,)`.

    Raises:
        ContractError: nothing is known of the column.
        DataError: a customer stands twice.
    """
    known = [] if segments is None else [name for name in segments.column_names if name != candidates.entity]
    if segments is None or column not in known:
        raise ContractError(
            f"`campaign.segments` limits {column!r}, which no column of the customers is called"
            f"{nearest(column, known) or '.'} Correct the setting."
        )
    index = pd.Index(segments[candidates.entity].to_numpy(zero_copy_only=False))
    if not index.is_unique:
        twin = index[index.duplicated()][0]
        raise DataError(f"Customer {twin!r} is in two rows of the segments: pass one row for each customer.")
    values = np.array([*as_strings(segments[column].to_pandas()), None], dtype=object)
    return np.asarray(values[index.get_indexer(candidates.customers)], dtype=object)
