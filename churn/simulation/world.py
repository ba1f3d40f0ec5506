"""What one simulated business is made of; a further business is one more file that fills this in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..model.frame import FloatArray

__all__ = ["ColumnKinds", "Mask", "State", "World", "draw"]

Mask = npt.NDArray[np.bool_]
ColumnKinds = Mapping[str, tuple[str, ...] | type[int] | type[float]]
"""Column name to the values of a categorical column, or to the type of a numeric one."""
State = Mapping[str, npt.NDArray[Any]]
"""The active customers in one month, one array of shape `(n_customers,)` per column, never changed in place.

A categorical column holds the position of each value among the world's values; a numeric column holds numbers, NaN for
missing. A world may keep columns that it does not deliver.
"""


class World(ABC):
    """A business whose customers join, live through months and leave, with a known chance of leaving in each month.

    What happens to a customer from one month to the next is either certain (`grow_older` and the scripted events) or a
    switch between the values of one column, `switching`, with known chances. That is why the probability of leaving
    within the outcome window can be computed, not only estimated. Changes by chance beyond that belong into `wander`,
    and a world that has them has a window of one month.
    """

    name: ClassVar[str]
    entity_key: ClassVar[str]
    key_pattern: ClassVar[str]
    """How a key is written: `#` stands for a digit, `@` for a capital letter, anything else for itself."""
    event_time: ClassVar[str]
    columns: ClassVar[ColumnKinds]
    """What the source delivers beside key, time and label, in order."""
    price: ClassVar[str]
    """The column with what a customer pays in a month."""
    label: ClassVar[str]
    positive: ClassVar[str]
    negative: ClassVar[str]
    window_months: ClassVar[int]
    """The outcome window in simulated months; the contract calls it `window_days`."""
    window_days: ClassVar[int]
    delay_days: ClassVar[int]
    history_months: ClassVar[int]
    """How long the business has lived before the first simulated month, so that its customers have a past."""
    products: ClassVar[Mapping[str, str | None]]
    """The columns in which a product can be sold, and the value of the customers it cannot be sold to."""
    switching: ClassVar[str | None] = None
    """The categorical column that changes by chance."""

    @abstractmethod
    def join(self, rng: np.random.Generator, n: int) -> State:
        """Return `n` customers at the moment they join, with every column but `price`, which the price list decides."""

    @abstractmethod
    def list_price(self, state: State) -> FloatArray:
        """Return what each customer pays in a month before any scripted price rise, shape `(n_customers,)`, above 0."""

    @abstractmethod
    def log_odds(self, state: State) -> FloatArray:
        """Return the log odds of leaving in this month, shape `(n_customers, n_values)`.

        The j-th column holds for the j-th value of `switching`, all else equal; a world without `switching` has one.
        Only delivered columns may be read: the truth must be within a model's reach.
        """

    @abstractmethod
    def grow_older(self, state: State) -> State:
        """Return the customers one month later, as far as it is certain."""

    @property
    def categories(self) -> Mapping[str, tuple[str, ...]]:
        """The values of each categorical column."""
        return {name: kind for name, kind in self.columns.items() if isinstance(kind, tuple)}

    def reprice(self, before: State, after: State) -> State:
        """Return `after` with each price changed as the list price changed, rounded to cents."""
        price = before[self.price] * (self.list_price(after) / self.list_price(before))
        return {**after, self.price: np.round(price, 2)}

    def switches(self, state: State) -> FloatArray:
        """Return the chance of each switch, from row to column, shape `(n_customers, n_values, n_values)`."""
        return np.ones((1, 1, 1))

    def wander(self, rng: np.random.Generator, state: State) -> State:
        """Return the customers after the changes of one month that are up to chance."""
        return state


def draw(rng: np.random.Generator, shares: FloatArray) -> npt.NDArray[np.int8]:
    """Draw a position for each row of `shares`, shape `(n, n_values)`, each row summing to 1."""
    upto = np.cumsum(shares, axis=1)[:, :-1]
    return np.asarray((rng.random(len(shares))[:, None] >= upto).sum(axis=1), dtype=np.int8)
