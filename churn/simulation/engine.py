"""The passing of months: who leaves, who joins, and how probable each leaving was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..model.frame import FloatArray
from .script import Script
from .world import Mask, State, World, draw

__all__ = ["Business", "Month", "live", "stream"]

_JOINING, _WELCOMING, _LEAVING, _SWITCHING, _WANDERING = range(5)
_JOINED_TODAY = 1 / 30
"""Share of the new customers who join on the first of the month itself; the others have one month behind them."""


@dataclass(frozen=True)
class Month:
    """The active customers on the first day of a month, arrays of shape `(n_customers,)`."""

    state: State
    customer: npt.NDArray[np.int64]
    """The number of the customer; one who leaves makes place, at the same position, for a new one."""
    truth: FloatArray
    """The probability of leaving within the outcome window that begins here."""
    left: Mask
    """Whether the customer left within this month."""


def stream(seed: int, purpose: int, month: int) -> np.random.Generator:
    """Return the random numbers for one purpose in one month, so that an event leaves all unrelated draws alone."""
    return np.random.default_rng((seed, purpose, month + 10_000))


@dataclass
class Business:
    """A business in the middle of its life; `live` is one that nobody interferes with.

    Attributes:
        world: What kind of business.
        script: What happens to it.
        seed: The run's seed.
        month: Today's month.
        state: The active customers.
        customer: Their numbers, shape `(n_customers,)`; who leaves makes place, at the same position, for a new one.
        joined: The next number.
        by_place: Whether new customers are drawn, and numbered, by their place: businesses that differ in who left
            are then the same in every other place.
    """

    world: World
    script: Script
    seed: int
    month: int
    state: State
    customer: npt.NDArray[np.int64]
    joined: int
    by_place: bool = False

    @classmethod
    def founded(cls, world: World, script: Script, customers: int, seed: int) -> Business:
        """Return a business that lived through its history and is in month 1."""
        month = 1 - world.history_months
        state = _newcomers(world, script, month, customers, seed)
        business = cls(world, script, seed, month, state, np.arange(customers), customers)
        while business.month < 1:
            business.pass_month(business._leaving(_chances(world, script, business.state, business.month)))
        return business

    def today(self) -> Month:
        """Return the first day of the month; `left` is who will leave in it if nobody is kept."""
        chances = _chances(self.world, self.script, self.state, self.month)
        truth = _truth(self.world, self.script, self.state, self.month, chances)
        return Month(self.state, self.customer, truth, self._leaving(chances))

    def pass_month(self, left: Mask) -> None:
        """Let the month pass, in which these customers leave, and others join in their places."""
        world, seed, month = self.world, self.seed, self.month
        state = world.grow_older(_switch(world, stream(seed, _SWITCHING, month), self.state))
        state = self.script.change(world.wander(stream(seed, _WANDERING, month), state), month + 1)
        places = np.flatnonzero(left)
        joining = len(left) if self.by_place else len(places)
        newcomers = _newcomers(world, self.script, month + 1, joining, seed)
        numbers = np.arange(self.joined, self.joined + joining)
        if self.by_place:
            newcomers, numbers = {name: values[places] for name, values in newcomers.items()}, numbers[places]
        customer = self.customer.copy()
        customer[places] = numbers
        self.month, self.state, self.customer = month + 1, _put(state, places, newcomers), customer
        self.joined += joining

    def _leaving(self, chances: FloatArray) -> Mask:
        chance = _by_customer(self.world, self.state, chances)
        return np.asarray(stream(self.seed, _LEAVING, self.month).random(len(chance)) < chance)


def live(world: World, script: Script, customers: int, months: int, seed: int) -> list[Month]:
    """Let the business live and return its months 1 to `months`; the number of active customers is constant."""
    business = Business.founded(world, script, customers, seed)
    lived: list[Month] = []
    while len(lived) < months:
        lived.append(business.today())
        if len(lived) < months:
            business.pass_month(lived[-1].left)
    return lived


def _newcomers(world: World, script: Script, month: int, n: int, seed: int) -> State:
    rng = stream(seed, _JOINING, month)
    just_joined = script.welcome(stream(seed, _WELCOMING, month), world.join(rng, n), month)
    today = np.flatnonzero(rng.random(n) < _JOINED_TODAY)
    return _put(world.grow_older(just_joined), today, {name: values[today] for name, values in just_joined.items()})


def _put(state: State, places: npt.NDArray[np.intp], newcomers: State) -> State:
    merged = {name: values.copy() for name, values in state.items()}
    for name, values in newcomers.items():
        merged[name][places] = values
    return merged


def _chances(world: World, script: Script, state: State, month: int) -> FloatArray:
    """Return the chance of leaving in `month` under each value of the switching column."""
    log_odds = world.log_odds(state) + script.pull(state, month)[:, None]
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def _by_customer(world: World, state: State, by_value: FloatArray) -> FloatArray:
    """Return, for each customer, the column of `by_value` that belongs to their value of the switching column."""
    if world.switching is None:
        return by_value[:, 0]
    return np.take_along_axis(by_value, state[world.switching][:, None].astype(np.intp), axis=1)[:, 0]


def _truth(world: World, script: Script, state: State, month: int, now: FloatArray) -> FloatArray:
    """Return the exact probability of leaving within the outcome window, given the chances of leaving `now`.

    Backward recursion over the window's months k and the values c of the switching column, with h the chance of
    leaving, T the chance of switching and V the chance of staying to the window's end, which is 1 after its last month:
    V_k(c) = (1 - h_k(c)) * sum over c' of T_k(c, c') V_{k+1}(c'). The probability is 1 - V_0(c).
    """
    today = state
    leaving, switching = [now], [world.switches(state)]
    for later in range(month + 1, month + world.window_months):
        state = script.change(world.grow_older(state), later)
        leaving.append(_chances(world, script, state, later))
        switching.append(world.switches(state))
    stays = np.ones_like(now)
    for h, t in zip(reversed(leaving), reversed(switching), strict=True):
        stays = (1 - h) * (t * stays[:, None, :]).sum(axis=2)
    return 1 - _by_customer(world, today, stays)


def _switch(world: World, rng: np.random.Generator, state: State) -> State:
    if world.switching is None:
        return state
    now = state[world.switching]
    return {**state, world.switching: draw(rng, world.switches(state)[np.arange(len(now)), now])}
