"""One look at a rollout: what the figures say, and what follows from them."""

from __future__ import annotations

import datetime as dt

import pytest

from churn.approval.decide import approve, reject
from churn.approval.promote import promote, rollback
from churn.approval.rollout import abort, advance, running
from churn.core.errors import DecisionRefused, ModelError, NotFound, StoreError
from churn.lifecycle.deployment import promote_version
from churn.lifecycle.release import follow_ledger
from churn.lifecycle.rollouts import check_rollout, guard_rollout, rollout_report, start_rollout
from tests.fakes.data.case import settings
from tests.fakes.data.deciding import MANUAL
from tests.fakes.data.rolled_out import RolledOut

FEW = "rollout.min_customers=100"
ANY_SCORES = "rollout.max_score_shift=9"
NO_RELEASE = "serving.deploy=never"
WINNING = (FEW, ANY_SCORES, NO_RELEASE, "rollout.planned_customers=4000", "approval.expires_after_days=null")
AGES = 40
"""Days until outcomes are known."""


def aged(case: RolledOut) -> RolledOut:
    case.office.clock.skip(AGES)
    return case


def test_a_better_challenger_is_promoted_and_that_ends_the_rollout() -> None:
    case = RolledOut(*WINNING, shadow=True)
    case.log(case.begin(), 4000, blurs=(1.5, 0.1))
    report = rollout_report(aged(case).workspace, case.settings)
    assert report.outcome is not None
    assert report.outcome.lower > 0
    assert (report.customers, report.fewest, report.next) == (4000, 4000, "promote")
    done = check_rollout(case.workspace, case.settings)
    assert (done.done, case.office.champion, case.office.previous) == ("promoted", 2, 1)
    assert done.sentence.startswith("Version 2 is better in outcome")
    assert check_rollout(case.workspace, case.settings).done == "nothing"


def test_a_promotion_after_which_features_cannot_be_published_is_taken_back() -> None:
    case = RolledOut(*(setting for setting in WINNING if setting != NO_RELEASE), shadow=True)
    case.log(case.begin(), 4000, blurs=(1.5, 0.1))
    done = check_rollout(aged(case).workspace, case.settings)
    assert (done.done, case.office.champion) == ("refused", 1)
    assert "publication" in done.sentence
    assert done.deployment is not None
    assert done.deployment.champion == 1


def test_a_better_challenger_of_a_split_is_promoted_too() -> None:
    case = RolledOut(*WINNING, share=0.5)
    case.log(case.begin(), 6000, blurs=(3.0, 0.1))
    report = rollout_report(aged(case).workspace, case.settings)
    assert report.fewest == pytest.approx(3000, abs=200)
    assert check_rollout(case.workspace, case.settings).done == "promoted"


def test_a_worse_challenger_is_aborted_and_counts_as_rejected() -> None:
    case = RolledOut(*WINNING, shadow=True)
    case.log(case.begin(), 4000, blurs=(0.1, 1.5))
    done = check_rollout(aged(case).workspace, case.settings)
    assert done.done == "aborted"
    assert "worse in outcome" in done.sentence
    assert case.office.ledger.records[-1].who == "policy:rollout"
    assert case.office.context.status(2).state == "rejected"


def test_equal_versions_wait() -> None:
    case = RolledOut(FEW, share=0.5)
    case.log(case.begin(), 2000)
    done = check_rollout(aged(case).workspace, case.settings)
    assert done.done == "waited"
    assert "Neither version is better so far (95% at every look)" in done.sentence


@pytest.mark.parametrize(("customers", "looked_at"), [(99, False), (100, True)])
def test_the_test_is_looked_at_from_so_many_outcomes_on(customers: int, looked_at: bool) -> None:
    case = RolledOut(FEW, shadow=True)
    case.log(case.begin(), customers)
    report = rollout_report(aged(case).workspace, case.settings)
    assert (report.outcome is not None, report.profit is not None) == (looked_at, looked_at)
    if not looked_at:
        assert report.why == "99 of 100 outcomes scored by both are known before the test is looked at."


def test_outcomes_that_are_not_known_yet_do_not_count() -> None:
    case = RolledOut(FEW, shadow=True)
    case.log(case.begin(), 200)
    assert rollout_report(case.workspace, case.settings).customers == 0


def test_customers_who_were_contacted_are_left_out_of_both_arms_and_the_control_group_is_not() -> None:
    case = RolledOut(FEW, shadow=True)
    rollout = case.begin()
    at = case.office.clock.now + dt.timedelta(days=3)
    case.log(rollout, 200)
    case.contact({f"c0-{number}": "treatment" if number < 30 else "control" for number in range(60)}, at)
    report = rollout_report(aged(case).workspace, case.settings)
    assert (report.customers, report.contacted) == (170, 30)


@pytest.mark.parametrize("days", [-1, 40])
def test_a_contact_before_the_score_or_after_the_outcome_leaves_nobody_out(days: int) -> None:
    case = RolledOut(FEW, shadow=True)
    case.log(case.begin(), 200)
    case.contact({"c0-1": "treatment"}, case.office.clock.now + dt.timedelta(days=days))
    report = rollout_report(aged(case).workspace, case.settings)
    assert (report.customers, report.contacted) == (200, 0)


def test_a_customer_counts_once_by_the_first_score() -> None:
    case = RolledOut(FEW, shadow=True)
    rollout = case.begin()
    case.log(rollout, 150)
    case.office.clock.skip(1)
    case.log(rollout, 150)
    assert rollout_report(aged(case).workspace, case.settings).customers == 150


def test_rows_of_before_the_rollout_do_not_count() -> None:
    case = RolledOut(FEW, shadow=True)
    first = case.begin()
    case.log(first, 300)
    abort(case.office.context, who="ada", why="Once more.")
    case.office.judge(2)
    approve(case.office.context, 2, who="ada", why="Once more.")
    case.office.clock.skip(1)
    case.begin()
    assert rollout_report(aged(case).workspace, case.settings).customers == 0


@pytest.mark.parametrize(("failed", "done"), [(5, "waited"), (6, "aborted")])
def test_failures_abort_above_the_share_that_is_allowed(failed: int, done: str) -> None:
    case = RolledOut("rollout.step_rows=500", "rollout.max_error_share=0.01", share=0.1)
    case.log(case.begin(), 2000, failed=failed)
    look = check_rollout(case.workspace, case.settings)
    assert look.done == done
    assert look.report.arms[1].failed == failed
    if done == "aborted":
        assert "Version 2 failed at 6 of" in look.sentence
        assert "`rollout.max_error_share`" in look.sentence


@pytest.mark.parametrize(("milliseconds", "done"), [(3.0, "waited"), (3.1, "aborted")])
def test_a_slow_challenger_is_aborted(milliseconds: float, done: str) -> None:
    case = RolledOut("rollout.step_rows=5000", share=0.5)
    case.log(case.begin(), 1000, milliseconds=(1.0, milliseconds))
    look = check_rollout(case.workspace, case.settings)
    assert look.done == done
    if done == "aborted":
        assert "takes 3.10 ms a row where version 1 takes 1.00" in look.sentence


def test_scores_that_lie_elsewhere_abort() -> None:
    case = RolledOut("rollout.step_rows=400", share=0.5)
    case.log(case.begin(), 1000, shift=2.0)
    look = check_rollout(case.workspace, case.settings)
    assert look.done == "aborted"
    assert "a population stability index of" in look.sentence


def test_a_step_follows_once_so_many_rows_broke_no_guardrail() -> None:
    case = RolledOut("rollout.step_rows=150", share=0.1)
    case.log(case.begin(), 1000)
    assert check_rollout(case.workspace, case.settings).done == "waited"
    case.log(running(case.office.context.read()), 1000, seed=1)  # type: ignore[arg-type]
    look = check_rollout(case.workspace, case.settings)
    assert (look.done, look.sentence[:38]) == ("advanced", "Version 2 answers 25% of the customers")
    record = case.office.ledger.records[-1]
    assert (record.kind, record.who, record.numbers) == ("rollout_advanced", "policy:rollout", {"share": 0.25})
    assert check_rollout(case.workspace, case.settings).done == "waited"


def test_after_the_last_step_and_in_shadow_nothing_advances() -> None:
    for case in (RolledOut("rollout.step_rows=100", share=0.5), RolledOut("rollout.step_rows=100", shadow=True)):
        case.log(case.begin(), 1000)
        assert check_rollout(case.workspace, case.settings).done == "waited"


def test_a_rollout_that_began_in_shadow_is_tested_on_pairs_after_it_advanced() -> None:
    case = RolledOut(FEW, shadow=True)
    case.log(case.begin(), 300)
    case.office.clock.skip(0.1)
    now = advance(case.office.context, case.settings.rollout, who="ada")
    case.log(now, 500, seed=1)
    report = rollout_report(aged(case).workspace, case.settings)
    assert (report.customers, report.fewest) == (300, 300)
    assert report.arms[1].rows < 100


def test_where_the_approval_has_lapsed_the_gate_judges_anew_and_may_refuse_the_winner() -> None:
    """The versions have no files here, so that the gate cannot load them."""
    case = RolledOut(FEW, ANY_SCORES, shadow=True)
    case.log(case.begin(), 4000, blurs=(1.5, 0.1))
    done = check_rollout(aged(case).workspace, case.settings)
    assert (done.done, case.office.champion, case.office.kinds[-2:]) == ("refused", 1, ["gate_refused", "rejected"])
    assert running(case.office.context.read()) is None


def test_a_winner_that_a_person_must_approve_waits_and_goes_on_being_rolled_out() -> None:
    case = RolledOut(*WINNING, "approval.policy=manual", shadow=True)
    case.log(case.begin(), 4000, blurs=(1.5, 0.1))
    case.judge(MANUAL)
    done = check_rollout(aged(case).workspace, case.settings)
    assert (done.done, case.office.champion) == ("pending", 1)
    assert running(case.office.context.read()) is not None
    approve(case.workspace.approval(case.settings.approval), 2, who="bob", why="Good.")
    assert check_rollout(case.workspace, case.settings).done == "promoted"


def test_without_a_rollout_the_last_one_is_told() -> None:
    case = RolledOut()
    assert rollout_report(case.workspace, case.settings).why == "No version of churn_gym is rolled out."
    case.begin()
    promote(case.office.context, 2, who="ada")
    done = check_rollout(case.workspace, case.settings)
    assert done.done == "nothing"
    assert "The rollout of version 2 ended as version 2 was promoted on" in done.sentence


def test_nothing_logged_yet_waits() -> None:
    case = RolledOut()
    case.begin()
    report = rollout_report(case.workspace, case.settings)
    assert (report.next, [arm.rows for arm in report.arms]) == ("wait", [0, 0])


def test_a_rollout_starts_with_the_first_share_and_only_with_whole_files() -> None:
    case = RolledOut("rollout.shares=[0.2, 0.4]")
    workspace, rules = case.workspace, case.settings
    with pytest.raises(DecisionRefused, match="give either --shadow or --share"):
        start_rollout(workspace, rules, 2, share=0.1, shadow=True, who="ada", why="x")
    with pytest.raises(NotFound, match="has no version 9"):
        start_rollout(workspace, rules, 9, share=None, shadow=False, who="ada", why="x")
    assert start_rollout(workspace, rules, 2, share=None, shadow=False, who="ada", why="x").share == 0.2


def test_a_version_whose_files_are_damaged_is_not_rolled_out() -> None:
    case = RolledOut()

    def verify(version: object, into: object) -> None:
        raise ModelError("model.ubj changed.")

    case.workspace.make["verify"] = verify  # type: ignore[index]
    with pytest.raises(DecisionRefused, match=r"Version 2 of churn_gym is not rolled out: model\.ubj changed"):
        start_rollout(case.workspace, case.settings, 2, share=None, shadow=False, who="ada", why="x")


def test_before_a_promotion_a_rollout_may_be_asked_for() -> None:
    case = RolledOut("rollout.before_promotion=true")
    outcome = promote_version(case.workspace, case.settings, case.office.context.status(2))
    assert (outcome.state, outcome.champion, case.office.champion) == ("rollout", 1, 1)
    assert '`python run.py rollout start --version 2 --reason "…"` rolls it out' in outcome.sentence
    case.begin()
    outcome = promote_version(case.workspace, case.settings, case.office.context.status(2))
    assert "`python run.py rollout check` promotes it when it wins" in outcome.sentence
    assert promote_version(case.workspace, settings(), case.office.context.status(2)).state == "promoted"
    outcome = promote_version(case.workspace, case.settings, case.office.context.status(2))
    assert outcome.state == "unchanged"


def test_what_is_not_approved_is_refused_whether_or_not_a_rollout_is_asked_for() -> None:
    case = RolledOut("rollout.before_promotion=true")
    assert promote_version(case.workspace, case.settings, case.office.context.status(3)).state == "refused"


@pytest.mark.parametrize(("failed", "is_aborted"), [(5, False), (6, True)])
def test_a_broken_guardrail_aborts_without_a_look_at_outcomes(failed: int, is_aborted: bool) -> None:
    case = RolledOut("rollout.step_rows=500", "rollout.max_error_share=0.01", share=0.1)
    case.log(case.begin(), 2000, failed=failed)
    done = guard_rollout(case.workspace, case.settings)
    assert (done is not None, running(case.office.context.read()) is None) == (is_aborted, is_aborted)
    if is_aborted:
        record = case.office.ledger.records[-1]
        assert (record.kind, record.who) == ("rollout_aborted", "policy:rollout")
        assert done == f"The rollout of version 2 is aborted: {record.why}"
        assert guard_rollout(case.workspace, case.settings) is None, "it has ended"


def test_a_guard_neither_promotes_nor_advances() -> None:
    case = RolledOut(*WINNING, "rollout.step_rows=150", shadow=True)
    case.log(case.begin(), 4000, blurs=(1.5, 0.1))
    assert guard_rollout(aged(case).workspace, case.settings) is None
    assert case.office.champion == 1
    assert running(case.office.context.read()) is not None


def test_an_endpoint_that_does_not_follow_the_ledger_is_told_of_each_change() -> None:
    case = RolledOut(*WINNING, shadow=True)
    start_rollout(case.workspace, case.settings, 2, share=None, shadow=True, who="ada", why="x")
    assert case.host.told == [1]
    case.log(running(case.office.context.read()), 4000, blurs=(0.1, 1.5))  # type: ignore[arg-type]
    assert check_rollout(aged(case).workspace, case.settings).done == "aborted"
    assert case.host.told == [1, 1]


def test_an_endpoint_that_does_not_come_to_it_takes_nothing_back() -> None:
    case = RolledOut(*WINNING, shadow=True)
    case.log(case.begin(), 4000, blurs=(0.1, 1.5))
    case.host.fault = "an update failed"
    done = check_rollout(aged(case).workspace, case.settings)
    assert done.done == "aborted"
    told = "the endpoint does not answer by it yet: an update failed `python run.py serve` brings it there."
    assert done.sentence.endswith(told)
    assert running(case.office.context.read()) is None
    with pytest.raises(StoreError, match=r"The decision is on record, and .*an update failed"):
        follow_ledger(case.workspace, case.settings)


def test_a_check_that_waits_brings_back_an_endpoint_that_did_not_come_to_the_last_decision() -> None:
    case = RolledOut(*WINNING, shadow=True)
    case.begin()
    assert check_rollout(case.workspace, case.settings).done == "waited"
    assert case.host.told == [1]


def test_a_rollback_and_a_rejection_are_told_to_an_endpoint_that_does_not_follow_the_ledger() -> None:
    case = RolledOut()
    case.begin()
    context = case.office.context
    acts = (
        lambda: reject(context, 2, who="ada", why="complaints"),
        lambda: case.office.go_live(3),
        lambda: rollback(context, who="ada", why="complaints"),
    )
    for act in acts:
        act()
        follow_ledger(case.workspace, case.settings)
    assert case.host.told == [1, 3, 1]
