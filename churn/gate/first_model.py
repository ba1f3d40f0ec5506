"""The checks of a first champion, which must beat doing without a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from statistics import NormalDist
from typing import Self

import numpy as np

from ..core.errors import ConfigError, NotEnoughData
from ..core.estimate import Estimate
from ..core.wording import amount, number, percent
from ..evaluation.bootstrap import estimate
from ..evaluation.evaluate import Evaluation
from ..evaluation.holdout import Holdout
from ..evaluation.ranking import log_losses
from ..model.frame import FloatArray
from ..model.money import expected_value
from ..training.blending import paired_difference
from .comparison import BlockMetrics, capacity_share, weight_blocks
from .quality import calibration_check
from .report import Check, run_check
from .settings import GateSettings

__all__ = ["Campaigns", "beats_chance", "beats_everybody", "beats_nobody", "beats_prior", "first_model_checks"]

_NEARLY_ALL = 0.95
"""Where a model treats more than this share of the customers who may be contacted, it treats everybody in effect."""

_four = partial(number, digits=4)


@dataclass(frozen=True)
class Campaigns:
    """What three campaigns earn per customer and month, in the currency, each within the same capacity.

    Attributes:
        model: Treating whom the model chooses.
        everybody: Treating everybody; where not all can be contacted, as many of them, drawn at random.
        gain: The paired difference of the two.
        treated: Share of the customers within the capacity whom the model treats, 0 to 1.
        capacity_share: Share of the customers who can be contacted, above 0 to 1.
    """

    model: Estimate
    everybody: float
    gain: Estimate
    treated: float
    capacity_share: float

    @classmethod
    def of(cls, holdout: Holdout, capacity_share: float, settings: GateSettings, *, seed: int) -> Self:
        """Resample the customers of a holdout.

        Args:
            holdout: The rows with the model's probabilities, and its threshold `f1`.
            capacity_share: Share of the customers who can be contacted, above 0 to 1.
            settings: Resamples and level.
            seed: Makes the draws the same in every run.

        Raises:
            NotEnoughData: the profits do not exist on most resamples.
        """
        metrics = BlockMetrics(holdout, capacity_share)
        per_row = expected_value(holdout.label, holdout.value, holdout.money)

        def profits(weights: FloatArray) -> FloatArray:
            everybody = capacity_share * (weights @ per_row) / np.sum(weights, axis=1)
            return np.stack([metrics(weights)["profit_at_capacity"], everybody])

        sample = profits(holdout.weight[None])[:, 0]
        blocks = weight_blocks(holdout, resamples=settings.resamples, seed=seed)
        draws = np.concatenate([profits(weights) for weights in blocks], axis=1)
        confidence = 1 - 2 * settings.alpha
        model = estimate(float(sample[0]), draws[0], confidence)
        gain = estimate(float(sample[0] - sample[1]), draws[0] - draws[1], confidence)
        if model is None or gain is None:
            raise NotEnoughData(
                "There is no profit per customer and month on most resamples of these rows: bring more rows."
            )
        treated = min(1.0, float(np.average(holdout.treated["profit"], weights=holdout.weight)) / capacity_share)
        return cls(model, float(sample[1]), gain, treated, capacity_share)


def first_model_checks(
    evaluation: Evaluation,
    holdout: Holdout,
    *,
    churn_rate: float,
    customers: int,
    settings: GateSettings,
    seed: int,
) -> tuple[Check, ...]:
    """Return every check of a challenger where there is no champion; an exception in one is a failed check.

    Args:
        evaluation: The challenger on the rows of the holdout.
        holdout: The same rows with its probabilities.
        churn_rate: The share of training rows that churned, above 0 and below 1.
        customers: How many customers a campaign chooses from; with `settings.capacity`, how many of them it reaches.
        settings: The level, the capacity, and the largest calibration error.
        seed: Seed of the resamples.
    """
    share = capacity_share(settings, customers) or 1.0
    currency, alpha = evaluation.currency, settings.alpha
    campaigns = cache(partial(Campaigns.of, holdout, share, settings, seed=seed))
    checks = {
        "better_than_nobody": lambda: beats_nobody(campaigns(), currency, alpha),
        "better_than_everybody": lambda: beats_everybody(campaigns(), currency, settings),
        "better_than_prior": lambda: beats_prior(holdout, churn_rate, alpha),
        "better_than_chance": lambda: beats_chance(evaluation, alpha),
        "calibration": lambda: calibration_check(evaluation, settings),
    }
    return tuple(run_check(name, check) for name, check in checks.items())


def beats_nobody(campaigns: Campaigns, currency: str, alpha: float) -> Check:
    """Ask whether acting on the model surely earns more than doing nothing, which earns 0."""
    write, profit = partial(amount, currency=currency), campaigns.model
    words = (
        f"Acting on the model earns {write(profit.point)} per customer and month, treating nobody earns {write(0.0)}"
    )
    return _above("better_than_nobody", words, profit, alpha=alpha, write=write)


def beats_everybody(campaigns: Campaigns, currency: str, settings: GateSettings) -> Check:
    """Ask whether choosing whom to treat surely earns more than treating everybody within the capacity.

    Where treating everybody pays, the model does the same, and there is nothing to gain: there, it must only earn no
    less, with the margin `margins.profit_share` of what treating everybody earns.
    """
    write, gain = partial(amount, currency=currency), campaigns.gain
    who = "everybody" if campaigns.capacity_share == 1 else "as many customers drawn at random"
    words = f"Acting on the model earns {write(gain.point)} per customer and month more than treating {who} would"
    if campaigns.capacity_share < 1 or campaigns.treated < _NEARLY_ALL:
        return _above("better_than_everybody", words, gain, alpha=settings.alpha, write=write)
    words = f"Treating everybody pays, and the model treats {percent(campaigns.treated)} of the customers. {words}"
    bar = -settings.margins.profit_share * abs(campaigns.everybody)
    return _above("better_than_everybody", words, gain, alpha=settings.alpha, bar=bar, write=write, or_equal=True)


def beats_prior(holdout: Holdout, churn_rate: float, alpha: float) -> Check:
    """Ask whether the log loss is surely lower than that of giving everybody the churn rate of the training rows.

    The difference is paired by row and its standard error taken over customers.

    Raises:
        ConfigError: the churn rate is not between 0 and 1.
    """
    if not 0 < churn_rate < 1:
        raise ConfigError(f"The training rows' churn rate must lie between 0 and 1, and is {churn_rate:g}.")
    outcome, weight = holdout.label, holdout.weight
    prior = log_losses(outcome, np.full(len(outcome), churn_rate))
    customer = np.unique(holdout.entity, return_inverse=True)[1]
    difference = paired_difference(prior, log_losses(outcome, holdout.probability), customer, weight)
    base = float(np.average(prior, weights=weight))
    gain = Estimate(point=difference.mean, lower=difference.mean, upper=difference.mean, se=difference.se)
    words = (
        f"Log loss is {_four(base - gain.point)}; giving everybody the {percent(churn_rate)} that "
        f"churned in training, it would be {_four(base)}"
    )
    return _above("better_than_prior", words, gain, alpha=alpha)


def beats_chance(evaluation: Evaluation, alpha: float) -> Check:
    """Ask whether the model surely ranks churners above others more often than a coin would.

    Raises:
        NotEnoughData: the evaluation has no ROC AUC.
    """
    if "roc_auc" not in evaluation.metrics:
        raise NotEnoughData("There is no roc_auc on most resamples of these rows: bring more rows.")
    auc = evaluation.metrics["roc_auc"]
    words = f"The model ranks a churner above a customer who stays {percent(auc.point)} of the time, a coin half of it"
    return _above("better_than_chance", words, auc, alpha=alpha, bar=0.5)


def _above(
    name: str,
    words: str,
    value: Estimate,
    *,
    alpha: float,
    bar: float = 0.0,
    write: Callable[[float], str] = _four,
    or_equal: bool = False,
) -> Check:
    """Hold the lower bound of the one-sided interval at `1 - alpha` against the bar."""
    lower = value.point - NormalDist().inv_cdf(1 - alpha) * value.se
    sure = f"at {1 - alpha:.0%} confidence it is at least {write(lower)}"
    return Check.of(
        name,
        lower > bar or (or_equal and lower == bar),
        value=lower,
        threshold=bar,
        yes=f"{words}; {sure}.",
        no=f"{words}; {sure}, which is not above {write(bar)}. Do without the model, or train a better one.",
    )
