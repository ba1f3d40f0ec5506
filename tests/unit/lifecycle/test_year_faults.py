"""Faults of a simulated year: what arrives, and what is run again."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from churn.core.errors import ConfigError, StoreError
from churn.lifecycle.workspace import Workspace
from churn.lifecycle.year_faults import FAULTS, FaultySteps, arrivals, faults_called
from churn.settings import load_contract
from tests.conftest import ROOT
from tests.fakes.data.case import settings

TELCO = load_contract(ROOT / "configs", "telco_simulated")
ROWS = pa.table(
    {
        "customer_id": [f"c{number:03d}" for number in range(120)],
        "churn": ["Yes" if number % 3 == 0 else "No" for number in range(100)] + [None] * 20,
    }
)


def arrived(*faults: str) -> list[pa.Table]:
    return list(arrivals(ROWS, TELCO, faults))


def test_without_faults_the_rows_arrive_once() -> None:
    assert arrived() == [ROWS]


def test_a_feed_that_comes_twice_comes_twice() -> None:
    assert arrived("feed-twice") == [ROWS, ROWS]


def test_rows_with_an_outcome_come_twice_in_a_delivery() -> None:
    (rows,) = arrived("labels-twice")
    assert rows.num_rows == 220
    assert len(set(rows["customer_id"].to_pylist())) == 120


def test_wrong_outcomes_come_first_and_the_right_ones_last() -> None:
    wrong, right = arrived("labels-contradictory")
    assert right == ROWS
    changed = [
        (before, after)
        for before, after in zip(right["churn"].to_pylist(), wrong["churn"].to_pylist(), strict=True)
        if before != after
    ]
    assert changed == [("Yes", "No"), ("No", "Yes")]


def test_faults_are_named_or_all_of_them() -> None:
    assert faults_called("all") == set(FAULTS)
    assert faults_called("feed-twice, killed-step") == {"feed-twice", "killed-step"}
    with pytest.raises(ConfigError, match=r"no fault 'feed-twize'.*feed-twice.*`all`, or some of killed-step"):
        faults_called("feed-twize")


@dataclass
class Port:
    """Stands for tables and registry."""

    done: list[str] = field(default_factory=list)

    def upsert(self, what: str) -> str:
        self.done.append(what)
        return what

    def versions(self, model: str) -> list[str]:
        return [model]


def living(port: Port, *faults: str) -> FaultySteps:
    """Return use cases of which `contact` writes twice after it asked the registry."""

    class Steps(FaultySteps):
        def contact(self) -> None:
            self._through(self.write)

        def write(self) -> None:
            workspace = self.workspace
            workspace.registry.versions("m")
            for number in (1, 2):
                workspace.tables.upsert(f"{number}")  # type: ignore[arg-type, call-arg]

    def connect(clock: Any) -> Workspace:
        make = dict.fromkeys(("tables", "registry", "ledger"), lambda: port)
        return Workspace(contract=TELCO, model="m", threads=1, clock=clock, make=make)

    steps = Steps(connect, settings(), faults)
    steps.now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return steps


def test_a_killed_use_case_is_run_again_wherever_it_was_killed() -> None:
    port = Port()
    steps = living(port, "killed-step")
    seen = []
    for _ in range(5):
        port.done.clear()
        steps.contact()
        seen.append(list(port.done))
    assert seen == [
        ["1", "2"],  # before the first write
        ["1", "1", "2"],  # after it
        ["1", "1", "2"],  # before the second one
        ["1", "2", "1", "2"],  # after it
        ["1", "2"],  # there is no fifth place
    ]


def test_a_registry_that_is_gone_answers_the_second_time() -> None:
    port = Port()
    living(port, "registry-gone").contact()
    assert port.done == ["1", "2"]


def test_without_faults_of_use_cases_nothing_is_run_twice() -> None:
    port = Port()
    living(port, "feed-twice").contact()
    assert port.done == ["1", "2"]


def test_an_error_that_is_no_fault_is_raised() -> None:
    port = SimpleNamespace(versions=lambda model: {}[model])
    with pytest.raises(KeyError, match="m"):
        living(port, "killed-step").contact()  # type: ignore[arg-type]


def test_a_store_that_stays_away_is_told() -> None:
    def gone(model: str) -> None:
        raise StoreError("The registry is in the basement.")

    with pytest.raises(StoreError, match="in the basement"):
        living(SimpleNamespace(versions=gone), "registry-gone").contact()  # type: ignore[arg-type]


def test_every_fault_is_described() -> None:
    assert all(len(said) > 20 for said in FAULTS.values())
