"""The simulated year: which policies share months, who trains when, what is mended, and what all of it earned."""

from __future__ import annotations

import datetime as dt
import shutil
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import parquet

from adapters.year import InTurn, year_processes
from churn.core.errors import ConfigError
from churn.core.shares import hash_shares
from churn.lifecycle.retraining_result import Retraining
from churn.lifecycle.year import simulate_year, year_company, year_contract
from churn.lifecycle.year_policies import demo_retrains, policies_called
from churn.lifecycle.year_result import YearResult, paired_difference, share_of
from churn.monitoring.report import Advice, Diagnosis, MonitoringReport
from churn.settings import Settings, load_contract
from tests.conftest import ROOT
from tests.fakes.data.case import settings as usual

TELCO = load_contract(ROOT / "configs", "telco_simulated")


def settings(*overrides: str) -> Settings:
    return usual("simulation.customers=400", "simulation.months=4", *overrides)


@dataclass
class Acted:
    """What the use cases of all states were asked for, and what monitoring and the gate answer."""

    retrain: frozenset[int] = frozenset()
    broken: frozenset[int] = frozenset()
    passes: bool = True
    lines: list[str] = field(default_factory=list)
    forks: list[tuple[str, str]] = field(default_factory=list)
    keys: dict[str, pa.Array] = field(default_factory=dict)

    def steps(self, name: str, settings: Settings) -> Any:
        return Steps(self, name, settings)

    def fork(self, name: str, into: str) -> None:
        self.forks.append((name, into))
        self.keys[into] = self.keys[name]

    def written(self, name: str, rows: pa.Table) -> Path:
        self.lines.append(f"{name} delivered")
        self.newest = rows
        return Path(name)


@dataclass
class Steps:
    """The use cases of one state: contacts those whose key ends in A, whatever was trained."""

    acted: Acted
    name: str
    settings: Settings
    now: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def _noted(self, what: str) -> None:
        self.acted.lines.append(f"{self.name} {what} {self.now.month}")

    def begin(self, file: Path) -> None:
        self.deliver(file)

    def deliver(self, file: Path) -> None:
        rows = self.acted.newest
        newest = rows.filter(pc.equal(rows["transaction_ts"], pc.max(rows["transaction_ts"])))
        self.acted.keys[self.name] = newest["customer_id"].combine_chunks()

    def contact(self) -> None:
        self._noted("contacts")

    def contacted(self) -> pa.Array:
        keys = self.acted.keys[self.name]
        return keys.filter(pc.ends_with(keys, "A"))

    def monitor(self) -> MonitoringReport:
        changes = ", ".join(f"{name} {day}" for name, day in self.settings.monitoring.real_changes.items())
        self._noted(f"monitors, told of {changes} in" if changes else "monitors")
        state = "retrain" if self.now.month in self.acted.retrain else "no_reason"
        broken = Diagnosis(
            kind="broken_feed",
            version=1,
            source="batch",
            window="w",
            evidence=("e",),
            recommendation="r",
            columns=("monthly_charges",),
        )
        return MonitoringReport(
            dataset="d", model="m", live=1, currency="USD", at=self.now, length="day", measured=0, unchanged=0,
            diagnoses=(broken,) if self.now.month in self.acted.broken else (),
            advice=Advice(state=state, sentence="s"),
        )  # fmt: skip

    def train(self) -> None:
        self._noted("trains")

    def judge(self) -> None:
        self._noted("judges")

    def retrain(self, report: MonitoringReport) -> Retraining:
        self._noted("retrains")
        state, sentence = ("promoted", "version 2 is live") if self.acted.passes else ("kept", "kept version 1")
        return Retraining(model="m", at=self.now, advice=report.advice, state=state, sentence=sentence)  # type: ignore[arg-type]

    def promote_unjudged(self) -> None:
        self._noted("promotes")


def live(stores: Any, scenario: str = "calm", months: int = 3, *overrides: str, **chosen: Any) -> YearResult:
    wanted = settings(*overrides)
    contract = year_contract(TELCO, scenario)
    company = year_company(contract, wanted, scenario, months)
    options = {"scenario": scenario, "months": months, "processes": InTurn(), **chosen}
    return simulate_year(stores, company, contract, wanted, **options)


def by_name(year: YearResult) -> dict[str, Any]:
    return {policy.name: policy for policy in year.policies}


@pytest.mark.slow
def test_policies_share_their_months_until_they_do_something_else() -> None:
    acted = Acted(retrain=frozenset({3}))
    year = live(acted, months=4)
    assert acted.forks == [("start", "monthly"), ("start", "never")]
    assert [line for line in acted.lines if "contacts" in line] == [
        *("start contacts 1", "start contacts 2", "start contacts 3", "monthly contacts 3"),
        *("start contacts 4", "never contacts 4", "monthly contacts 4"),
    ]
    policies = by_name(year)
    assert {name: (policy.trainings, policy.promotions) for name, policy in policies.items()} == {
        "loop": (1, 1), "never": (0, 0), "monthly": (2, 2), "demo": (0, 0),
    }  # fmt: skip
    assert policies["never"].months == policies["demo"].months
    assert [bool(month.happened) for month in policies["loop"].months] == [False, False, True, False]


def test_nothing_is_trained_where_nothing_is_new_or_nobody_would_be_served() -> None:
    acted = Acted(retrain=frozenset({1, 2, 3}))
    live(acted, months=3)
    assert [line for line in acted.lines if "rains" in line] == [
        "start trains 1",
        "start retrains 2",
        "monthly trains 2",
    ]


def test_policies_can_be_left_out_but_for_the_loop() -> None:
    acted = Acted()
    year = live(acted, policies=policies_called("never"))
    assert [policy.name for policy in year.policies] == ["loop", "never"]
    assert (acted.forks, len(year.goals)) == ([], 2)
    assert policies_called("monthly, never") == ("loop", "never", "monthly")
    with pytest.raises(ConfigError, match=r"no policy 'montly'; did you mean 'monthly'.* some of never, monthly, demo"):
        policies_called("montly")


def test_a_version_that_the_gate_refuses_does_not_go_live_and_the_story_says_so() -> None:
    year = live(Acted(retrain=frozenset({2}), passes=False), months=3)
    loop = by_name(year)["loop"]
    assert (loop.trainings, loop.promotions) == (1, 0)
    assert loop.months[1].happened == ("kept version 1",)


@pytest.mark.slow
def test_what_monitors_alone_has_a_broken_feed_mended() -> None:
    acted = Acted(broken=frozenset({4}))
    year = live(acted, "broken-feed", 5)
    policies = by_name(year)
    assert [month.happened for month in policies["loop"].months] == [
        (), (), (), ("Monitoring finds the feed broken; it is mended.",), (),
    ]  # fmt: skip
    assert not any(month.happened for month in policies["never"].months)


def test_monitoring_is_told_of_a_change_that_is_real_and_that_alone_parts_no_policies() -> None:
    acted = Acted(broken=frozenset({2}))
    year = live(acted, months=3)
    assert acted.forks == [("start", "monthly")]
    assert [line for line in acted.lines if "monitors" in line] == [
        *("start monitors 1", "start monitors 2", "start monitors, told of monthly_charges 2026-02-01 in 3"),
    ]
    told = ("Monitoring reports a change of monthly_charges; it is real, and monitoring is told so.",)
    assert [month.happened for month in by_name(year)["loop"].months] == [(), told, ()]
    assert not any(month.happened for month in by_name(year)["never"].months)


@pytest.mark.slow
def test_policies_that_contact_the_same_customers_earn_the_same_to_the_cent() -> None:
    year = live(Acted(retrain=frozenset({2})), months=4)
    for policy in year.policies:
        assert policy.against_loop.point == policy.against_loop.se == 0
        assert [month.profit for month in policy.months] == [month.profit for month in year.policies[0].months]


@pytest.mark.slow
def test_the_optimum_contacts_by_the_truth_and_never_the_control_group() -> None:
    year = live(Acted())
    assert year.optimum.profit.point > max(policy.profit.point for policy in year.policies)
    assert year.optimum.share.point == 1
    assert year.control_cost > 0
    assert year.goals[0] == ("at least 95% of the reachable profit", False)
    without = live(Acted(), "calm", 3, "campaign.control_share=0")
    assert without.control_cost == pytest.approx(0, abs=1e-6)
    assert without.optimum.profit.point == pytest.approx(year.optimum.profit.point + year.control_cost)


def test_the_optimum_keeps_the_limits_of_the_campaign() -> None:
    year = live(Acted(), "calm", 3, "campaign.capacity=7")
    assert [month.contacted for month in year.optimum.months] == [7, 7, 7]


@pytest.mark.slow
def test_the_same_year_again_comes_to_the_same() -> None:
    first, second = (live(Acted(), "price-rise") for _ in range(2))
    assert first.model_copy(update={"seconds": 0.0}) == second.model_copy(update={"seconds": 0.0})


class OnDisk(Steps):
    """The use cases of a state in a folder: each training adds those whose key ends in the next letter."""

    def begin(self, file: Path) -> None:
        Path(self.name).mkdir(exist_ok=True)
        self.deliver(file)

    def deliver(self, file: Path) -> None:
        self.acted.newest = parquet.read_table(file)
        super().deliver(file)
        parquet.write_table(pa.table({"keys": self.acted.keys[self.name]}), f"{self.name}/keys")

    def train(self) -> None:
        (Path(self.name) / f"model {len(list(Path(self.name).iterdir()))}").touch()

    def retrain(self, report: MonitoringReport) -> Retraining:
        self.train()
        return super().retrain(report)

    def contacted(self) -> pa.Array:
        keys = parquet.read_table(f"{self.name}/keys")["keys"].combine_chunks()
        letters = "ABCDEFGH"[: len(list(Path(self.name).iterdir())) - 1]
        return keys.filter(pc.match_substring_regex(keys, f"[{letters}]$"))


@dataclass(frozen=True)
class Folders:
    """States that any process can go on with."""

    folder: Path

    def steps(self, name: str, settings: Settings) -> OnDisk:
        return OnDisk(Acted(retrain=frozenset({3})), str(self.folder / name), settings)

    def fork(self, name: str, into: str) -> None:
        shutil.copytree(self.folder / name, self.folder / into)

    def written(self, name: str, rows: pa.Table) -> Path:
        parquet.write_table(rows, self.folder / f"{name}.parquet")
        return self.folder / f"{name}.parquet"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_branches_lived_side_by_side_come_to_the_same_as_in_turn(tmp_path: Path) -> None:
    def lived(folder: Path, processes: Executor) -> YearResult:
        folder.mkdir()
        return live(Folders(folder), months=4, processes=processes)

    with year_processes(2, int) as both:
        side_by_side = lived(tmp_path / "2", both)
    in_turn = lived(tmp_path / "1", InTurn())
    assert side_by_side.model_copy(update={"seconds": in_turn.seconds}) == in_turn
    assert len({policy.profit.point for policy in in_turn.policies}) == 3, "never and demo are one branch"
    states = [sorted(str(path.relative_to(tmp_path / name)) for path in (tmp_path / name).rglob("*")) for name in "12"]
    assert states[0] == states[1]


@pytest.mark.parametrize(
    ("given", "months", "says"),
    [
        (("campaign.rest_days=30",), 3, "rest_days is 30, shorter than the outcome window of 90 days.*Set it to 90"),
        ((), 0, "--months 0 is no year: give 1 or more"),
    ],
)
def test_a_year_that_makes_no_sense_is_refused(given: tuple[str, ...], months: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        year_company(year_contract(TELCO, "calm"), settings(*given), "calm", months)


def test_a_data_set_of_real_rows_has_no_year() -> None:
    with pytest.raises(ConfigError, match=r"The rows of 'telco' are not simulated.*telco_simulated or saas_simulated"):
        year_contract(load_contract(ROOT / "configs", "telco"), "calm")


def test_a_new_product_is_in_the_contract_from_the_beginning() -> None:
    contract = year_contract(TELCO, "new-product")
    assert contract.columns["internet_service"].allowed == ("DSL", "Fiber optic", "No", "Fiber optic Plus")
    assert year_contract(TELCO, "calm").columns == TELCO.columns


def test_the_demo_retrains_when_outcomes_jump_and_not_when_they_move() -> None:
    price = np.full(1000, 70.0)

    def share(churned: float) -> Any:
        return np.arange(1000) < 1000 * churned, price

    assert not demo_retrains([])
    assert not demo_retrains([share(0.265)])
    assert not demo_retrains([share(0.265), share(0.40)])
    assert demo_retrains([share(0.1), share(0.4)])
    assert demo_retrains([share(0.5)]), "35 USD a row are lost"


def test_a_paired_difference_is_narrow_where_customers_earn_alike() -> None:
    earned = np.random.default_rng(0).normal(10, 5, 400)
    paired = paired_difference(earned + 1, earned, 0.95)
    assert (paired.point, paired.se) == (pytest.approx(400), pytest.approx(0, abs=1e-9))
    alone = paired_difference(earned, np.zeros(400), 0.95)
    assert alone.se == pytest.approx(20 * earned.std())
    assert alone.upper - alone.point == pytest.approx(1.96 * alone.se, rel=1e-3)


def test_a_share_has_an_interval_and_is_whole_where_nothing_can_be_earned() -> None:
    reachable = np.random.default_rng(0).normal(10, 5, 400)
    share = share_of(reachable * 0.9, reachable, 0.95)
    assert (share.point, share.se) == (pytest.approx(0.9), pytest.approx(0, abs=1e-9))
    assert share_of(np.zeros(4), np.zeros(4), 0.95).point == 1


def test_the_control_group_is_that_of_the_settings() -> None:
    wanted = settings()
    company = year_company(year_contract(TELCO, "calm"), wanted, "calm", 1)
    held = hash_shares(company.keys().to_pylist(), wanted.campaign.control_share, wanted.campaign.salt)
    assert 0.05 < held.mean() < 0.15
