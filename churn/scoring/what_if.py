"""What-if: the model's answer with one actionable value of a customer changed at a time.

It answers what the model says of a customer who differs in that value. It is no causal effect: that customers with a
longer contract stay does not prove that giving one a longer contract makes them stay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.frozen import Frozen
from ..data.contract import ColumnSpec, DatasetContract
from ..model.frame import Columns, FloatArray
from ..model.scorer import LEAVE, TREAT, Predictions
from .facts import Alike
from .rows import LoadedModel

__all__ = ["Change", "what_if"]

_GRID = 201
_NOTICED = 0.0005
"""A difference of probabilities that shows in a percentage with one decimal."""


class Change(Frozen):
    """One value changed, and what the model then says.

    Attributes:
        column: The changed column; `description` is how one speaks of it.
        before: The customer's value.
        after: The value it is changed to.
        flips: Whether the decision becomes the other.
    """

    column: str
    description: str
    before: str | float | None
    after: str | float | None
    probability: float
    expected_value: float
    decision: str
    flips: bool


def what_if(scorer: LoadedModel, customer: Columns, contract: DatasetContract, others: Alike) -> tuple[Change, ...]:
    """Return the changes of one actionable value that lower the risk, the greatest fall first; none raises it.

    Categorical columns are tried with every value that occurs with the customer's fixed ones, numeric ones on a grid
    over the range that occurs, within what the contract allows. Of each column: the smallest change that flips the
    decision (of a number the nearest value, of a text the one that moves the log-odds least), and the change that
    lowers the risk most.

    Args:
        scorer: The model with its economics.
        customer: The model's inputs, arrays of shape `(1,)`.
        contract: What is actionable, and what is allowed.
        others: The values that occur.
    """
    now = scorer.predict(customer, explain="none")
    changes: list[Change] = []
    for name, column in contract.columns.items():
        if not column.actionable or name not in scorer.kinds:
            continue
        question = _Question(scorer, customer, now, name, column)
        options = question.harmless(question.options(others))
        if not len(options):
            continue
        flip, lowest = question.flip(options), question.lowest(options)
        changes += [change for change in (flip, lowest if lowest != flip else None) if change is not None]
    return tuple(sorted(changes, key=lambda change: change.probability))


@dataclass(frozen=True)
class _Question:
    """What the model says of a customer whose value in one column is another."""

    scorer: LoadedModel
    customer: Columns
    now: Predictions
    name: str
    column: ColumnSpec

    @property
    def before(self) -> Any:
        """The customer's value; None or NaN where it is not known."""
        return self.customer[self.name][0]

    @property
    def between(self) -> bool:
        """Whether there are values between the customer's and another."""
        return self.column.type == "number" and bool(np.isfinite(self.before))

    def options(self, others: Alike) -> npt.NDArray[np.generic]:
        """Return the other values that the customer could have, shape `(n,)`."""
        column = self.column
        if column.kind == "categorical":
            seen = (value for value in others.texts.get(self.name, ()) if value != self.before)
            return np.array(
                [value for value in seen if column.allowed is None or value in column.allowed], dtype=object
            )
        if self.name not in others.ranges:
            return np.empty(0)
        low, high = others.ranges[self.name]
        low = low if column.min is None else max(low, column.min)
        high = high if column.max is None else min(high, column.max)
        return _grid(low, high, whole=column.type == "integer", without=self.before)

    def harmless(self, options: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Return the options that do not raise the risk."""
        if not len(options):
            return options
        harmless: npt.NDArray[np.generic] = options[self.ask(options).probability <= self.now.probability[0]]
        return harmless

    def flip(self, options: npt.NDArray[np.generic]) -> Change | None:
        """Return the smallest change that flips the decision, if one does."""
        predicted = self.ask(options)
        flips = predicted.treat != self.now.treat[0]
        if not flips.any():
            return None
        index = int(np.argmin(np.where(flips, self.distance(options, predicted), np.inf)))
        if self.between:
            return self._nearer(options.astype(np.float64), float(options[index]))
        return self.change(options, predicted, index)

    def _nearer(self, options: FloatArray, flipping: float) -> Change:
        """Look again between the nearest value that flips the decision and its neighbour towards the customer's own."""
        inner = options[np.abs(options - self.before) < abs(flipping - self.before)]
        inner = inner[(inner > self.before) == (flipping > self.before)]
        clipped = float(np.clip(self.before, options.min(), options.max()))
        start = float(inner[np.argmin(np.abs(inner - flipping))]) if len(inner) else clipped
        finer = _grid(min(start, flipping), max(start, flipping), whole=False, without=self.before)
        values = self.harmless(np.union1d(finer, [flipping]))
        predicted = self.ask(values)
        far = np.where(predicted.treat != self.now.treat[0], np.abs(values - self.before), np.inf)
        return self.change(values, predicted, int(np.argmin(far)))

    def lowest(self, options: npt.NDArray[np.generic]) -> Change | None:
        """Return the change that lowers the risk most, if one does; of those as good, the smallest."""
        predicted = self.ask(options)
        least = float(predicted.probability.min())
        if self.now.probability[0] - least <= _NOTICED:
            return None
        far = np.where(predicted.probability <= least + _NOTICED, self.distance(options, predicted), np.inf)
        return self.change(options, predicted, int(np.argmin(far)))

    def ask(self, options: npt.NDArray[np.generic]) -> Predictions:
        """Score the customer with each of the values."""
        alike = {name: np.repeat(value, len(options)) for name, value in self.customer.items()}
        return self.scorer.predict({**alike, self.name: options}, explain="none")

    def distance(self, options: npt.NDArray[np.generic], predicted: Predictions) -> FloatArray:
        """Return how far each option is from the customer's value; of a text, how far it moves the log-odds."""
        if self.column.kind == "categorical" or not np.isfinite(self.before):
            return np.array([self.moved(float(probability)) for probability in predicted.probability])
        return np.asarray(np.abs(options.astype(np.float64) - self.before))

    def moved(self, probability: float) -> float:
        """Return how far a probability is from the customer's, in log-odds."""
        return abs(_logit(probability) - _logit(float(self.now.probability[0])))

    def change(self, options: npt.NDArray[np.generic], predicted: Predictions, index: int) -> Change:
        """Return one of the changes in words and numbers."""
        return Change(
            column=self.name,
            description=self.column.description,
            before=_plain(self.before),
            after=_plain(options[index]),
            probability=float(predicted.probability[index]),
            expected_value=float(predicted.expected_value[index]),
            decision=TREAT if predicted.treat[index] else LEAVE,
            flips=bool(predicted.treat[index] != self.now.treat[0]),
        )


def _grid(low: float, high: float, *, whole: bool, without: float) -> FloatArray:
    """Return about 200 values between two, with no more digits than tell them apart."""
    if low > high:
        return np.empty(0)
    step = (high - low) / (_GRID - 1)
    digits = 0 if whole else max(0, math.ceil(-math.log10(step))) + 1 if step > 0 else 12
    values: FloatArray = np.unique(np.round(np.linspace(low, high, _GRID), digits))
    inside: FloatArray = values[(values >= low) & (values <= high) & (values != without)]
    return inside


def _plain(value: Any) -> str | float | None:
    if value is None or isinstance(value, str):
        return value
    return None if math.isnan(value) else float(value)


def _logit(probability: float) -> float:
    clipped = min(max(probability, 1e-12), 1 - 1e-12)
    return math.log(clipped / (1 - clipped))
