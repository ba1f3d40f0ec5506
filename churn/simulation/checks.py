"""Whether a business can be simulated, and scripted events fit it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..core.errors import ConfigError, nearest
from .events import BrokenFeed, Event, Fault, NewProduct, PriceRise, RenamedCategory, UnitChange
from .script import shown_values
from .world import World

__all__ = ["check_events", "check_world"]


def check_world(world: World) -> None:
    """Check that the true probabilities of the world can be computed.

    Raises:
        ConfigError: changes by chance that cannot be summed over fall into the outcome window.
    """
    if type(world).wander is not World.wander and world.window_months > 1:
        raise ConfigError(
            f"The simulation {world.name!r} changes customers in `wander` and has an outcome window of "
            f"{world.window_months} months, so that its true probabilities cannot be known: shorten the window to one "
            "month, or make the changes certain."
        )


def check_events(world: World, events: Sequence[Event], months: int) -> None:
    """Check that every event happens within the simulated time, to columns and values that the world has.

    Raises:
        ConfigError: naming the event, the rule and the valid names.
    """
    for event in events:
        where = f"The event {event.kind!r} of month {event.month}"
        if event.month > months:
            raise ConfigError(f"{where} would start after the last simulated month, {months}: choose an earlier month.")
        if isinstance(event, PriceRise | NewProduct):
            _check_only(world, event.only, where)
        if isinstance(event, NewProduct):
            _check_product(world, event, where)
        if isinstance(event, BrokenFeed):
            _check_fault(world, events, event.fault, where)


def _check_only(world: World, only: Mapping[str, Sequence[str]], where: str) -> None:
    for column, values in only.items():
        if column == world.switching:
            raise ConfigError(
                f"{where} is limited by {column!r}, which changes by chance within the outcome window: the true "
                "probability would not be known. Limit it by another column."
            )
        _choose(column, world.categories, f"{where} is limited by the column")
        if not values:
            raise ConfigError(f"{where} is limited to no {column} at all: name the values, or leave the column out.")
        for value in values:
            _choose(value, world.categories[column], f"{where} is limited by the {column}")


def _check_product(world: World, event: NewProduct, where: str) -> None:
    _choose(event.column, world.products, f"{where} sells the column")
    values = world.categories[event.column]
    sold = tuple(value for value in values if value != world.products[event.column])
    if event.value in values:
        _choose(event.value, sold, f"{where} sells the {event.column}")
        if event.like is not None:
            raise ConfigError(
                f"{where} says what {event.value!r} is like, but {event.column} has that value: leave out `like`."
            )
    elif event.like is None:
        raise ConfigError(
            f"{where} sells {event.value!r}, which {event.column} does not have{nearest(event.value, sold)}: "
            f"name in `like` which of {', '.join(sold)} costs the same and keeps customers as well."
        )
    else:
        _choose(event.like, sold, f"{where} is like the {event.column}")


def _check_fault(world: World, events: Sequence[Event], fault: Fault, where: str) -> None:
    _choose(fault.column, world.columns, f"{where} breaks the column")
    categorical = fault.column in world.categories
    if isinstance(fault, UnitChange) and categorical:
        raise ConfigError(
            f"{where} changes the unit of {fault.column!r}, which is not a number: choose a numeric column."
        )
    if isinstance(fault, RenamedCategory):
        if not categorical:
            raise ConfigError(
                f"{where} renames a value of {fault.column!r}, which has no categories: choose a categorical column."
            )
        _choose(fault.value, shown_values(world, events, fault.column), f"{where} renames the {fault.column}")
        if fault.becomes == fault.value:
            raise ConfigError(f"{where} renames {fault.value!r} to itself: give `becomes` another name.")


def _choose(name: str, valid: Iterable[str], what: str) -> None:
    valid = list(valid)
    if name not in valid:
        raise ConfigError(
            f"{what} {name!r}, which is not there{nearest(name, valid)}: choose one of {', '.join(valid)}."
        )
