"""What an evaluation says, in two sentences."""

from __future__ import annotations

from functools import partial

from ..core.wording import amount, interval, number, percent
from .evaluate import Evaluation

__all__ = ["headline"]

_whole = partial(number, digits=0)


def headline(evaluation: Evaluation) -> str:
    """Return what the model is worth, in two sentences."""
    campaign, all_rows = evaluation.campaign, f"{evaluation.rows:,} {_unit(evaluation)}"
    lowest, highest = (percent(threshold) for threshold in campaign.threshold)
    above = lowest if lowest == highest else f"their own break-even ({lowest} to {highest}, by what each is worth)"
    if campaign.treated == 0:
        return f"Nobody is worth treating: none of {all_rows} has a churn probability above {above}."
    who = f"the {campaign.treated:,} of {all_rows} whose churn probability is above {above}"
    who = f"all {all_rows}" if campaign.treated == evaluation.rows else who
    earned = interval(campaign.profit, _whole, evaluation.currency)
    return f"Treating {who} would have earned {earned}. {_against_everybody(evaluation)}"


def _against_everybody(evaluation: Evaluation) -> str:
    gain = evaluation.metrics["profit_over_all"].scaled(evaluation.rows)
    everybody = amount(evaluation.metrics["profit_if_all"].point * evaluation.rows, evaluation.currency)
    difference = interval(gain, _whole, evaluation.currency)
    if gain.lower > 0:
        return f"Treating everybody would have earned {everybody}: {difference} less."
    if gain.upper < 0:
        return f"Treating everybody would have earned {everybody}, which is more: the difference is {difference}."
    return f"Treating everybody would have earned {everybody}, no different within the margin of error: {difference}."


def _unit(evaluation: Evaluation) -> str:
    return "customers" if evaluation.rows == evaluation.customers else "customer-months"
