"""A month of a simulated year, in one state of the company and its stores, and for all policies that share it."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..data.contract import DatasetContract
from ..model.frame import FloatArray
from ..model.money import expected_value
from ..monitoring.report import MonitoringReport
from ..settings import Settings
from ..simulation.company import Company, Passed
from .year_faults import arrivals
from .year_policies import POLICIES, Action
from .year_result import Month
from .year_steps import YearSteps

__all__ = ["Branch", "Stores", "live_month", "month_of"]


class Stores(Protocol):
    """Where the states of a year are; it can be pickled."""

    def steps(self, name: str, settings: Settings) -> YearSteps:
        """Return what runs the use cases on the state of this name."""

    def fork(self, name: str, into: str) -> None:
        """Copy the state of the first name to the second."""

    def written(self, name: str, rows: pa.Table) -> Path:
        """Write a table to be delivered, of this name, and return where it is."""


@dataclass
class Branch:
    """A company, the state of its stores, and the policies that have done the same in it so far.

    Attributes:
        name: Of the state.
        policies: By name.
        company: On the first day of the next month.
        settings: Those of the next month: monitoring is told of changes that are real.
        profit: What each customer's place earned by month, arrays of shape `(n_customers,)`.
        months: The months so far.
        confirmed: What monitoring was told of a real change, by the number of the month, from 0.
        trainings: Trainings after the first one.
        promotions: Versions that went live after the first one.
    """

    name: str
    policies: tuple[str, ...]
    company: Company
    settings: Settings
    profit: list[FloatArray] = field(default_factory=list)
    months: list[Month] = field(default_factory=list)
    confirmed: dict[int, str] = field(default_factory=dict)
    trainings: int = 0
    promotions: int = 0

    def twin(self, policies: Sequence[str]) -> Branch:
        """Return another branch in the same state, for these policies."""
        twin = copy.deepcopy(self)
        twin.name, twin.policies = policies[0], tuple(policies)
        return twin


def live_month(
    stores: Stores, contract: DatasetContract, faults: Collection[str], months: int, branch: Branch
) -> list[Branch]:
    """Live the next month of a branch.

    Args:
        stores: Where the states are.
        contract: The data set.
        faults: The faults of deliveries.
        months: How many months the year has; in the last one nothing is trained.
        branch: The branch; it is changed.

    Returns:
        The branch, and one more for each group of its policies that does something else at the end of the month.

    Raises:
        NotEnoughData: in the first month, too few customers churned, or stayed, to train on.
    """
    steps, first = _steps(stores, branch), not branch.months
    for place, rows in enumerate(arrivals(branch.company.delivery(), contract, faults)):
        file = stores.written(f"{branch.name}-{branch.company.now:%Y-%m}-{place}", rows)
        (steps.begin if first and not place else steps.deliver)(file)
    if first:
        steps.train()
        steps.judge()
    steps.contact()
    report = steps.monitor() if any(POLICIES[name].monitors for name in branch.policies) else None
    groups = _groups(branch, report, last=len(branch.months) == months - 1)
    parts = [branch, *(branch.twin(names) for names in list(groups.values())[1:])]
    for part in parts[1:]:
        stores.fork(branch.name, part.name)
    for part, ((mends, action), names) in zip(parts, groups.items(), strict=True):
        part.policies = tuple(names)
        seen = report if any(POLICIES[name].monitors for name in names) else None
        happened = _act(stores, part, action, seen, mends=mends)
        _end_month(part, _steps(stores, part), happened)
    return parts


def _steps(stores: Stores, branch: Branch) -> YearSteps:
    steps = stores.steps(branch.name, branch.settings)
    steps.now = branch.company.now
    return steps


def _groups(branch: Branch, report: MonitoringReport | None, *, last: bool) -> dict[tuple[bool, Action], list[str]]:
    """Return the policies of a branch by whether they have the feed mended, and what they train."""
    groups: dict[tuple[bool, Action], list[str]] = {}
    for name in branch.policies:
        policy = POLICIES[name]
        seen = report if policy.monitors else None
        is_broken = seen is not None and any(diagnosis.kind == "broken_feed" for diagnosis in seen.diagnoses)
        # The first model is of the first month: there is nothing new to train on yet.
        action: Action = "none" if last or not branch.months else policy.decide(seen, branch.company)
        groups.setdefault((is_broken and branch.company.broken, action), []).append(name)
    return groups


def _act(stores: Stores, branch: Branch, action: Action, report: MonitoringReport | None, *, mends: bool) -> list[str]:
    """Do what the policies of a branch do at the end of a month, and return what happened."""
    happened = []
    if mends:
        branch.company.mend()
        happened.append("Monitoring finds the feed broken; it is mended.")
    elif report is not None and (columns := [name for diagnosis in report.diagnoses for name in diagnosis.columns]):
        branch.settings = _with_real_changes(branch, columns)
        branch.confirmed[len(branch.months)] = (
            f"Monitoring reports a change of {', '.join(columns)}; it is real, and monitoring is told so."
        )
    steps = _steps(stores, branch)
    if action == "unjudged":
        steps.train()
        steps.promote_unjudged()
        happened.append("Retrained; live without a gate.")
        branch.promotions += 1
    elif action == "gate" and report is not None:
        outcome = steps.retrain(report)
        happened.append(outcome.sentence)
        branch.promotions += outcome.state == "promoted"
    branch.trainings += action != "none"
    return happened


def _with_real_changes(branch: Branch, columns: Sequence[str]) -> Settings:
    """Return settings in which monitoring knows that these columns changed in truth, from today's rows on."""
    monitoring, since = branch.settings.monitoring, branch.company.now.date()
    changes = {**dict.fromkeys(columns, since), **monitoring.real_changes}
    return branch.settings.model_copy(update={"monitoring": monitoring.model_copy(update={"real_changes": changes})})


def _end_month(branch: Branch, steps: YearSteps, happened: Sequence[str]) -> None:
    company, money = branch.company, branch.settings.money
    contacted = np.asarray(pc.is_in(company.keys(), value_set=steps.contacted().cast(pa.string())))
    start, passed = company.now, company.pass_month(contacted)
    value = money.customer_value.values(len(passed.truth), passed.price)
    branch.profit.append(np.where(contacted, expected_value(passed.truth, value, money), 0.0))
    branch.months.append(month_of(start, passed, branch.profit[-1], happened))


def month_of(start: dt.datetime, passed: Passed, profit: FloatArray, happened: Sequence[str] = ()) -> Month:
    """Return a month that began at `start` and passed so, given what each customer's place earned."""
    counts = {name: int(getattr(passed, name).sum()) for name in ("contacted", "kept", "left")}
    return Month(start=start, profit=float(profit.sum()), happened=tuple(happened), **counts)
