"""The customers of one batch of predictions, checked and put in order: what a campaign chooses from."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import ContractError, DataError, nearest
from ..model.frame import FloatArray
from ..model.money import MoneySettings, expected_value
from ..model.scorer import TREAT
from ..scoring.batch import BATCH_ID
from .outlook import expected_cost

__all__ = ["CONTACTED_AT", "BoolArray", "Candidates", "resting"]

CONTACTED_AT = "contacted_at"
"""When a contact was planned for: the time as of which its batch was scored (UTC)."""
_NUMBERS = ("probability", "customer_value")
_MODEL = ("model_name", "model_version")

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Candidates:
    """The customers of a batch in the order of their ids, so that equals are always chosen alike; shape `(n,)` each.

    Attributes:
        rows: Their predictions.
        entity: The column of the customer.
        probability: Churn probability, 0 to 1.
        value: What keeping the customer is worth, in the currency.
        worth: What treating them is expected to earn under the campaign's economics.
        cost: What treating them is expected to cost.
    """

    rows: pa.Table
    entity: str
    probability: FloatArray
    value: FloatArray
    worth: FloatArray
    cost: FloatArray

    @classmethod
    def of(cls, predictions: pa.Table, entity: str, money: MoneySettings) -> Self:
        """Check the predictions of one batch.

        Raises:
            ContractError: a column is not there.
            DataError: there are several batches, a customer is missing or stands twice, or a probability or value is
                missing, infinite or out of range; the message names the row.
        """
        for name in (BATCH_ID, entity, *_NUMBERS, *_MODEL):
            if name not in predictions.column_names:
                raise ContractError(
                    f"The predictions have no column {name!r}{nearest(name, predictions.column_names) or '.'} Plan a "
                    "campaign from the table that `python run.py --pipeline inference` writes."
                )
        batches = pc.unique(predictions[BATCH_ID]).to_pylist()
        if len(batches) > 1:
            raise DataError(f"A campaign is of one batch, and the predictions are of {len(batches)}: pass one of them.")
        for name, most in (("probability", 1.0), ("customer_value", np.inf)):
            _refuse_bad_numbers(predictions, entity, name, most)
        _refuse_missing(predictions, entity)
        rows = predictions.sort_by(entity)
        _refuse_twins(rows[entity])
        probability, value = (rows[name].to_numpy().astype(np.float64) for name in _NUMBERS)
        worth = expected_value(probability, value, money)
        return cls(rows, entity, probability, value, worth, expected_cost(probability, money))

    @property
    def customers(self) -> npt.NDArray[np.object_]:
        """Their ids."""
        return np.asarray(self.rows[self.entity].to_numpy(zero_copy_only=False), dtype=object)

    def fact(self, name: str) -> str:
        """Return what every row says in a column, such as the batch; empty where there is no row."""
        return str(self.rows[name][0].as_py()) if self.rows.num_rows else ""

    @property
    def repriced(self) -> int:
        """How many would be decided otherwise under the campaign's economics than the predictions say."""
        if "decision" not in self.rows.column_names:
            return 0
        said = self.rows["decision"].to_numpy(zero_copy_only=False) == TREAT
        return int(np.count_nonzero(said != (self.worth > 0)))


def resting(candidates: Candidates, contacted: pa.Table | None, rest: dt.timedelta, as_of: dt.datetime) -> BoolArray:
    """Return who was on the list of another batch within `rest` up to `as_of`, shape `(n,)`.

    The control group rests too: both groups stay alike.
    """
    if contacted is None or not contacted.num_rows or not rest:
        return np.zeros(candidates.rows.num_rows, dtype=bool)
    times, kind = contacted[CONTACTED_AT], contacted[CONTACTED_AT].type
    lately = pc.and_(pc.greater(times, pa.scalar(as_of - rest, kind)), pc.less_equal(times, pa.scalar(as_of, kind)))
    lately = pc.and_(lately, pc.not_equal(contacted[BATCH_ID], candidates.fact(BATCH_ID)))
    who = contacted[candidates.entity].filter(lately)
    found = pc.is_in(candidates.rows[candidates.entity], value_set=who.combine_chunks())
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)


def _refuse_bad_numbers(predictions: pa.Table, entity: str, name: str, most: float) -> None:
    numbers = predictions[name].to_numpy().astype(np.float64)
    wrong = np.flatnonzero(~(np.isfinite(numbers) & (numbers >= 0) & (numbers <= most)))
    if len(wrong):
        row = int(wrong[0])
        between = "between 0 and 1" if most == 1 else "a finite amount, 0 or more"
        raise DataError(
            f"{len(wrong)} of {len(numbers)} predictions have no {name} that is {between}; the first is row {row}, "
            f"customer {predictions[entity][row].as_py()!r}, with {numbers[row]}: score the batch again."
        )


def _refuse_missing(predictions: pa.Table, entity: str) -> None:
    missing = np.flatnonzero(predictions[entity].is_null().to_numpy())
    if len(missing):
        raise DataError(f"Row {missing[0]} of the predictions names no customer ({entity}): score the batch again.")


def _refuse_twins(customers: pa.ChunkedArray) -> None:
    if len(customers) > 1:
        twins = customers[1:].filter(pc.equal(customers[1:], customers[:-1]))
        if len(twins):
            raise DataError(
                f"Customer {twins[0].as_py()!r} stands in several rows of the predictions ({len(twins)} row(s) too "
                "many): a campaign contacts a customer once, so score the newest row of each."
            )
