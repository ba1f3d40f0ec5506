"""The gate's verdict on record, the policy's answer, and people who approve or reject."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from churn.approval.context import APPROVAL_CHECK
from churn.approval.decide import approve, decide, record_gate, reject
from churn.approval.promote import promote, rollback
from churn.approval.settings import ApprovalSettings
from churn.approval.state import DECISION
from churn.core.errors import ConfigError, DecisionRefused, NotFound, WriteConflict
from churn.core.estimate import Estimate
from churn.gate.report import Check, Comparison, PairedMetric
from churn.ports.ledger import breaks
from churn.ports.registry import CHAMPION, MODEL_DIGEST
from tests.fakes.data.deciding import FAILING, MANUAL, MODEL, PASSING, START, Office, gate_report, office, register

TWO_PEOPLE = ApprovalSettings(policy="manual", separation_of_duties=True)
BROKEN = (Check(name="latency", verdict="error", sentence="Could not be answered."),)


def test_the_verdict_of_the_gate_is_on_record_with_what_it_rests_on() -> None:
    place = office(2, 1)
    gain = Estimate(point=0.2, lower=-0.1, upper=0.5, se=0.2)
    metric = PairedMetric(
        name="profit_per_customer", champion=9.0, challenger=9.2, gain=gain, detectable=0.5,
    )  # fmt: skip
    holdout = Comparison(
        name="holdout", rows=100, customers=90, churners=20, since=START, until=START, resamples=200, metrics=(metric,)
    )
    report = place.report(2, FAILING, holdout=holdout)
    record = record_gate(place.context, report, who="ada")
    assert (record.kind, record.version, record.champion, record.who) == ("gate_refused", 2, 1, "ada")
    assert record.why == "Refused by the gate: slices (fail)."
    assert record.verdicts == {"profit": "pass", "slices": "fail"}
    assert record.digests == {"gate_report": report.digest, "model": "digest of 2", "champion": "digest of 1"}
    assert record.numbers == {
        "profit": 0.5,
        "slices": 0.01,
        "holdout.profit_per_customer.gain": 0.2,
        "holdout.profit_per_customer.gain.lower": -0.1,
        "holdout.profit_per_customer.gain.upper": 0.5,
    }
    assert place.tags(2).items() >= {"gate": "refused"}.items()


def test_the_same_report_is_one_record() -> None:
    place = office(1)
    report = place.report(1)
    assert record_gate(place.context, report, who="ada") == record_gate(place.context, report, who="bob")
    assert place.kinds == ["gate_passed"]


def test_a_report_about_another_model_than_the_registered_one_is_not_recorded() -> None:
    place = office(2, 1)
    report = place.report(2)
    place.registry.set_tags(MODEL, 2, {MODEL_DIGEST: "another"})
    with pytest.raises(DecisionRefused, match="version 2 of churn_gym is not the model that was judged"):
        record_gate(place.context, report, who="ada")
    with pytest.raises(DecisionRefused, match="is not the model that was judged"):
        record_gate(place.context, place.report(2, model="churn_pool"), who="ada")
    assert "gate" not in place.tags(2)


@pytest.mark.parametrize("happened", ["promotion", "first champion"])
def test_a_gate_that_ran_while_the_champion_changed_is_not_recorded(happened: str) -> None:
    place = office(3) if happened == "first champion" else office(3, 1)
    report = place.report(3)
    place.go_live(2)
    before = place.kinds
    with pytest.raises(
        WriteConflict, match=r"While the gate ran, the champion of churn_gym changed.*run `python run.py"
    ):
        record_gate(place.context, report, who="ada")
    assert place.kinds == before


def test_a_gate_against_a_champion_that_is_another_model_by_now_is_not_recorded() -> None:
    place = office(3, 1)
    report = place.report(3)
    place.make_anew(1)
    with pytest.raises(DecisionRefused, match="Version 1 of churn_gym in the registry is another model"):
        record_gate(place.context, report, who="ada")


def test_a_gate_against_a_champion_that_somebody_moved_is_not_recorded() -> None:
    place = office(3, 1)
    report = place.report(3)
    place.registry.set_alias(MODEL, CHAMPION, 2)
    with pytest.raises(DecisionRefused, match=r"@Champion of churn_gym names version 2, and version 1 is live"):
        record_gate(place.context, report, who="ada")


@pytest.mark.parametrize(
    ("policy", "checks", "state", "tag"),
    [
        ("auto", None, "approved", "Approved"),
        ("auto", FAILING, "rejected", "Rejected"),
        ("auto", BROKEN, "rejected", "Rejected"),
        ("auto", (), "rejected", "Rejected"),
        ("manual", None, "pending", "Pending"),
        ("manual", FAILING, "rejected", "Rejected"),
    ],
)
def test_the_policy_answers_the_gate(policy: Any, checks: Any, state: str, tag: str) -> None:
    place = office(1, settings=ApprovalSettings(policy=policy))
    found = place.judge(1) if checks is None else place.judge(1, checks)
    assert found.state == state
    assert found.decision is not None
    assert (found.decision.who, found.decision.version) == (f"policy:{policy}", 1)
    assert place.tags(1)[APPROVAL_CHECK] == tag
    assert place.tags(1)[DECISION] == found.decision.hash
    assert place.context.status(1) == found


def test_a_verdict_is_answered_once() -> None:
    place = office(1)
    first = place.judge(1)
    assert decide(place.under(MANUAL).context, 1, who="bob") == first
    assert place.kinds == ["gate_passed", "approved"]


def test_a_verdict_that_was_left_unanswered_counts_for_nothing_until_it_is() -> None:
    place = office(1)
    record_gate(place.context, place.report(1), who="ada")
    found = place.context.status(1)
    assert (found.state, found.decision) == ("none", None)
    assert "ended before the policy answered" in found.why
    assert decide(place.context, 1, who="ada").state == "approved"


def test_what_was_not_judged_is_neither_decided_nor_approved() -> None:
    place = office(1)
    assert place.context.status(1).state == "none"
    for refused in (
        lambda: decide(place.context, 1, who="ada"),
        lambda: approve(place.context, 1, who="ada", why="I like it."),
    ):
        with pytest.raises(
            DecisionRefused, match=r"has not judged version 1.*run `python run.py --pipeline deployment`"
        ):
            refused()
    assert place.kinds == []


@pytest.mark.parametrize("act", [approve, reject])
def test_a_decision_needs_a_version_a_person_and_a_reason(act: Any) -> None:
    place = office(2, settings=MANUAL)
    place.judge(1)
    with pytest.raises(NotFound, match=r"churn_gym has no version 9; it has 1, 2\."):
        act(place.context, 9, who="bob", why="Good.")
    for nobody in ("", "  ", "\n", "\x1b"):
        with pytest.raises(ConfigError, match="needs the name of a person"):
            act(place.context, 1, who=nobody, why="Good.")
    for nothing in ("", " \t\n"):
        with pytest.raises(ConfigError, match="needs a reason"):
            act(place.context, 1, who="bob", why=nothing)
    with pytest.raises(ConfigError, match="how the settings sign"):
        act(place.context, 1, who="Policy:auto", why="Good.")
    with pytest.raises(ConfigError, match="not valid text"):
        act(place.context, 1, who="bob", why="\udcff")
    assert place.kinds == ["gate_passed", "pending"]


def test_a_model_that_is_not_there_is_told_with_the_way_to_one() -> None:
    with pytest.raises(NotFound, match=r"no registered model 'churn_gym': run `python run.py --pipeline training`"):
        approve(Office().context, 1, who="bob", why="Good.")


def test_a_person_approves_what_waits() -> None:
    place = office(1, settings=MANUAL)
    pending = place.judge(1)
    found = approve(place.context, 1, who="bob", why="  Reviewed\nwith finance. ")
    assert found.state == "approved"
    assert found.gate == pending.gate
    assert found.decision is not None
    assert (found.decision.who, found.decision.why) == ("bob", "Reviewed with finance.")
    assert found.decision.digests == (pending.gate and pending.gate.digests)
    assert place.tags(1)[APPROVAL_CHECK] == "Approved"


def test_to_approve_what_is_approved_changes_nothing() -> None:
    place = office(1, settings=MANUAL)
    place.judge(1)
    first = approve(place.context, 1, who="bob", why="Good.")
    assert approve(place.context, 1, who="eve", why="Better.") == first
    assert place.kinds == ["gate_passed", "pending", "approved"]


@pytest.mark.parametrize("who", ["ada", " Ada ", "ADA"])
def test_who_registered_a_version_may_not_approve_it_where_two_people_are_asked_for(who: str) -> None:
    place = office(1, settings=TWO_PEOPLE)
    place.judge(1)
    with pytest.raises(DecisionRefused, match=r"registered version 1.*leaves the approval to somebody else"):
        approve(place.context, 1, who=who, why="My own work.")
    assert place.context.status(1).state == "pending"
    assert approve(place.context, 1, who="bob", why="Reviewed.").state == "approved"


def test_two_people_need_to_know_who_registered_the_version() -> None:
    place = office(1, settings=TWO_PEOPLE)
    place.judge(1)
    place.registry.set_tags(MODEL, 1, {"registered_by": " "})
    with pytest.raises(DecisionRefused, match="does not say who registered it"):
        approve(place.context, 1, who="bob", why="Reviewed.")


def test_where_one_person_is_enough_it_may_be_the_same() -> None:
    place = office(1, settings=MANUAL)
    place.judge(1)
    assert approve(place.context, 1, who="ada", why="My own work.").state == "approved"


@pytest.mark.parametrize("by_hand", [True, False])
def test_what_was_rejected_needs_the_gate_again(by_hand: bool) -> None:
    place = office(1, settings=MANUAL)
    if by_hand:
        place.judge(1)
        reject(place.context, 1, who="bob", why="Bad timing.")
        told = "Rejected by bob on 2024-05-01 .* UTC: Bad timing"
    else:
        place.judge(1, FAILING)
        told = "Rejected by policy:manual .* Refused by the gate"
    with pytest.raises(DecisionRefused, match=f"does not wait for an approval: {told}.*--pipeline deployment"):
        approve(place.context, 1, who="eve", why="I disagree.")
    assert place.tags(1)[APPROVAL_CHECK] == "Rejected"
    place.judge(1)
    assert approve(place.context, 1, who="eve", why="I disagree.").state == "approved"


def test_a_policy_does_not_overrule_a_person() -> None:
    place = office(2, 1)
    reject(place.context, 2, who="bob", why="Bad timing.")
    found = place.judge(2)
    assert found.state == "pending"
    assert "bob rejected it on 2024-05-01: Bad timing." in found.why
    approve(place.context, 2, who="eve", why="Now it fits.")
    assert promote(place.context, 2, who="eve").version == 2


def test_a_policy_does_not_bring_back_what_a_person_took_back() -> None:
    place = office(2, 1, 2)
    rollback(place.context, who="bob", why="It annoys customers.")
    assert place.context.status(2).state == "rejected"
    found = place.judge(2)
    assert found.state == "pending"
    assert "bob went back from it on 2024-05-01: It annoys customers." in found.why


def test_a_person_can_take_back_their_no() -> None:
    place = office(2, 1)
    reject(place.context, 2, who="bob", why="Bad timing.")
    place.judge(2)
    approve(place.context, 2, who="bob", why="Now it fits.")
    place.clock.skip(days=31)
    assert place.context.status(2).state == "lapsed"
    assert place.judge(2).state == "approved"


def test_an_approved_version_can_still_be_rejected_and_the_live_one_not() -> None:
    place = office(2, 1)
    place.judge(2)
    assert reject(place.context, 2, who="bob", why="Bad timing.").state == "rejected"
    with pytest.raises(DecisionRefused, match=r"Version 1 of churn_gym is live: `python run.py rollback"):
        reject(place.context, 1, who="bob", why="Bad timing.")


def test_what_is_approved_lapses_when_the_champion_changes() -> None:
    place = office(3, 1)
    place.judge(2)
    place.judge(3)
    promote(place.context, 2, who="ada")
    found = place.context.status(3)
    assert found.state == "lapsed"
    assert "held it against version 1, and the champion changed since: it is version 2" in found.why
    assert place.judge(3).state == "approved"


def test_it_stays_lapsed_when_the_old_champion_comes_back() -> None:
    place = office(3, 1)
    place.judge(2)
    place.judge(3)
    promote(place.context, 2, who="ada")
    rollback(place.context, who="bob", why="Bad.")
    assert place.champion == 1
    assert place.context.status(3).state == "lapsed"
    assert place.context.status(2).state == "rejected"


@pytest.mark.parametrize(
    ("version", "told"),
    [(1, "compared it with another model than version 1 is now"), (2, "another model under this number")],
)
def test_an_approval_is_for_exactly_the_models_that_were_compared(version: int, told: str) -> None:
    place = office(2, 1)
    assert place.judge(2).state == "approved"
    place.registry.set_tags(MODEL, version, {MODEL_DIGEST: "another"})
    found = place.context.status(2)
    assert found.state == "lapsed"
    assert told in found.why


@pytest.mark.parametrize(("settings", "state"), [(ApprovalSettings(), "approved"), (MANUAL, "pending")])
def test_what_was_decided_holds_for_thirty_days(settings: ApprovalSettings, state: str) -> None:
    place = office(1, settings=settings)
    decided = place.judge(1).decision
    assert decided is not None
    last = decided.at + dt.timedelta(days=30)
    for now, expected in ((last, state), (last + dt.timedelta(microseconds=1), "lapsed")):
        place.clock.now = now - dt.timedelta(minutes=1)
        assert place.context.status(1).state == expected
    for_ever = settings.model_copy(update={"expires_after_days": None})
    assert place.under(for_ever).context.status(1).state == state


def test_the_waiting_ends_too() -> None:
    place = office(1, settings=MANUAL)
    place.judge(1)
    place.clock.skip(days=31)
    with pytest.raises(DecisionRefused, match=r"held until 2024-05-31.*judge it anew"):
        approve(place.context, 1, who="bob", why="At last.")


def test_the_live_version_is_approved_for_as_long_as_it_is_live() -> None:
    place = office(1, 1)
    place.clock.skip(days=400)
    found = place.context.status(1)
    assert (found.state, found.why) == ("approved", "Live since 2024-05-01 08:08 UTC.")


def test_tags_without_their_records_count_for_nothing() -> None:
    place = office(2, 1)
    place.registry.set_tags(MODEL, 2, {APPROVAL_CHECK: "Approved", "gate": "passed", DECISION: "f" * 64})
    assert place.context.status(2).state == "none"


def test_decisions_about_two_models_of_one_dataset_do_not_mix() -> None:
    place = office(2, 1)
    pool = replace(place.context, model="churn_pool")
    register(place.registry, "run-1", model="churn_pool")
    record_gate(pool, gate_report(pool, 1), who="ada")
    assert decide(pool, 1, who="ada").state == "approved"
    assert promote(pool, 1, who="ada").previous is None
    place.judge(2)
    assert promote(place.context, 2, who="ada").previous == 1
    assert [live.version for live in pool.read().history] == [1]
    assert list(breaks(place.ledger.read())) == []


def test_a_gate_that_could_not_measure_is_no_verdict() -> None:
    place = office(2, 1)
    before = place.kinds
    report = place.report(2, (*PASSING, Check(name="latency", verdict="unmeasured", sentence="Too busy.")))
    with pytest.raises(DecisionRefused, match=r"latency could not be measured.*run .* again"):
        record_gate(place.context, report, who="ada")
    assert place.kinds == before
