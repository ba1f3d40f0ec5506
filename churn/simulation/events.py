"""What can be scripted to happen in a simulated world, each with the month in which it starts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..core.frozen import Frozen

__all__ = [
    "BrokenFeed",
    "ChangedOdds",
    "Event",
    "Fault",
    "LateArrivals",
    "LateLabels",
    "NewProduct",
    "Nulls",
    "PriceRise",
    "RenamedCategory",
    "Seasonality",
    "UnitChange",
]


class _Event(Frozen):
    month: int = Field(ge=1, description="The simulated month in which it starts; the first is 1.")


class PriceRise(_Event):
    """Prices rise for the customers there are and for those who join later."""

    kind: Literal["price_rise"] = "price_rise"
    share: float = Field(gt=0, le=1, description="0.1 raises prices by a tenth.")
    only: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Columns and the values they must hold: {internet_service: [Fiber optic]}."
    )


class NewProduct(_Event):
    """A share of the customers takes a value in a product column: an upgrade, or a value that did not exist before."""

    kind: Literal["new_product"] = "new_product"
    column: str
    value: str = Field(description="A value the column has already, or a new one.")
    like: str | None = Field(default=None, description="For a new value: the value that costs and binds the same.")
    share: float = Field(gt=0, le=1, description="Share of the customers it can be sold to, present and future.")
    only: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="As for price_rise.")


class ChangedOdds(_Event):
    """Customers leave more or less readily than before, by nothing that their columns show, such as a competitor."""

    kind: Literal["changed_odds"] = "changed_odds"
    odds: float = Field(gt=0, le=100, description="The odds of leaving in a month are multiplied by it.")
    only: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="As for price_rise.")


class Seasonality(_Event):
    """The odds of leaving swing over the calendar year."""

    kind: Literal["seasonality"] = "seasonality"
    amplitude: float = Field(gt=0, lt=1, description="0.3: odds 30% higher at the peak, 30% lower half a year later.")
    peak: int = Field(default=1, ge=1, le=12, description="The calendar month with the highest odds.")


class UnitChange(Frozen):
    """A numeric column arrives in another unit; whole numbers are rounded."""

    kind: Literal["unit_change"] = "unit_change"
    column: str
    factor: float = Field(gt=0, le=1_000_000)


class Nulls(Frozen):
    """A column arrives empty for a share of the rows."""

    kind: Literal["nulls"] = "nulls"
    column: str
    share: float = Field(gt=0, le=1)


class RenamedCategory(Frozen):
    """One value of a categorical column arrives under another name."""

    kind: Literal["renamed_category"] = "renamed_category"
    column: str
    value: str
    becomes: str


Fault = Annotated[UnitChange | Nulls | RenamedCategory, Field(discriminator="kind")]


class BrokenFeed(_Event):
    """The source delivers something else than what is true; customers and truth are untouched."""

    kind: Literal["broken_feed"] = "broken_feed"
    months: int = Field(default=1, ge=1, description="For how many months of rows.")
    fault: Fault


class LateArrivals(_Event):
    """A share of the rows arrives days after their event time; adds the column `arrived_at`."""

    kind: Literal["late_arrivals"] = "late_arrivals"
    months: int | None = Field(default=None, ge=1, description="For how many months of rows; null: until the end.")
    share: float = Field(gt=0, le=1)
    days: int = Field(ge=1, le=3650)


class LateLabels(_Event):
    """A share of the outcomes becomes known days later than usual; adds the column `label_known_at`.

    The label stands in the table all the same: a reader must leave it out until it is known.
    """

    kind: Literal["late_labels"] = "late_labels"
    months: int | None = Field(default=None, ge=1, description="For how many months of rows; null: until the end.")
    share: float = Field(gt=0, le=1)
    days: int = Field(ge=1, le=3650)


Event = Annotated[
    PriceRise | NewProduct | ChangedOdds | Seasonality | BrokenFeed | LateArrivals | LateLabels,
    Field(discriminator="kind"),
]
