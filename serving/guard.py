"""Checks the guardrails of a rollout while the endpoint runs."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

from churn.core.errors import ChurnError
from churn.core.progress import note

__all__ = ["guard_until"]


def guard_until(ended: Event, guard: Callable[[], str | None], seconds: float) -> None:
    """Guard the rollout that runs, again and again, and write into the log what was done or what does not work.

    Args:
        ended: Set when the endpoint ends.
        guard: Looks once; returns what it did in words, or None. See `churn.lifecycle.rollouts.guard_rollout`.
        seconds: Between two looks, above 0.
    """
    trouble = ""
    while not ended.wait(seconds):
        try:
            done, fault = guard(), ""
        except ChurnError as error:
            done, fault = None, f"The guardrails of the rollout could not be looked at: {error}"
        for sentence in filter(None, (done, fault if fault != trouble else "")):
            note("serve", sentence)
        trouble = fault
