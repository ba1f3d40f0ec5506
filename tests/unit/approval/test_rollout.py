"""The rollout in the ledger: who may be rolled out, what each step records, and what ends it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from churn.approval.context import APPROVAL_CHECK
from churn.approval.decide import approve, reject
from churn.approval.promote import promote, retire, rollback
from churn.approval.rollout import Rollout, abort, advance, next_share, rollouts, running, start
from churn.approval.settings import RolloutSettings
from churn.core.errors import ConfigError, DecisionRefused, NotFound, WriteConflict
from tests.fakes.data.deciding import FAILING, MANUAL, Office, office

RULES = RolloutSettings()


def approved(*live: int, version: int = 2, versions: int = 3) -> Office:
    """An office with a champion and an approved version."""
    place = office(versions, *(live or (1,)))
    place.judge(version)
    return place


def begin(place: Office, version: int = 2, share: float = 0.1, *, shadow: bool = False) -> Rollout:
    return start(place.context, version, share=share, shadow=shadow, who="ada", why="Beside the champion.")


def now(place: Office) -> Rollout | None:
    return running(place.context.read())


def test_an_approved_version_is_rolled_out_step_by_step_and_every_step_is_on_record() -> None:
    place = approved()
    first = begin(place)
    assert (first.version, first.champion, first.share, first.shadow) == (2, 1, 0.1, False)
    assert [advance(place.context, RULES, who="bob").share for _ in range(2)] == [0.25, 0.5]
    records = place.ledger.records[-3:]
    assert [record.kind for record in records] == ["rollout_started", "rollout_advanced", "rollout_advanced"]
    assert [record.numbers for record in records] == [{"share": 0.1}, {"share": 0.25}, {"share": 0.5}]
    assert [record.who for record in records] == ["ada", "bob", "bob"]
    for record in records:
        assert record.digests == {"model": "digest of 2", "champion": "digest of 1"}
    assert place.champion == 1
    assert place.audit().findings == ()


def test_a_rollout_may_begin_in_shadow_and_its_first_step_is_the_first_share() -> None:
    place = approved()
    assert begin(place, shadow=True).shadow
    assert advance(place.context, RULES, who="ada").share == 0.1


def test_a_step_may_have_a_share_of_its_own() -> None:
    place = approved()
    begin(place, share=0.02)
    assert advance(place.context, RULES, share=0.9, who="ada", why="It is late.").share == 0.9
    assert place.ledger.records[-1].why == "It is late."


@pytest.mark.parametrize(("share", "following"), [(0.0, 0.1), (0.1, 0.25), (0.3, 0.5), (0.5, None), (0.7, None)])
def test_the_next_step_is_the_next_larger_share(share: float, following: float | None) -> None:
    place = approved()
    begin(place, share=share or 0.1, shadow=share == 0)
    present = now(place)
    assert present is not None
    assert next_share(present, RULES.shares) == following


@pytest.mark.parametrize("state", ["unjudged", "refused", "waiting", "rejected", "lapsed"])
def test_a_version_that_is_not_approved_is_not_rolled_out(state: str) -> None:
    place = office(3, 1) if state != "waiting" else office(3, 1).under(MANUAL)
    if state != "unjudged":
        place.judge(2, FAILING) if state == "refused" else place.judge(2)
    if state == "rejected":
        reject(place.context, 2, who="bob", why="No.")
    if state == "lapsed":
        place.clock.skip(31)
    with pytest.raises(DecisionRefused, match=r"Version 2 of churn_gym is not approved, and version 1 stays @Champion"):
        begin(place)
    assert now(place) is None


def test_where_a_person_approves_the_rollout_begins_after_that() -> None:
    place = office(3, 1).under(MANUAL)
    place.judge(2)
    approve(place.context, 2, who="bob", why="Good.")
    assert begin(place).version == 2


def test_what_cannot_be_rolled_out_is_refused_in_words() -> None:
    with pytest.raises(NotFound, match="has no version 9; it has 1, 2, 3"):
        begin(approved(), 9)
    with pytest.raises(DecisionRefused, match="Version 1 of churn_gym is live: it answers every customer already"):
        begin(approved(), 1)
    first = office(1)
    first.judge(1)
    with pytest.raises(DecisionRefused, match="has no champion to roll version 1 out beside"):
        begin(first, 1)
    place = approved()
    begin(place)
    with pytest.raises(DecisionRefused, match=r"A rollout of version 2 of churn_gym runs since .*rollout abort"):
        begin(place)
    place.judge(3)
    with pytest.raises(DecisionRefused, match="A rollout of version 2"):
        begin(place, 3)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_share_lies_between_0_and_1(share: float) -> None:
    place = approved()
    with pytest.raises(ConfigError, match="is no share of the customers: give a number between 0 and 1"):
        begin(place, share=share)
    begin(place)
    with pytest.raises(ConfigError, match="is no share of the customers"):
        advance(place.context, RULES, share=share, who="ada")


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_a_step_goes_up(share: float) -> None:
    place = approved()
    begin(place)
    with pytest.raises(DecisionRefused, match=r"answers 10% of the customers already, .* give a --share above 0.1"):
        advance(place.context, RULES, share=share, who="ada")


def test_after_the_last_step_there_is_no_next() -> None:
    place = approved()
    begin(place, share=0.5)
    with pytest.raises(DecisionRefused, match=r"answers 50% .*the last of `rollout.shares`"):
        advance(place.context, RULES, who="ada")


def test_without_a_rollout_there_is_nothing_to_advance_or_abort() -> None:
    place = approved()
    with pytest.raises(DecisionRefused, match=r"No rollout of churn_gym runs: .*rollout start"):
        advance(place.context, RULES, who="ada")
    with pytest.raises(DecisionRefused, match="No rollout of churn_gym runs"):
        abort(place.context, who="ada", why="No.")


@pytest.mark.parametrize(("who", "why", "message"), [("", "x", "needs the name"), ("ada", " ", "needs a reason")])
def test_a_person_and_a_reason_are_needed(who: str, why: str, message: str) -> None:
    place = approved()
    with pytest.raises(ConfigError, match=message):
        start(place.context, 2, share=0.1, who=who, why=why)
    begin(place)
    with pytest.raises(ConfigError, match=message):
        abort(place.context, who=who, why=why)


def test_an_aborted_version_counts_as_rejected_and_a_new_verdict_waits_for_a_person() -> None:
    place = approved()
    begin(place)
    assert place.tags(2)[APPROVAL_CHECK] == "Approved"
    ended = abort(place.context, who="bob", why="Complaints.").ended
    assert ended is not None
    assert ended.kind == "rollout_aborted"
    status = place.context.status(2)
    assert (status.state, status.why[:33]) == ("rejected", "Its rollout was aborted by bob on")
    assert place.tags(2)[APPROVAL_CHECK] == "Rejected"
    with pytest.raises(DecisionRefused, match="is not approved"):
        promote(place.context, 2, who="ada")
    again = place.judge(2)
    assert (again.state, "aborted its rollout" in again.why) == ("pending", True)
    approve(place.context, 2, who="bob", why="Mended.")
    assert begin(place).share == 0.1
    assert place.audit().findings == ()


def _promote(version: int) -> Callable[[Office], object]:
    return lambda place: (place.judge(version), promote(place.context, version, who="ada"))


def _gone(version: int) -> Callable[[Office], object]:
    return lambda place: retire(place.context, version, who="ada", why="Lost.")


ENDS: dict[str, Callable[[Office], object]] = {
    "the version is promoted": lambda place: promote(place.context, 2, who="ada"),
    "another version is promoted": _promote(3),
    "the champion is rolled back": lambda place: rollback(place.context, who="ada", why="No."),
    "the version is rejected": lambda place: reject(place.context, 2, who="ada", why="No."),
    "a new gate refuses the version": lambda place: place.judge(2, FAILING),
    "the version is retired": _gone(2),
    "the champion is retired": _gone(1),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_rollout_ends_as(how: str) -> None:
    place = approved(3, 1)
    begin(place)
    ENDS[how](place)
    assert now(place) is None
    last = rollouts(place.context.read())[-1]
    assert (last.version, last.ended is not None) == (2, True)
    with pytest.raises(DecisionRefused, match="No rollout of churn_gym runs"):
        abort(place.context, who="ada", why="No.")


def test_what_is_decided_about_other_versions_does_not_end_it() -> None:
    place = approved(3, 1)
    begin(place)
    place.judge(3, FAILING)
    reject(place.context, 3, who="ada", why="No.")
    place.register()
    assert now(place) is not None


def test_an_approval_that_lapses_with_time_does_not_end_it() -> None:
    place = approved()
    begin(place)
    place.clock.skip(60)
    assert now(place) is not None
    assert advance(place.context, RULES, who="ada").share == 0.25


def test_a_version_that_is_another_model_than_the_ledger_knows_is_refused() -> None:
    place = approved()
    place.make_anew(2)
    with pytest.raises(DecisionRefused, match="Version 2 of churn_gym in the registry is another model"):
        begin(place)


def test_what_was_decided_on_a_look_holds_for_that_rollout_alone() -> None:
    place = approved()
    seen = begin(place)
    advance(place.context, RULES, who="ada")
    with pytest.raises(WriteConflict, match="While the rollout of version 2 of churn_gym was looked at"):
        abort(place.context, who="ada", why="It failed.", seen=seen)
    present = now(place)
    assert present is not None
    ended = abort(place.context, who="ada", why="It failed.", seen=present).ended
    assert ended is not None
    assert (ended.who, ended.by_policy) == ("policy:rollout", True)
    with pytest.raises(WriteConflict, match="was looked at"):
        advance(place.context, RULES, who="ada", seen=present)


def test_each_rollout_draws_customers_of_its_own() -> None:
    place = approved()
    first = begin(place).identity
    abort(place.context, who="ada", why="No.")
    place.judge(3)
    assert begin(place, 3).identity != first


def test_a_rollout_without_an_approval_on_record_is_found() -> None:
    place = office(3, 1)
    state = place.context.read()
    place.context.write(
        state, "rollout_started", 2, who="mallory", why="x", champion=1, digests={}, numbers={"share": 1}
    )
    [finding] = place.audit().findings
    assert finding.problem == "Version 2 was rolled out without an approval on record."


@pytest.mark.parametrize("shares", [[], [0.0], [1.0], [0.5, 0.1], [0.1, 0.1]])
def test_the_shares_of_the_steps_ascend_between_0_and_1(shares: list[float]) -> None:
    with pytest.raises(ValueError, match=r"each larger than the one before|at least 1 item"):
        RolloutSettings.model_validate({"shares": shares})
