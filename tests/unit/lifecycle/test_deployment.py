"""Which version a deployment run is about, and whether it is judged anew."""

from __future__ import annotations

import pyarrow as pa
import pytest

from churn.approval.archive import REPORTS, keep_report, stored_report
from churn.approval.decide import approve, decide, record_gate
from churn.core.errors import DecisionRefused, NotFound, StoreError
from churn.gate.report import Check, GateReport
from churn.lifecycle.deployment import deploy, report_on, request_of
from churn.ports.registry import ModelVersion
from tests.fakes.data.deciding import FAILING, MANUAL, MODEL, PASSING, Office, office
from tests.fakes.ports.tables import MemoryFeatureStore


class Judge:
    """Says what it is told to, and remembers whom it judged."""

    def __init__(self, at: Office) -> None:
        self.office = at
        self.judged: list[int] = []

    def __call__(self, challenger: ModelVersion, champion: ModelVersion | None) -> GateReport:
        self.judged.append(challenger.version)
        return self.office.report(challenger.version)


@pytest.fixture
def store() -> MemoryFeatureStore:
    return MemoryFeatureStore("gym")


def test_the_challenger_is_heard_unless_a_version_is_named() -> None:
    at = office(3, 1)
    assert request_of(at.context, None).challenger.version == 3
    named = request_of(at.context, 2)
    assert (named.challenger.version, named.champion and named.champion.version, named.live) == (2, 1, False)
    assert request_of(at.context, 1).live


def test_without_a_challenger_the_training_is_named() -> None:
    with pytest.raises(NotFound, match=f"{MODEL} has no @Challenger: run `python run.py --pipeline training` first"):
        request_of(Office().context, None)


def test_a_version_that_waits_is_not_judged_again(store: MemoryFeatureStore) -> None:
    at = office(2, settings=MANUAL)
    judge = Judge(at)
    report, new = report_on(request_of(at.context, 2), store, judge)
    record_gate(at.context, report, who="ada")
    decide(at.context, 2, who="ada")
    kept, again = report_on(request_of(at.context, 2), store, judge)
    assert (new, again, judge.judged) == (True, False, [2])
    assert kept.digest == report.digest
    assert kept.model_dump() == report.model_dump()


def test_a_version_that_was_refused_is_judged_again(store: MemoryFeatureStore) -> None:
    at = office(2)
    at.judge(2, FAILING)
    judge = Judge(at)
    _, new = report_on(request_of(at.context, 2), store, judge)
    assert (new, judge.judged) == (True, [2])


def test_a_machine_too_busy_to_measure_rejects_nobody_and_asks_for_another_try(store: MemoryFeatureStore) -> None:
    at = office(2, 1)
    latency = Check(name="latency", verdict="unmeasured", sentence="The machine was too busy to measure.")
    before = at.kinds
    with pytest.raises(DecisionRefused, match=r"latency could not be measured.*Nothing was recorded: run .* again"):
        report_on(request_of(at.context, 2), store, lambda *_: at.report(2, (*PASSING, latency)))
    assert at.kinds == before
    assert request_of(at.context, 2).status.state == "none"


def test_a_failed_check_rejects_however_much_could_not_be_measured(store: MemoryFeatureStore) -> None:
    at = office(2, 1)
    latency = Check(name="latency", verdict="unmeasured", sentence="The machine was too busy to measure.")
    report, new = report_on(request_of(at.context, 2), store, lambda *_: at.report(2, (*FAILING, latency)))
    record_gate(at.context, report, who="ada")
    assert (new, report.verdict) == (True, "fail")
    assert decide(at.context, 2, who="ada").state == "rejected"


def test_a_report_that_was_not_kept_is_made_again(store: MemoryFeatureStore) -> None:
    at = office(2, settings=MANUAL)
    at.judge(2)
    judge = Judge(at)
    _, new = report_on(request_of(at.context, 2), store, judge)
    assert (new, judge.judged) == (True, [2])


def test_a_report_reads_as_it_was_written_and_a_changed_one_is_refused(store: MemoryFeatureStore) -> None:
    report = office(1).report(1)
    assert stored_report(store, report.digest) is None
    keep_report(store, report)
    keep_report(store, report)
    assert store.latest(REPORTS.name).version == 0
    stored = stored_report(store, report.digest)
    assert stored is not None
    assert (stored.digest, stored.model_dump()) == (report.digest, report.model_dump())
    assert stored_report(store, "another") is None
    rows = store.read(store.latest(REPORTS.name)).to_pylist()
    forged = [{**rows[0], "report": rows[0]["report"].replace("It earns more.", "It earns a lot.")}]
    store.upsert(REPORTS, pa.Table.from_pylist(forged, store.read(store.latest(REPORTS.name)).schema))
    with pytest.raises(StoreError, match="was changed after a decision was bound to it"):
        stored_report(store, report.digest)


def test_what_is_approved_goes_live_and_says_what_it_replaced() -> None:
    at = office(2, 1)
    outcome = deploy(at.context, at.judge(2), who="ada")
    assert (outcome.state, outcome.champion, outcome.previous) == ("promoted", 2, 1)
    assert outcome.sentence == f"{MODEL} version 2 is @Champion, version 1 is @PreviousChampion."
    assert (at.champion, at.previous) == (2, 1)


def test_what_waits_or_was_refused_moves_nothing() -> None:
    at = office(3, settings=MANUAL)
    waiting = deploy(at.context, at.judge(2), who="ada")
    refused = deploy(at.context, at.judge(3, FAILING), who="ada")
    assert (waiting.state, refused.state) == ("waiting", "refused")
    assert (waiting.champion, at.champion) == (None, None)
    assert "version 2 is not promoted." in waiting.sentence


def test_the_champion_again_is_unchanged() -> None:
    at = office(2, settings=MANUAL)
    at.judge(2)
    found = approve(at.context, 2, who="mary", why="it is good")
    assert deploy(at.context, found, who="ada").state == "promoted"
    again = deploy(at.context, found, who="ada")
    assert (again.state, again.sentence) == ("unchanged", f"{MODEL} version 2 is @Champion already: nothing to do.")
