"""The candidates of a campaign: customers of one batch, checked, in the order of their ids."""

from __future__ import annotations

import datetime as dt
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import DataError
from ..data.untreated import AS_OF, CONTACTED_AT, PLANNED_AT
from ..model.frame import FloatArray
from ..model.money import MoneySettings, expected_value
from ..model.scorer import TREAT
from ..scoring.batch import BATCH_ID

__all__ = ["AS_OF", "CONTACTED_AT", "PLANNED_AT", "BoolArray", "Candidates", "IntArray", "expected_cost", "in_cooldown"]

_NUMBERS = ("probability", "customer_value")
_SLICE = 65_536

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Candidates:
    """The customers of a batch in the order of their ids, so that ties are always broken alike; shape `(n,)` each.

    Attributes:
        ids: The customers, as Arrow text.
        probability: Churn probability, 0 to 1.
        customer_value: What keeping the customer is worth, in the currency, 0 upwards.
        expected_value: What treating them is expected to earn under the campaign's economics.
        cost: What treating them is expected to cost.
        negative: Customers whose value in the predictions is below 0; it counts as 0.
        repriced: Customers who are decided otherwise under the campaign's economics than the predictions say.
    """

    ids: pa.LargeStringArray
    probability: FloatArray
    customer_value: FloatArray
    expected_value: FloatArray
    cost: FloatArray
    negative: int
    repriced: int

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def read(cls, predictions: pa.RecordBatchReader, entity: str, money: MoneySettings) -> Self:
        """Check the predictions of one batch.

        Raises:
            DataError: a customer is missing or in several rows, or a probability or value is missing, infinite or out
                of range; the message names the row.
        """
        names = predictions.schema.names
        ids: list[pa.Array] = []
        numbers = {name: array("d") for name in _NUMBERS}  # grows in place, where a list would hold all of it twice
        repriced = 0
        for batch in predictions:
            ids.append(pc.cast(batch.column(entity), pa.large_string()))
            risk, worth = (batch.column(name).to_numpy(zero_copy_only=False).astype(np.float64) for name in _NUMBERS)
            for name, values in zip(_NUMBERS, (risk, worth), strict=True):
                numbers[name].frombytes(values.tobytes())
            if "decision" in names:
                treated = pc.equal(pc.cast(batch.column("decision"), pa.string()), TREAT)
                now = expected_value(risk, worth, money) > 0
                repriced += int(np.count_nonzero(treated.to_numpy(zero_copy_only=False) != now))
        customers = pa.concat_arrays(ids) if ids else pa.array([], pa.large_string())
        ids.clear()
        probability, value = (np.array(numbers.pop(name), copy=False) for name in _NUMBERS)
        _refuse_bad_numbers(probability, customers, "probability", 0.0, 1.0)
        _refuse_bad_numbers(value, customers, "customer_value", -np.inf, np.inf)
        if customers.null_count:
            first = int(np.flatnonzero(customers.is_null().to_numpy(zero_copy_only=False))[0])
            raise DataError(f"Row {first} of the predictions names no customer ({entity}): score the batch again.")
        order = pc.sort_indices(customers)
        customers = customers.take(order)
        _refuse_duplicates(customers)
        places = order.to_numpy()
        probability = probability[places]
        value = value[places]
        del order, places
        negative = int(np.count_nonzero(value < 0))
        np.maximum(value, 0.0, out=value)
        expected, cost = np.empty(len(value)), np.empty(len(value))
        for start in range(0, len(value), _SLICE):  # so that no array of all customers is made on the way
            rows = slice(start, start + _SLICE)
            expected[rows] = expected_value(probability[rows], value[rows], money)
            cost[rows] = expected_cost(probability[rows], money)
        return cls(customers, probability, value, expected, cost, negative, repriced)

    def keys(self) -> Iterator[str]:
        """Yield the ids one after the other."""
        for start in range(0, len(self.ids), _SLICE):
            yield from self.ids.slice(start, _SLICE).to_pylist()

    def places(self, customers: pa.Array) -> IntArray:
        """Return where each of some customers stands among these, -1 for one who does not, shape `(n_customers,)`.

        A binary search, for a hash table of all ids would take more memory than all else.
        """
        keys = pc.cast(customers, pa.large_string())
        low, high = (np.full(len(keys), bound, dtype=np.intp) for bound in (0, len(self)))
        if not len(self):
            return low - 1
        for _ in range(len(self).bit_length()):
            middle = (low + high) // 2
            below = pc.less(self._at(middle), keys).fill_null(False).to_numpy(zero_copy_only=False)
            is_open = low < high
            low, high = np.where(is_open & below, middle + 1, low), np.where(is_open & ~below, middle, high)
        is_candidate = pc.equal(self._at(low), keys).fill_null(False).to_numpy(zero_copy_only=False)
        return np.where(is_candidate, low, -1)

    def _at(self, places: IntArray) -> pa.LargeStringArray:
        return self.ids.take(pa.array(np.minimum(places, len(self) - 1)))


def expected_cost(probability: FloatArray, money: MoneySettings) -> FloatArray:
    """Return what contacting each customer is expected to cost, in the currency, shape `(n_rows,)`: what budgets count.

    The contact f, and the incentive d of those who take it: churners who accept (p·gamma) and customers who would have
    stayed anyway (1 - p). It is f + d at most.
    """
    refused = probability * (1 - money.acceptance.mean)
    return np.asarray(money.contact_cost + money.incentive_cost * (1 - refused))


def in_cooldown(
    candidates: Candidates,
    contacted: pa.RecordBatchReader | None,
    entity: str,
    *,
    batch_id: str,
    rest: dt.timedelta,
    planned_at: dt.datetime,
) -> BoolArray:
    """Return who was on the list of another batch less than `rest` before `planned_at`, or later; shape `(n,)`.

    The control group is in cool-down too, so that both groups stay alike. A row of a version that did not keep the time
    of planning counts from `contacted_at`.

    Args:
        candidates: The customers.
        contacted: `churn_contacts` so far.
        entity: The column of the customer.
        batch_id: Rows of this batch are left out.
        rest: How long a customer is left alone.
        planned_at: When this campaign is planned (UTC).
    """
    if contacted is None or not rest:
        return np.zeros(len(candidates), dtype=bool)
    since, resting = pa.scalar(planned_at - rest, pa.timestamp("us", "UTC")), np.zeros(len(candidates), dtype=bool)
    for batch in contacted:
        times = batch.column(CONTACTED_AT)
        if PLANNED_AT in batch.schema.names:
            times = pc.coalesce(batch.column(PLANNED_AT), times)
        recent = pc.and_(pc.greater(times, since), pc.not_equal(batch.column(BATCH_ID), batch_id))
        places = candidates.places(batch.column(entity).filter(recent))
        resting[places[places >= 0]] = True
    return resting


def _refuse_bad_numbers(
    numbers: FloatArray, customers: pa.LargeStringArray, name: str, lowest: float, highest: float
) -> None:
    wrong = np.flatnonzero(~(np.isfinite(numbers) & (numbers >= lowest) & (numbers <= highest)))
    if len(wrong):
        row = int(wrong[0])
        valid = "between 0 and 1" if highest == 1 else "a finite amount"
        raise DataError(
            f"{len(wrong)} of {len(numbers)} predictions have no {name} that is {valid}; the first is row {row}, "
            f"customer {customers[row].as_py()!r}, with {numbers[row]}: score the batch again."
        )


def _refuse_duplicates(customers: pa.LargeStringArray) -> None:
    if len(customers) > 1:
        duplicates = customers[1:].filter(pc.equal(customers[1:], customers[:-1]))
        if len(duplicates):
            raise DataError(
                f"Customer {duplicates[0].as_py()!r} is in several rows of the predictions ({len(duplicates)} row(s) "
                "too many): a campaign contacts a customer once, so score the newest row of each."
            )
