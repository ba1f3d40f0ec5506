"""Who decides about retraining in a simulated year: the loop, nobody, the calendar, or the rule of Databricks' demo."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from ..core.errors import ConfigError, nearest
from ..model.frame import FloatArray
from ..monitoring.report import MonitoringReport
from ..simulation.company import Company
from ..simulation.world import Mask

__all__ = ["LOOP", "POLICIES", "Action", "Policy", "demo_retrains", "policies_called"]

Action = Literal["none", "gate", "unjudged"]
"""Whether to train, and whether a gate decides about the new version."""


LOOP = "loop"


class Policy(NamedTuple):
    """Who decides about retraining.

    Attributes:
        label: In words.
        monitors: Whether it looks at monitoring, which also has a broken feed mended.
        decide: Returns what to do at the end of a month.
    """

    label: str
    monitors: bool
    decide: Callable[[MonitoringReport | None, Company], Action]


def _loop(report: MonitoringReport | None, company: Company) -> Action:
    return "gate" if report is not None and report.advice.state == "retrain" else "none"


def _demo(report: MonitoringReport | None, company: Company) -> Action:
    return "unjudged" if demo_retrains(company.closed()) else "none"


def demo_retrains(closed: Sequence[tuple[Mask, FloatArray]]) -> bool:
    """Return whether Databricks' churn demo might retrain (`08_drift_detection`), given the months with outcomes.

    It asks for an F1 below 0.5 and a loss above 30 a row, the mean of the monthly charges of the churners whom the
    model missed; or for Jensen-Shannon distances above 0.19, from one window to the next, of outcome and prediction.
    Here the predictions are taken to be as bad as can be, so that it retrains whenever the outcomes let it.
    """
    if not closed:
        return False
    churned, price = closed[-1]
    if float((churned * price).mean()) > 30:
        return True
    return len(closed) > 1 and _js_distance(float(churned.mean()), float(closed[-2][0].mean())) > 0.19


def _js_distance(first: float, second: float) -> float:
    def entropy(share: float) -> float:
        return -sum(part * math.log2(part) for part in (share, 1 - share) if part > 0)

    return math.sqrt(max(0.0, entropy((first + second) / 2) - (entropy(first) + entropy(second)) / 2))


POLICIES: Mapping[str, Policy] = MappingProxyType(
    {
        LOOP: Policy("this loop: monitoring decides, the gate judges", True, _loop),
        "never": Policy("never retraining", False, lambda report, company: "none"),
        "monthly": Policy("retraining every month, no gate", False, lambda report, company: "unjudged"),
        "demo": Policy("the rule of Databricks' demo", False, _demo),
    }
)


def policies_called(names: str) -> tuple[str, ...]:
    """Return the loop and the policies of a list such as `never,monthly`; raises ConfigError for others."""
    chosen = [name.strip() for name in names.split(",")]
    for name in chosen:
        if name not in POLICIES:
            raise ConfigError(
                f"There is no policy {name!r}{nearest(name, POLICIES) or '.'} --policies takes some of "
                f"{', '.join(name for name in POLICIES if name != LOOP)}, with commas; the loop is always there."
            )
    return tuple(name for name in POLICIES if name in {LOOP, *chosen})
