"""What follows a promotion, and what is live again where a part of it fails."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from churn.core.errors import DeploymentFailed, StoreError
from churn.lifecycle.deployment import Deployment, deploy
from churn.lifecycle.release import Release, release_version
from churn.ports.endpoint import EndpointAnswer
from churn.ports.online import OnlineRow
from tests.fakes.data.deciding import MODEL, START
from tests.fakes.data.endpoint import CONTRACT, EndpointCase
from tests.fakes.ports.endpoint import InMemoryEndpoint
from tests.fakes.ports.tables import MemoryFeatureStore

CUSTOMERS = 50


class Case(EndpointCase):
    """A model of which version 2 is approved, customers with features, and an endpoint that runs or does not."""

    def __init__(self, *overrides: str, live: tuple[int, ...] = (1,), runs: bool = False) -> None:
        super().__init__(*overrides, live=live)
        self.now = START + dt.timedelta(days=1)
        self.tables = MemoryFeatureStore("gym", clock=lambda: self.now)
        times = pa.array([START] * CUSTOMERS, pa.timestamp("us", tz="UTC"))
        columns = {
            "customer_id": [f"c{number}" for number in range(CUSTOMERS)],
            "contract": ["Two year", "Month-to-month"] * (CUSTOMERS // 2),
            "tenure": [float(number) for number in range(CUSTOMERS)],
            "monthly_charges": [50.0 + number for number in range(CUSTOMERS)],
            "total_charges": [None if number == 7 else 100.0 * number for number in range(CUSTOMERS)],
            "transaction_ts": times,
            "arrived_at": times,
        }
        stored = {spec.name: [0.0] * CUSTOMERS for spec in CONTRACT.stored_features}
        self.tables.upsert(CONTRACT.table("features"), pa.table({**columns, **stored}))
        self.host = InMemoryEndpoint(self.endpoint, MODEL, runs=runs)
        if runs:
            self.endpoint.refresh()
        self.make |= {
            "tables": lambda: self.tables,
            "identity": lambda: "ada",
            "endpoint": lambda options: self.host,
        }

    def promoted(self, version: int = 2) -> Deployment:
        return deploy(self.office.context, self.office.judge(version), who="ada")

    def released(self, version: int = 2) -> Release:
        return release_version(self.workspace, self.settings, self.promoted(version))


def test_without_an_endpoint_the_scores_are_compared_in_this_process() -> None:
    case = Case("serving.smoke_rows=10")
    released = case.released()
    assert (released.state, released.address, released.online, released.scored) == ("verified", None, CUSTOMERS, 10)
    where = "without an endpoint, for none runs"
    assert released.sentence == f"50 customers are online, and 10 of them were scored as in a batch, {where}."
    assert not case.host.runs
    assert (case.office.champion, case.office.kinds[-1]) == (2, "deployed")
    last = case.office.ledger.records[-1]
    assert (last.version, last.who, last.why) == (2, "ada", released.sentence)
    assert last.numbers == {"online": 50, "scored": 10}
    assert len(case.online.held) == CUSTOMERS
    assert not case.office.audit().findings


def test_an_endpoint_that_runs_is_changed_asked_and_shown_with_its_address() -> None:
    case = Case(runs=True)
    released = case.released()
    assert (released.state, released.address, released.scored) == ("verified", "memory://endpoint", 20)
    assert "were scored as in a batch, at memory://endpoint." in released.sentence
    assert (case.endpoint.readiness.version, case.host.asked) == (2, 1)
    assert case.office.stages.addresses == {(MODEL, 2): "memory://endpoint"}


def test_an_endpoint_is_started_where_the_settings_ask_for_one() -> None:
    case = Case("serving.deploy=always")
    assert case.released().address == "memory://endpoint"
    assert case.host.runs


def test_where_batches_alone_are_scored_nothing_is_published() -> None:
    case = Case("serving.deploy=never", runs=True)
    released = case.released()
    assert (released.state, released.sentence, released.deployment.champion) == ("skipped", "", 2)
    assert (len(case.online.held), case.host.asked, case.office.kinds[-1]) == (0, 0, "promoted")


def test_a_version_that_is_not_live_is_not_released() -> None:
    case = Case(runs=True)
    waiting = Deployment(model=MODEL, version=2, champion=1, state="waiting", sentence="It waits.")
    assert release_version(case.workspace, case.settings, waiting).state == "skipped"
    assert (case.host.asked, case.office.champion) == (0, 1)


def test_the_same_version_again_is_verified_and_recorded_once() -> None:
    case = Case()
    case.released()
    before = case.office.kinds.count("deployed")
    again = deploy(case.office.context, case.office.context.status(2), who="ada")
    verified = release_version(case.workspace, case.settings, again)
    assert (verified.state, again.state, case.office.kinds.count("deployed"), before) == ("verified", "unchanged", 1, 1)


def test_a_model_control_plane_that_does_not_answer_stops_nothing() -> None:
    case = Case(runs=True)
    outcome = case.promoted()
    case.office.stages.down = True
    assert release_version(case.workspace, case.settings, outcome).state == "verified"


def no_publication(case: Case) -> None:
    def publishing(*_: Any, **__: Any) -> Any:
        raise StoreError("The online store is full.")

    case.online.publishing = publishing  # type: ignore[method-assign]


def another_row(case: Case) -> None:
    def rows(customers: Any) -> Any:
        for customer in customers:
            if (row := case.online.held.get(customer)) is not None:
                yield OnlineRow(customer, {**row.values, "tenure": 99.0}, *row[2:])

    case.online.rows = rows  # type: ignore[method-assign]


def not_loaded(case: Case) -> None:
    case.broken.add(2)


def not_updated(case: Case) -> None:
    ensure = case.host.ensure

    def refusing(version: int, *, within: float) -> Any:
        if version == 2:
            raise StoreError("The endpoint cannot change to version 2: no memory.")
        return ensure(version, within=within)

    case.host.ensure = refusing  # type: ignore[method-assign]


def no_answer(case: Case) -> None:
    case.host.refusal["query"] = "The endpoint answers 500: it failed."


def another_score(case: Case) -> None:
    query = case.host.query

    def wrong(rows: Any, *, explain: bool = False) -> EndpointAnswer:
        answer = query(rows)
        return answer._replace(predictions=[{**said, "probability": 0.5} for said in answer.predictions])

    case.host.query = wrong  # type: ignore[method-assign]


def another_version(case: Case) -> None:
    query = case.host.query
    case.host.query = lambda rows, *, explain=False: query(rows)._replace(versions=[1] * len(rows))  # type: ignore[method-assign]


def a_bug(case: Case) -> None:
    def query(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("division by zero")

    case.host.query = query  # type: ignore[method-assign]


FAULTS: dict[Callable[[Case], None], tuple[str, str]] = {
    no_publication: ("publication", "The online store is full."),
    another_row: ("parity check", "The online store differs from churn_features"),
    not_loaded: ("update of the endpoint", "The files of version 2 are gone."),
    not_updated: ("update of the endpoint", "The endpoint cannot change to version 2: no memory."),
    no_answer: ("smoke test", "The endpoint answers 500: it failed."),
    another_score: ("smoke test", "For customer 'c0' the endpoint says 0.5"),
    another_version: ("smoke test", "Version 1 answered, and version 2 is live."),
    a_bug: ("smoke test", "ZeroDivisionError: division by zero"),
}


@pytest.mark.parametrize(("fault", "said"), FAULTS.items())
def test_where_a_part_fails_the_version_before_is_live_again(
    fault: Callable[[Case], None], said: tuple[str, str]
) -> None:
    case = Case(runs=True)
    outcome = case.promoted()
    fault(case)
    released = release_version(case.workspace, case.settings, outcome)
    part, cause = said
    assert (released.state, released.failed_at) == ("failed", part)
    assert released.sentence.startswith(
        f"{MODEL} version 2 was promoted and taken back: version 1 is live again. The {part} failed: {cause}"
    )
    assert (released.deployment.state, released.deployment.champion) == ("taken_back", 1)
    assert (case.office.champion, case.endpoint.readiness.version) == (1, 1)
    assert case.office.kinds[-2:] == ["rollback_begun", "rolled_back"]
    last = case.office.ledger.records[-1]
    assert (last.version, last.champion, last.who) == (1, 2, "policy:deployment")
    assert last.why.startswith(f"The {part} failed: {cause}")
    assert not case.office.audit().findings
    with pytest.raises(DeploymentFailed, match="version 1 is live again") as raised:
        released.require()
    assert raised.value.evidence == released


@pytest.mark.parametrize("runs", [True, False])
def test_a_first_version_that_fails_leaves_no_version_live_as_before(runs: bool) -> None:
    case = Case("serving.deploy=always", live=())
    case.host.runs = runs
    outcome = case.promoted()
    no_answer(case)
    released = release_version(case.workspace, case.settings, outcome)
    assert "version 2 was promoted and taken back: no version is live, as before." in released.sentence
    assert (released.deployment.champion, case.office.champion, case.host.runs) == (None, None, False)
    state = case.office.context.read()
    assert (state.live, case.office.kinds[-1], state.ledger[-1].who) == (None, "withdrawn", "policy:deployment")
    assert case.office.stages.stages[MODEL, 2] == "archived"
    assert not case.office.audit().findings
    status = case.office.context.status(2)
    assert (status.state, "Taken back by policy:deployment" in status.why) == ("rejected", True)


@pytest.mark.parametrize("live", [(), (1,)])
def test_a_version_that_was_taken_back_goes_live_once_the_gate_has_passed_it_again(live: tuple[int, ...]) -> None:
    case = Case(live=live, runs=bool(live))
    outcome = case.promoted()
    publishing = case.online.publishing
    no_publication(case)
    assert release_version(case.workspace, case.settings, outcome).state == "failed"
    case.online.publishing = publishing  # type: ignore[method-assign]
    case.office.clock.skip(days=1)
    case.now += dt.timedelta(days=1, hours=1)
    assert case.released().state == "verified"
    assert case.office.champion == 2
    assert not case.office.audit().findings


def test_a_version_that_was_live_before_this_run_stays_so_where_its_verification_fails() -> None:
    case = Case(runs=True)
    case.released()
    outcome, before = deploy(case.office.context, case.office.context.status(2), who="ada"), case.office.kinds
    no_answer(case)
    released = release_version(case.workspace, case.settings, outcome)
    assert (released.state, released.deployment.champion, case.office.champion) == ("failed", 2, 2)
    assert "version 2 was live before this run and stays so, but is not verified. The smoke test failed" in (
        released.sentence
    )
    assert case.office.kinds == before


def test_an_endpoint_that_cannot_go_back_is_named() -> None:
    case = Case(runs=True)
    outcome = case.promoted()
    case.host.refusal["ensure"] = "The endpoint does not answer."
    released = release_version(case.workspace, case.settings, outcome)
    assert "version 1 is live again" in released.sentence
    assert released.sentence.endswith("The endpoint is not back yet: The endpoint does not answer.")


def test_what_cannot_be_taken_back_is_told_with_the_command_that_does_so() -> None:
    case = Case(runs=True)
    outcome = case.promoted()
    no_answer(case)
    case.office.doom.error, case.office.doom.at = StoreError, case.office.doom.writes + 1
    said = r"was promoted. The smoke test failed: .* could not be restored \(.*`python run.py rollback --reason"
    with pytest.raises(StoreError, match=said):
        release_version(case.workspace, case.settings, outcome)
