"""The absolute bars of a first champion: there is nobody to beat yet, so it must beat doing without a model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from ..core.errors import ConfigError, NotEnoughData
from ..core.estimate import Estimate
from ..core.wording import amount, number, percent
from ..evaluation.evaluate import Evaluation
from ..evaluation.ranking import log_losses
from ..model.frame import FloatArray
from ..training.blending import paired_difference
from .checks import Check, answer
from .quality import calibration_check
from .settings import GateSettings

__all__ = ["beats_chance", "beats_everybody", "beats_nobody", "beats_prior", "first_checks"]

_four = partial(number, digits=4)


def first_checks(
    evaluation: Evaluation,
    label: npt.ArrayLike,
    probability: FloatArray,
    entity: npt.ArrayLike,
    *,
    churn_rate: float,
    settings: GateSettings,
) -> tuple[Check, ...]:
    """Return every check of a challenger where there is no champion; what cannot be answered is an error.

    Args:
        evaluation: The challenger on the rows of the holdout.
        label: 1 churned, 0 stayed, of the same rows, shape `(n_rows,)`.
        probability: What the challenger says of them, shape `(n_rows,)`.
        entity: The customer of each row, shape `(n_rows,)`.
        churn_rate: The share of training rows that churned, above 0 and below 1.
        settings: The level, and the largest calibration error.
    """
    asked = {
        "better_than_nobody": lambda: beats_nobody(evaluation, settings.alpha),
        "better_than_everybody": lambda: beats_everybody(evaluation, settings.alpha),
        "better_than_prior": lambda: beats_prior(label, probability, entity, churn_rate, settings.alpha),
        "better_than_chance": lambda: beats_chance(evaluation, settings.alpha),
        "calibration": lambda: calibration_check(evaluation, settings),
    }
    return tuple(answer(name, ask) for name, ask in asked.items())


def beats_nobody(evaluation: Evaluation, alpha: float) -> Check:
    """Ask whether acting on the model surely earns more than doing nothing, which earns 0."""
    profit = _known(evaluation, "profit_per_customer")
    write = partial(amount, currency=evaluation.currency)
    words = f"Acting on the model earns {write(profit.point)} per customer, treating nobody earns {write(0.0)}"
    return _above("better_than_nobody", words, profit, alpha=alpha, write=write)


def beats_everybody(evaluation: Evaluation, alpha: float) -> Check:
    """Ask whether choosing whom to treat surely earns more than treating every customer."""
    gain = _known(evaluation, "profit_over_all")
    write = partial(amount, currency=evaluation.currency)
    words = f"Acting on the model earns {write(gain.point)} per customer more than treating everybody would"
    return _above("better_than_everybody", words, gain, alpha=alpha, write=write)


def beats_prior(
    label: npt.ArrayLike, probability: FloatArray, entity: npt.ArrayLike, churn_rate: float, alpha: float
) -> Check:
    """Ask whether the log loss is surely lower than that of giving everybody the churn rate of the training rows.

    The difference is paired by row and its standard error taken over customers.

    Raises:
        ConfigError: the churn rate is not between 0 and 1.
    """
    if not 0 < churn_rate < 1:
        raise ConfigError(f"The training rows' churn rate must lie between 0 and 1, and is {churn_rate:g}.")
    outcome = np.asarray(label, dtype=np.float64)
    prior = log_losses(outcome, np.full(len(outcome), churn_rate))
    customer = np.unique(np.asarray(entity, dtype=str), return_inverse=True)[1]
    gain = paired_difference(prior, log_losses(outcome, probability), customer)
    estimate = Estimate(point=gain.mean, lower=gain.mean, upper=gain.mean, se=gain.se)
    words = (
        f"Log loss is {_four(float(np.mean(prior)) - gain.mean)}; giving everybody the {percent(churn_rate)} that "
        f"churned in training, it would be {_four(float(np.mean(prior)))}"
    )
    return _above("better_than_prior", words, estimate, alpha=alpha)


def beats_chance(evaluation: Evaluation, alpha: float) -> Check:
    """Ask whether the model surely ranks churners above others more often than a coin would."""
    auc = _known(evaluation, "roc_auc")
    words = f"The model ranks a churner above a customer who stays {percent(auc.point)} of the time, a coin half of it"
    return _above("better_than_chance", words, auc, alpha=alpha, bar=0.5)


def _known(evaluation: Evaluation, metric: str) -> Estimate:
    if metric not in evaluation.metrics:
        raise NotEnoughData(f"There is no {metric} on most resamples of these rows: bring more rows.")
    return evaluation.metrics[metric]


def _above(
    name: str, words: str, found: Estimate, *, alpha: float, bar: float = 0.0, write: Callable[[float], str] = _four
) -> Check:
    """Hold the lower bound of the one-sided interval at `1 - alpha` against the bar."""
    surely = found.point - NormalDist().inv_cdf(1 - alpha) * found.se
    sure = f"at {1 - alpha:.0%} confidence it is at least {write(surely)}"
    return Check.of(
        name,
        surely > bar,
        value=surely,
        threshold=bar,
        yes=f"{words}; {sure}.",
        no=f"{words}; {sure}, which is not above {write(bar)}. Do without the model, or train a better one.",
    )
