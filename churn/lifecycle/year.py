"""The simulated year: month by month through the use cases, by several policies of retraining, beside the optimum."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..campaign.candidates import expected_cost
from ..campaign.selection import select
from ..campaign.settings import Limits
from ..core.errors import ConfigError
from ..core.progress import advance, note
from ..core.shares import hash_shares
from ..data.contract import DatasetContract
from ..model.frame import FloatArray
from ..model.money import expected_value
from ..monitoring.report import MonitoringReport
from ..settings import Settings
from ..simulation.company import Company, Passed
from ..simulation.scenarios import SCENARIOS, new_values, scenario_events
from ..simulation.simulate import world_called
from .year_faults import arrivals
from .year_policies import POLICIES, Action
from .year_result import OPTIMUM, Month, PolicyYear, YearResult, paired_difference, share_of
from .year_steps import YearSteps

__all__ = ["Stores", "simulate_year", "year_company", "year_contract"]

_STAGE = "simulate"


class Stores(NamedTuple):
    """Where the states of a year are.

    Attributes:
        steps: Returns what runs the use cases on the state of a name.
        fork: Copies the state of the first name to the second.
        written: Writes a table to be delivered, of a name, and returns where it is.
    """

    steps: Callable[[str], YearSteps]
    fork: Callable[[str, str], None]
    written: Callable[[str, pa.Table], Path]


@dataclass
class _Branch:
    """A company, the state of its stores, and the policies that have done the same in it so far."""

    name: str
    policies: tuple[str, ...]
    company: Company
    steps: YearSteps
    profit: list[FloatArray] = field(default_factory=list)
    months: list[Month] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    confirmed: dict[int, str] = field(default_factory=dict)  # what was said of a real change, by the place of the month
    trainings: int = 0
    promotions: int = 0


def simulate_year(
    stores: Stores,
    company: Company,
    contract: DatasetContract,
    settings: Settings,
    *,
    scenario: str,
    months: int,
    faults: Collection[str] = (),
    policies: Sequence[str] = tuple(POLICIES),
) -> YearResult:
    """Live a year by each policy, and hold what it earned against what could be earned.

    Policies share a company and its stores for as long as they do the same: nothing is computed twice. What a policy
    earned is the expected value of its contacts by the true probabilities of leaving, which only the simulation knows.

    Args:
        stores: Where the states are.
        company: The company at the beginning of the year; see `year_company`.
        contract: Its data set; see `year_contract`.
        settings: The settings of every month.
        scenario: What happens.
        months: How many months.
        faults: Some of `FAULTS`, which those of deliveries are of; the others are those of `stores.steps`.
        policies: Some of `POLICIES`, the loop first.

    Raises:
        NotEnoughData: too few customers churned, or stayed, to train on.
    """
    started = time.monotonic()
    rest = settings.campaign.rest(contract.label.window_days)
    best, free = (_optimum(company.copied(), settings, months, rest, control) for control in (True, False))

    def deliveries(branch: _Branch) -> Iterator[Path]:
        day = f"{branch.name}-{branch.company.now:%Y-%m}"
        for place, rows in enumerate(arrivals(branch.company.delivery(), contract, faults)):
            yield stores.written(f"{day}-{place}", rows)

    branches = [_Branch("start", tuple(policies), company, stores.steps("start"))]
    advance(_STAGE, 0, months, "trains the first model")
    _begin_month(branches[0], deliveries, first=True)
    branches[0].steps.train()
    branches[0].steps.judge()
    for number in range(1, months + 1):
        for branch in branches:
            advance(_STAGE, number - 1, months, f"{company.now:%B %Y}: {', '.join(branch.policies)}")
            if number > 1:
                _begin_month(branch, deliveries)
            branch.steps.contact()
        branches = [part for branch in branches for part in _decided(stores, contract, branch, last=number == months)]
        for branch in branches:
            _end_month(branch, settings)
    advance(_STAGE, months, months, "")
    told: dict[str, Any] = {
        "dataset": contract.name,
        "scenario": scenario,
        "description": SCENARIOS[scenario].description,
        "control_share": settings.campaign.control_share,
        "control_cost": float(np.sum(free.profit) - np.sum(best.profit)),
        "currency": settings.money.currency,
        "confidence": settings.evaluation.confidence,
        "faults": tuple(sorted(faults)),
    }
    return _result(branches, best, seconds=time.monotonic() - started, **told)


def year_contract(contract: DatasetContract, scenario: str) -> DatasetContract:
    """Return the contract of a simulated data set to which tables are delivered, with the new products of a scenario.

    Raises:
        ConfigError: its rows are not simulated, or an unknown scenario.
    """
    if contract.simulator is None:
        raise ConfigError(
            f"The rows of {contract.name!r} are not simulated, so that nobody knows what could be earned: choose "
            "--dataset telco_simulated or saas_simulated."
        )
    new = new_values(scenario_events(scenario, world_called(contract.simulator), 1))
    columns = {
        name: column.model_copy(update={"allowed": (*column.allowed, new[name])})
        if name in new and column.allowed
        else column
        for name, column in contract.columns.items()
    }
    return contract.model_copy(update={"columns": columns, "source": "table"})


def year_company(contract: DatasetContract, settings: Settings, scenario: str, months: int) -> Company:
    """Return the company at the beginning of the year, which `settings.simulation` describes and its months before.

    Raises:
        ConfigError: an unknown scenario, no months, or a rest that is shorter than the outcome window.
    """
    window = contract.label.window_days
    rest = settings.campaign.rest(window)
    if months < 1:
        raise ConfigError(f"--months {months} is no year: give 1 or more.")
    if rest < window:
        raise ConfigError(
            f"campaign.rest_days is {rest}, shorter than the outcome window of {window} days: within it a second "
            f"contact keeps nobody a second time. Set it to {window} or more."
        )
    simulation, name = settings.simulation, contract.simulator or ""
    happens = scenario_events(scenario, world_called(name), simulation.months + 1)
    within = (event for event in happens if event.month <= simulation.months + months)
    events = (*simulation.events, *within)
    simulation = simulation.model_copy(update={"events": events})
    return Company.founded(name, simulation, acceptance=settings.money.acceptance.mean, months=months)


def _begin_month(branch: _Branch, deliveries: Callable[[_Branch], Iterator[Path]], *, first: bool = False) -> None:
    branch.steps.now = branch.company.now
    for place, file in enumerate(deliveries(branch)):
        (branch.steps.begin if first and not place else branch.steps.deliver)(file)


def _decided(stores: Stores, contract: DatasetContract, branch: _Branch, *, last: bool) -> Iterator[_Branch]:
    """Yield the branch, or a branch for each group of its policies that does the same at the end of a month."""
    report = branch.steps.monitor() if any(POLICIES[name].monitors for name in branch.policies) else None
    groups: dict[tuple[bool, Action], list[str]] = {}
    for name in branch.policies:
        policy = POLICIES[name]
        seen = report if policy.monitors else None
        is_broken = seen is not None and any(diagnosis.kind == "broken_feed" for diagnosis in seen.diagnoses)
        # The first model is of the first month: there is nothing new to train on yet.
        action: Action = "none" if last or not branch.months else policy.decide(seen, branch.company)
        groups.setdefault((is_broken and branch.company.broken, action), []).append(name)
    parts = [branch]
    for names in list(groups.values())[1:]:
        stores.fork(branch.name, names[0])
        steps = stores.steps(names[0])
        steps.now = branch.steps.now
        twin = replace(branch, name=names[0], company=branch.company.copied(), steps=steps)
        twin.profit, twin.months, twin.happened = [*branch.profit], [*branch.months], [*branch.happened]
        parts.append(twin)
    for part, ((mends, action), names) in zip(parts, groups.items(), strict=True):
        part.policies = tuple(names)
        _act(part, action, report if any(POLICIES[name].monitors for name in names) else None, mends=mends)
        yield part


def _act(branch: _Branch, action: Action, report: MonitoringReport | None, *, mends: bool) -> None:
    if mends:
        branch.company.mend()
        branch.happened.append("Monitoring finds the feed broken; it is mended.")
    elif report is not None and (columns := [name for found in report.diagnoses for name in found.columns]):
        branch.steps.confirm(columns)
        branch.confirmed[len(branch.months)] = f"The change of {', '.join(columns)} is real; monitoring is told so."
    if action == "unjudged":
        branch.steps.train()
        branch.steps.promote_unjudged()
        branch.happened.append("Retrained; live without a gate.")
        branch.promotions += 1
    elif action == "gate" and report is not None:
        outcome = branch.steps.retrain(report)
        branch.happened.append(outcome.sentence)
        branch.promotions += outcome.state == "promoted"
    branch.trainings += action != "none"


def _end_month(branch: _Branch, settings: Settings) -> None:
    company = branch.company
    contacted = np.asarray(pc.is_in(company.keys(), value_set=branch.steps.contacted().cast(pa.string())))
    start, passed = company.now, company.pass_month(contacted)
    profit = np.where(contacted, _values(passed, settings), 0.0)
    branch.profit.append(profit)
    branch.months.append(_month(start, passed, profit, branch.happened))
    for sentence in branch.happened:
        note(_STAGE, f"{start:%B %Y}, {', '.join(branch.policies)}: {sentence}")
    branch.happened = []


def _month(start: object, passed: Passed, profit: FloatArray, happened: Sequence[str] = ()) -> Month:
    counts = {name: int(getattr(passed, name).sum()) for name in ("contacted", "kept", "left")}
    return Month(start=start, profit=float(profit.sum()), happened=tuple(happened), **counts)


def _values(passed: Passed, settings: Settings) -> FloatArray:
    """Return what contacting each customer earns by the true probability, shape `(n_customers,)`."""
    money = settings.money
    value = money.customer_value.values(len(passed.truth), passed.price)
    return expected_value(passed.truth, value, money)


class _Optimum(NamedTuple):
    profit: list[FloatArray]
    months: list[Month]


def _optimum(company: Company, settings: Settings, months: int, rest_days: int, control: bool) -> _Optimum:
    """Return the year of whoever knows the true probabilities and the true effect, with the same limits and rest."""
    campaign, money = settings.campaign, settings.money
    best = _Optimum([], [])
    rests: dict[str, object] = {}
    for _ in range(months):
        keys, now, truth = company.keys().to_pylist(), company.now, company.today.truth
        value = money.customer_value.values(len(truth), company.price)
        worth = expected_value(truth, value, money)
        free = np.array([key not in rests or (now - rests[key]).days >= rest_days for key in keys])  # type: ignore[operator]
        if control:
            free &= ~hash_shares(keys, campaign.control_share, campaign.salt)
        places = np.flatnonzero(free)
        cost = expected_cost(truth, money)
        chosen = select(worth[places], cost[places], Limits(capacity=campaign.capacity, budget=campaign.budget)).chosen
        contacted = np.zeros(len(keys), dtype=bool)
        contacted[places[chosen]] = True
        rests |= {key: now for key, is_contacted in zip(keys, contacted, strict=True) if is_contacted}
        best.profit.append(np.where(contacted, worth, 0.0))
        best.months.append(_month(now, company.pass_month(contacted), best.profit[-1]))
    return best


def _result(branches: Sequence[_Branch], best: _Optimum, *, confidence: float, **told: Any) -> YearResult:
    by_policy = {name: branch for branch in branches for name in branch.policies}
    reachable = np.sum(best.profit, axis=0)
    loop, zero = np.sum(by_policy["loop"].profit, axis=0), np.zeros_like(reachable)

    def year(name: str, label: str, profit: FloatArray, months: Sequence[Month], **counts: int) -> PolicyYear:
        return PolicyYear(
            name=name,
            label=label,
            profit=paired_difference(profit, zero, confidence),
            share=share_of(profit, reachable, confidence),
            against_loop=paired_difference(profit, loop, confidence),
            months=tuple(months),
            **counts,
        )

    def told_months(name: str, branch: _Branch) -> list[Month]:
        told = branch.confirmed if POLICIES[name].monitors else {}
        return [
            month.model_copy(update={"happened": (told[place], *month.happened)}) if place in told else month
            for place, month in enumerate(branch.months)
        ]

    return YearResult(
        customers=len(reachable),
        confidence=confidence,
        policies=tuple(
            year(
                name,
                POLICIES[name].label,
                np.sum(by_policy[name].profit, axis=0),
                told_months(name, by_policy[name]),
                trainings=by_policy[name].trainings,
                promotions=by_policy[name].promotions,
            )
            for name in POLICIES
            if name in by_policy
        ),
        optimum=year(OPTIMUM, "the optimum, which knows the truth", reachable, best.months, trainings=0, promotions=0),
        **told,
    )
