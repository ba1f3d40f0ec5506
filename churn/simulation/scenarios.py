"""The scenarios of a simulated year: what happens in it, by month."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ..core.errors import ConfigError, nearest
from .events import BrokenFeed, ChangedOdds, Event, LateLabels, NewProduct, Nulls, PriceRise, Seasonality, UnitChange
from .world import World

__all__ = ["SCENARIOS", "Scenario", "new_values", "scenario_events"]

_CHANGE, _FAULT, _SECOND_FAULT = 3, 4, 9


class Scenario(NamedTuple):
    """What happens in a year.

    Attributes:
        description: In one sentence.
        events: Returns the events of a world, given the month that is the first of the year; the past begins with 1.
    """

    description: str
    events: Callable[[World, int], tuple[Event, ...]]


def scenario_events(name: str, world: World, first: int) -> tuple[Event, ...]:
    """Return the events of a scenario in a year whose first month is `first`; raises ConfigError for another name."""
    if name not in SCENARIOS:
        raise ConfigError(
            f"There is no scenario {name!r}: choose one of {', '.join(SCENARIOS)}{nearest(name, SCENARIOS) or '.'}"
        )
    return SCENARIOS[name].events(world, first)


def new_values(events: tuple[Event, ...]) -> Mapping[str, str]:
    """Return the values by column that products bring which are new in a year."""
    return {event.column: event.value for event in events if isinstance(event, NewProduct) and event.like is not None}


def _new_product(world: World, first: int) -> tuple[Event, ...]:
    column, excluded = next(iter(world.products.items()))
    like = [value for value in world.categories[column] if value != excluded][-1]
    return (NewProduct(month=first + _CHANGE - 1, column=column, value=f"{like} Plus", like=like, share=0.25),)


def _price_rise(world: World, first: int) -> tuple[Event, ...]:
    month, (column, excluded) = first + _CHANGE - 1, next(iter(world.products.items()))
    cheapest, *_, dearest = [value for value in world.categories[column] if value != excluded]
    return (
        PriceRise(month=month, share=0.1),
        ChangedOdds(month=month, odds=3, only={column: (cheapest,)}),
        ChangedOdds(month=month, odds=0.6, only={column: (dearest,)}),
    )


def _broken_feed(world: World, first: int) -> tuple[Event, ...]:
    unit = BrokenFeed(month=first + _FAULT - 1, months=4, fault=UnitChange(column=world.price, factor=1.2))
    numbers = [name for name, kind in world.columns.items() if kind is float and name != world.price]
    column = numbers[0] if numbers else world.price
    return (unit, BrokenFeed(month=first + _SECOND_FAULT - 1, months=4, fault=Nulls(column=column, share=0.5)))


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        "calm": Scenario("nothing happens", lambda world, first: ()),
        "price-rise": Scenario(
            "all prices rise by 10% in month 3; a competitor trebles the odds of leaving of those with the cheapest "
            "product, and a better service lowers those of customers with the dearest one by 40%",
            _price_rise,
        ),
        "new-product": Scenario("a quarter of the customers takes a new product from month 3 on", _new_product),
        "broken-feed": Scenario(
            "prices arrive 20% too high from month 4 on, and half the values of another column go missing from month "
            "9 on, each for four months unless somebody mends it",
            _broken_feed,
        ),
        "seasonal": Scenario(
            "the odds of leaving are 30% higher in January and 30% lower in July, before and in the year",
            lambda world, first: (Seasonality(month=1, amplitude=0.3),),
        ),
        "late-labels": Scenario(
            "half the outcomes become known 60 days late from the year on",
            lambda world, first: (LateLabels(month=first, share=0.5, days=60),),
        ),
    }
)
"""By the names that `run.py simulate --scenario` takes."""
