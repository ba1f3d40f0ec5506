"""The economics of treating a customer: expected value, the decision threshold, and the decision."""

from __future__ import annotations

import math
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from ..core.errors import ConfigError
from ..core.frozen import Finite
from .frame import FloatArray

__all__ = [
    "Acceptance",
    "CostMatrix",
    "CustomerValue",
    "MoneySettings",
    "expected_value",
    "expected_value_of_one",
    "optimal_threshold",
    "treatment_pays",
]

Amount = TypeVar("Amount", float, FloatArray)


class Acceptance(Finite):
    """How likely a churner is to take the offer and stay: gamma ~ Beta(alpha, beta).

    The defaults are those of Verbraken, Verbeke and Baesens (2013): three churners in ten accept, give or take one.
    """

    alpha: float = Field(default=6.0, gt=0, description="Larger than beta: most churners accept the offer.")
    beta: float = Field(default=14.0, gt=0, description="The larger alpha + beta, the surer the acceptance rate.")

    @property
    def mean(self) -> float:
        """The expected share of treated churners who stay, 0 to 1."""
        return self.alpha / (self.alpha + self.beta)


class CustomerValue(Finite):
    """What keeping a customer is worth: `monthly revenue · margin · months`, or one `amount` for everybody."""

    amount: float = Field(
        default=200.0, ge=0, description="Worth of a customer whose monthly revenue is not used or known."
    )
    margin: float | None = Field(default=None, gt=0, le=1, description="Profit in one unit of monthly revenue.")
    months: float | None = Field(default=None, gt=0, description="Months that a customer who is kept stays on.")

    @model_validator(mode="after")
    def _margin_and_months(self) -> Self:
        if (self.margin is None) != (self.months is None):
            raise ValueError("give both `margin` and `months` to value customers by revenue, or neither for `amount`")
        return self

    @property
    def by_revenue(self) -> bool:
        """Whether each customer has a value of their own."""
        return self.margin is not None

    def values(self, rows: int, monthly_revenue: FloatArray | None = None) -> FloatArray:
        """Return the value of each customer, in the currency, 0 upwards, shape `(rows,)`.

        Args:
            rows: How many customers there are.
            monthly_revenue: Shape `(rows,)`, in the currency a month. Where it is missing (NaN) or infinite the
                value is `amount`: an invented average would differ between a table and one online row. Where it is
                negative (a credit note), the value is 0: nothing is lost when such a customer leaves.

        Raises:
            ConfigError: customers are valued by revenue and the data has none.
        """
        if self.margin is None or self.months is None:
            return np.full(rows, self.amount)
        if monthly_revenue is None:
            raise ConfigError(
                "money.customer_value has `margin` and `months`, which need a monthly revenue, and the dataset "
                "contract names none: name its column there as `monthly_revenue`, or set both to null so that every "
                f"customer is worth `amount` ({self.amount:g})."
            )
        present = np.isfinite(monthly_revenue)
        revenue = np.maximum(np.where(present, monthly_revenue, 0.0), 0.0)
        return np.where(present, revenue * self.margin * self.months, self.amount)

    def of_one(self, monthly_revenue: float) -> float:
        """Return what `values` does for one customer; NaN for a revenue that is missing or that nobody asked for."""
        if self.margin is None or self.months is None or not math.isfinite(monthly_revenue):
            return self.amount
        return max(monthly_revenue, 0.0) * self.margin * self.months


class CostMatrix(Finite):
    """What each of the four outcomes earns, in the currency; a cost is negative.

    The default is the cost set of Databricks' churn demo (a lost customer costs 2000, an incentive 500) with the sign
    that the demo gets wrong: there a missed churner *earns* 2000, so that predicting nobody looks best.
    """

    tp: float = Field(default=1500.0, description="A churner who was treated.")
    fp: float = Field(default=-500.0, description="A customer who was treated and would have stayed anyway.")
    fn: float = Field(default=-2000.0, description="A churner who was not treated.")
    tn: float = Field(default=0.0, description="A customer who was not treated and stayed.")

    @model_validator(mode="after")
    def _signs(self) -> Self:
        if self.fn >= self.tp:
            raise ValueError(
                f"`fn` {self.fn:g} is not below `tp` {self.tp:g}: missing a churner would pay at least as much as "
                "treating one; write what is lost as a negative number"
            )
        if self.fp >= self.tn:
            raise ValueError(
                f"`fp` {self.fp:g} is not below `tn` {self.tn:g}: treating somebody who stays anyway would cost "
                "nothing and everybody should be treated; write the incentive as a negative number"
            )
        return self

    @property
    def threshold(self) -> float:
        """The churn probability above which treating earns more than not treating, 0 to 1 (Elkan 2001)."""
        wasted, saved = self.tn - self.fp, self.tp - self.fn
        return wasted / (wasted + saved)

    def profit(self, label: npt.ArrayLike, treated: npt.ArrayLike) -> FloatArray:
        """Return what each customer earned, in the currency; `label` may be a probability for the expected profit."""
        churn = np.asarray(label, dtype=np.float64)
        if_treated = churn * self.tp + (1 - churn) * self.fp
        if_left = churn * self.fn + (1 - churn) * self.tn
        return np.where(np.asarray(treated, dtype=bool), if_treated, if_left)


class MoneySettings(Finite):
    """The economics of a retention offer. The defaults are those of the EMPC literature (Verbraken et al. 2013)."""

    currency: str = Field(default="USD", pattern="^[A-Z]{3}$", description="ISO 4217 code of every amount.")
    customer_value: CustomerValue = CustomerValue()
    incentive_cost: float = Field(default=10.0, ge=0, description="What an accepted offer costs (d).")
    contact_cost: float = Field(default=1.0, ge=0, description="What reaching one customer costs (f).")
    acceptance: Acceptance = Acceptance()
    cost_matrix: CostMatrix = CostMatrix()

    @model_validator(mode="after")
    def _somebody_is_worth_treating(self) -> Self:
        best = self.acceptance.mean * (self.customer_value.amount - self.incentive_cost) - self.contact_cost
        if best <= 0 and not self.customer_value.by_revenue:
            raise ValueError(
                f"treating even a certain churner would earn {best:g} {self.currency}, so nobody should be treated: "
                f"at `customer_value.amount` {self.customer_value.amount:g} and {self.acceptance.mean:.0%} acceptance "
                f"lower `incentive_cost` {self.incentive_cost:g} or `contact_cost` {self.contact_cost:g}"
            )
        return self


def expected_value(probability: npt.ArrayLike, value: npt.ArrayLike, money: MoneySettings) -> FloatArray:
    """Return what treating a customer earns against doing nothing: `p·gamma·(CLV - d) - (1 - p)·d - f`.

    A churner who accepts stays and takes the incentive; one who refuses costs the contact alone; a customer who
    would have stayed takes the incentive too (the profit per head of Verbraken, Verbeke and Baesens 2013, IEEE TKDE
    25(5):961-973). With the outcome (0 or 1) in place of the probability it is what the treatment did earn, at the
    expected acceptance.

    Args:
        probability: Churn probability without treatment, 0 to 1, shape `(n_rows,)` or one number; calibrated.
        value: What keeping the customer is worth (CLV), in the currency, shape `(n_rows,)` or one number.
        money: Incentive d, contact f and acceptance gamma.

    Returns:
        The expected value in the currency, of the broadcast shape; NaN where an input is.
    """
    churn, customer_value = np.asarray(probability, dtype=np.float64), np.asarray(value, dtype=np.float64)
    return np.asarray(_gain(churn, customer_value, money))


def expected_value_of_one(probability: float, value: float, money: MoneySettings) -> float:
    """Return what `expected_value` does for one customer."""
    return _gain(probability, value, money)


def _gain(churn: Amount, customer_value: Amount, money: MoneySettings) -> Amount:
    saved = money.acceptance.mean * (customer_value - money.incentive_cost)
    return churn * saved - (1 - churn) * money.incentive_cost - money.contact_cost


def optimal_threshold(value: npt.ArrayLike, money: MoneySettings) -> FloatArray:
    """Return the churn probability above which treating pays: `(d + f) / (gamma·(CLV - d) + d)`.

    Args:
        value: What keeping the customer is worth (CLV), in the currency, shape `(n_rows,)` or one number.
        money: Incentive d, contact f and acceptance gamma.

    Returns:
        Thresholds of the same shape, 0 upwards. One or more means that the customer is never worth treating;
        infinity, that treating would lose the more the surer the churn is.
    """
    customer_value = np.asarray(value, dtype=np.float64)
    slope = money.acceptance.mean * (customer_value - money.incentive_cost) + money.incentive_cost
    cost = np.full(customer_value.shape, money.incentive_cost + money.contact_cost)
    threshold: FloatArray = np.divide(cost, slope, out=np.full(customer_value.shape, np.inf), where=slope > 0)
    return threshold


def treatment_pays(probability: npt.ArrayLike, value: npt.ArrayLike, money: MoneySettings) -> npt.NDArray[np.bool_]:
    """Return whether to treat each customer: only where the expected value is above zero; arguments as there."""
    pays: npt.NDArray[np.bool_] = expected_value(probability, value, money) > 0
    return pays
