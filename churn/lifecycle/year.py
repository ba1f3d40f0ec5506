"""The simulated year: month by month through the use cases, by several policies of retraining, beside the optimum."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..campaign.candidates import expected_cost
from ..campaign.selection import select
from ..campaign.settings import Limits
from ..core.errors import ConfigError
from ..core.progress import advance, note
from ..core.shares import hash_shares
from ..data.contract import DatasetContract
from ..model.frame import FloatArray
from ..model.money import expected_value
from ..settings import Settings
from ..simulation.company import Company
from ..simulation.scenarios import SCENARIOS, new_values, scenario_events
from ..simulation.simulate import world_called
from .year_branch import Branch, Stores, live_month, month_of
from .year_policies import POLICIES
from .year_result import OPTIMUM, Month, PolicyYear, YearResult, paired_difference, share_of

__all__ = ["simulate_year", "year_company", "year_contract"]

_STAGE = "simulate"


def simulate_year(
    stores: Stores,
    company: Company,
    contract: DatasetContract,
    settings: Settings,
    *,
    scenario: str,
    months: int,
    processes: Executor,
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
        processes: Runs the months; branches of the year side by side, which changes no result.
        faults: Some of `FAULTS`, which those of deliveries are of; the others are those of `stores.steps`.
        policies: Some of `POLICIES`, the loop first.

    Raises:
        NotEnoughData: too few customers churned, or stayed, to train on.
    """
    started = time.monotonic()
    rest = settings.campaign.rest(contract.label.window_days)
    best, free = (_optimum(company.copied(), settings, months, rest, control) for control in (True, False))
    live = partial(live_month, stores, contract, faults, months)
    branches = _lived(processes, live, Branch("start", tuple(policies), company, settings), months)
    facts: dict[str, Any] = {
        "dataset": contract.name,
        "scenario": scenario,
        "description": SCENARIOS[scenario].description,
        "control_share": settings.campaign.control_share,
        "control_cost": float(np.sum(free.profit) - np.sum(best.profit)),
        "currency": settings.money.currency,
        "confidence": settings.evaluation.confidence,
        "faults": tuple(sorted(faults)),
    }
    return _result(branches, best, seconds=time.monotonic() - started, **facts)


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


def _lived(processes: Executor, live: Callable[[Branch], list[Branch]], first: Branch, months: int) -> list[Branch]:
    """Return the branches of the year at its end; those that have parted are lived side by side."""
    ended: list[Branch] = []
    waiting, running = [first], dict[Future[list[Branch]], Branch]()
    while waiting or running:
        _show([*running.values(), *waiting], months)
        running |= {processes.submit(live, branch): branch for branch in waiting}
        done = wait(running, return_when=FIRST_COMPLETED).done
        lived = [branch for future in running if future in done for branch in future.result()]
        running = {future: branch for future, branch in running.items() if future not in done}
        for branch in lived:
            month = branch.months[-1]
            for sentence in month.happened:
                note(_STAGE, f"{month.start:%B %Y}, {', '.join(branch.policies)}: {sentence}")
        ended += [branch for branch in lived if len(branch.months) == months]
        waiting = [branch for branch in lived if len(branch.months) < months]
    advance(_STAGE, months, months, "")
    return ended


def _show(running: Sequence[Branch], months: int) -> None:
    """Report the month that each branch is in, those that are behind first."""
    behind = sorted(running, key=lambda branch: len(branch.months))
    parts = [f"{branch.company.now:%B %Y}: {', '.join(branch.policies)}" for branch in behind]
    advance(_STAGE, len(behind[0].months), months, "; ".join(parts))


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
        best.months.append(month_of(now, company.pass_month(contacted), best.profit[-1]))
    return best


def _result(branches: Sequence[Branch], best: _Optimum, *, confidence: float, **facts: Any) -> YearResult:
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

    def months_of(name: str, branch: Branch) -> list[Month]:
        confirmed = branch.confirmed if POLICIES[name].monitors else {}
        return [
            month.model_copy(update={"happened": (confirmed[place], *month.happened)}) if place in confirmed else month
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
                months_of(name, by_policy[name]),
                trainings=by_policy[name].trainings,
                promotions=by_policy[name].promotions,
            )
            for name in POLICIES
            if name in by_policy
        ),
        optimum=year(OPTIMUM, "the optimum, which knows the truth", reachable, best.months, trainings=0, promotions=0),
        **facts,
    )
