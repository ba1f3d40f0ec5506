"""The registry of the gate's checks: label, and how the measured value and the limit read, with their unit.

Terminal, page and decisions take names and phrases from here; a tag keeps the check's key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..core.wording import Named, plain, spoken
from ..evaluation.metrics import METRICS
from ..ports.ledger import Verdict
from .report import Check

__all__ = ["CHECKS", "VERDICTS", "Checklist", "NamedCheck", "failures_first", "headline_checks"]

VERDICTS: Mapping[Verdict, str] = {
    "pass": "passed",
    "fail": "failed",
    "error": "no answer",
    "unmeasured": "not measured",
}
"""What the result of a check is called."""

Reading = Literal["loss", "p_at_least", "p_below", "bound", "at least", "at most"]


@dataclass(frozen=True, kw_only=True)
class NamedCheck(Named):
    """A check as readers see it.

    Attributes:
        name: Its key in the report, and in the version's tag `gate.<name>`.
        reading: How value and bar are related. `loss`: the value is the lower bound of a gain, the bar what may be
            lost, and where the bar is positive both are p-values instead. `bound`: the value is a lower bound that
            has to lie above the bar. The others say what the bar is.
    """

    name: str
    reading: Reading = "at most"

    def measured(self, check: Check, currency: str = "") -> str | None:
        """Return what was measured as a phrase, such as `lost at most 0.0042`, `p 0.702` or `34 words`."""
        value = check.value
        if value is None or isinstance(value, str):
            return value
        match self._reading(check):
            case "loss":
                return self._loss(value, currency)
            case "p_at_least" | "p_below":
                return f"p {value:.3f}"
            case "bound":
                return f"at least {self._precise(value, currency)}"
        return self._precise(value, currency)

    def allowed(self, check: Check, currency: str = "") -> str | None:
        """Return the bar as a phrase, such as `lost at most 0.0050`, `p at least 0.05` or `at least 5 words`."""
        bar = check.threshold
        if bar is None or isinstance(bar, str):
            return bar
        match self._reading(check):
            case "loss":
                return self._loss(bar, currency)
            case "p_at_least":
                return f"p at least {bar:g}"
            case "p_below":
                return f"p below {bar:g}"
            case "bound":
                return f"above {self._precise(bar, currency)}"
        return f"{self.reading} {self._precise(bar, currency)}"

    def _reading(self, check: Check) -> Reading:
        """Return the reading of a check; where no loss has a margin, the number is a p-value."""
        if self.reading == "loss" and isinstance(check.threshold, float) and check.threshold > 0:
            return "p_below" if self.name == "recipe" else "p_at_least"
        return self.reading

    def _loss(self, gain: float, currency: str) -> str:
        return f"{'gained at least' if gain > 0 else 'lost at most'} {self._precise(abs(gain), currency)}"

    def _precise(self, value: float, currency: str) -> str:
        """Return a value with its unit; one that would read 0 and is none keeps its first digits."""
        if 0 < abs(value) < 10 ** -(self.digits + 1):
            return f"{plain(value)} {self.unit}".rstrip()
        return self.text(value, currency)


class Checklist(dict[str, NamedCheck]):
    """Checks by name. A part of the gate that failed as a whole is named as it is spoken."""

    def __missing__(self, name: str) -> NamedCheck:
        """Return the check under its own name."""
        return NamedCheck(spoken(name), name=name)


def _of_metric(check: str, metric: str, reading: Reading) -> NamedCheck:
    gain = METRICS[metric].gain
    return NamedCheck(METRICS[metric].label, gain.unit, gain.digits, name=check, reading=reading)


_PROFIT = METRICS["profit_per_customer"].label

CHECKS = Checklist(
    (check.name, check)
    for check in (
        _of_metric("profit", "profit_per_customer", "loss"),
        _of_metric("log_loss", "log_loss", "loss"),
        _of_metric("roc_auc", "roc_auc", "loss"),
        _of_metric("f1", "f1", "p_at_least"),
        NamedCheck("recipe", digits=4, name="recipe", reading="loss"),
        NamedCheck(METRICS["ece"].label, "%", 1, name="calibration"),
        NamedCheck("slices", "groups worse", 0, name="slices"),
        NamedCheck(f"{_PROFIT} above treating nobody", "money", 2, name="better_than_nobody", reading="bound"),
        NamedCheck(f"{_PROFIT} above treating everybody", "money", 2, name="better_than_everybody", reading="bound"),
        NamedCheck("log loss below that of the churn rate", digits=4, name="better_than_prior", reading="bound"),
        NamedCheck("ROC AUC above chance", digits=4, name="better_than_chance", reading="bound"),
        _of_metric("better_log_loss", "log_loss", "bound"),
        NamedCheck("description", "words", 0, name="description", reading="at least"),
        NamedCheck("predictions", "apart", name="predictions"),
        NamedCheck("rows with reasons", "%", 1, name="reasons", reading="at least"),
        NamedCheck("package size", "MB", 1, name="size"),
        NamedCheck("package digest", name="digest"),
    )
)
"""Every check with a number or with a name that differs from its key."""

_HEADLINE = (
    "recipe",
    "better_log_loss",
    "profit",
    "log_loss",
    "roc_auc",
    "better_than_nobody",
    "better_than_everybody",
    "better_than_prior",
    "calibration",
    "slices",
    "f1",
)
_SHOWN = 5


def failures_first(checks: Sequence[Check]) -> list[Check]:
    """Return the checks that did not pass, then the others, each in their order."""
    return sorted(checks, key=lambda check: check.passed)


def headline_checks(checks: Sequence[Check]) -> list[Check]:
    """Return every check that did not pass, then the five that say most of those that did."""
    passed = {check.name: check for check in checks if check.passed}
    most = [passed[name] for name in _HEADLINE if name in passed][:_SHOWN]
    return [*(check for check in checks if not check.passed), *most]
