"""Rollback: to what was really live before, at once, and on record."""

from __future__ import annotations

import pytest

from churn.approval.approval import reject
from churn.approval.promotion import promote
from churn.approval.rollback import rollback
from churn.approval.tags import APPROVAL_CHECK
from churn.core.errors import ConfigError, DecisionRefused, NotFound
from churn.ports.registry import CHAMPION
from tests.fakes.data.deciding import FAILING, MODEL, Office, office


def back(place: Office, to: int | None = None) -> int:
    return rollback(place.governance, to=to, who="bob", why="Too many calls.").version


def test_it_goes_back_one_champion_at_a_time() -> None:
    place = office(3, 1, 2, 3)
    assert [back(place), back(place)] == [2, 1]
    assert (place.champion, place.previous) == (1, None)
    with pytest.raises(DecisionRefused, match=r"Before version 1 no version .* nothing to go back to.*run.py models"):
        back(place)
    assert place.champion == 1


def test_the_change_is_on_record_with_who_and_why() -> None:
    place = office(3, 1, 2, 3)
    done = rollback(place.governance, who="bob", why="Too many calls.")
    assert (done.kind, done.version, done.previous, done.who, done.why) == ("rollback", 2, 3, "bob", "Too many calls.")
    begun, ended = place.ledger.records[-2:]
    assert (begun.kind, ended.kind) == ("rollback_begun", "rolled_back")
    assert (ended.version, ended.champion, ended.digests["begun"]) == (2, 3, begun.hash)
    assert ended.digests.items() >= {"model": "digest of 2", "champion": "digest of 3"}.items()


def test_aliases_tags_and_stages_follow() -> None:
    place = office(3, 1, 2, 3)
    back(place)
    assert (place.champion, place.previous) == (2, 1)
    assert (place.tags(2)[APPROVAL_CHECK], place.tags(3)[APPROVAL_CHECK]) == ("Approved", "Rejected")
    assert place.stages.stages == {(MODEL, 1): "archived", (MODEL, 2): "production", (MODEL, 3): "archived"}


def test_the_previous_champion_is_always_where_a_rollback_goes() -> None:
    place = office(4, 1, 2, 3)
    for _ in range(2):
        goal = place.previous
        assert back(place) == goal
    place.go_live(4)
    assert place.previous == 1
    assert back(place) == 1


def test_a_version_that_was_live_at_some_time_can_be_named() -> None:
    place = office(3, 1, 2, 3)
    assert back(place, to=1) == 1
    assert place.previous is None
    assert back(place, to=3) == 3
    assert place.previous == 1
    assert [live.version for live in place.governance.look().history] == [1, 2, 3, 1, 3]


def test_what_was_never_live_cannot_be_gone_back_to() -> None:
    place = office(4, 1, 2)
    place.judge(3)
    with pytest.raises(DecisionRefused, match=r"Version 3 of churn_gym was never live.*these were: 1, 2\. `python"):
        back(place, to=3)
    with pytest.raises(DecisionRefused, match="Version 2 of churn_gym is live already"):
        back(place, to=2)
    with pytest.raises(NotFound, match="no version 9"):
        back(place, to=9)
    assert place.champion == 2


def test_where_nothing_was_ever_live_there_is_nowhere_to_go() -> None:
    place = office(1)
    place.registry.set_alias(MODEL, CHAMPION, 1)
    with pytest.raises(
        DecisionRefused, match=r"No version of churn_gym was ever live by a decision.*--pipeline deploy"
    ):
        back(place)
    with pytest.raises(DecisionRefused, match="a rollback goes to one that was; none was"):
        back(place, to=1)
    with pytest.raises(DecisionRefused, match="No version of churn_gym"):
        back(Office())


def test_a_version_that_was_rejected_since_must_be_named() -> None:
    place = office(3, 1, 2, 3)
    reject(place.governance, 2, who="eve", why="It leaks.")
    with pytest.raises(
        DecisionRefused, match=r"version 2 .* eve rejected on 2024-05-01 \(It leaks\.\): name it with --to 2"
    ):
        back(place)
    assert place.champion == 3
    assert back(place, to=1) == 1
    assert back(place, to=2) == 2


def test_a_gate_that_refuses_an_old_champion_does_not_stand_in_the_way_back() -> None:
    place = office(3, 1, 2, 3)
    assert place.judge(2, FAILING).state == "rejected"
    assert back(place) == 2


@pytest.mark.parametrize(("who", "why", "told"), [("", "Bad.", "--as NAME"), ("bob", " ", "--reason")])
def test_it_needs_a_person_and_a_reason(who: str, why: str, told: str) -> None:
    place = office(2, 1, 2)
    with pytest.raises(ConfigError, match=told):
        rollback(place.governance, who=who, why=why)


@pytest.mark.parametrize("moved_to", [3, None, 1])
@pytest.mark.parametrize("to", [2, None])
def test_it_puts_back_an_alias_that_was_moved_by_hand(moved_to: int | None, to: int | None) -> None:
    place = office(4, 1, 2)
    if moved_to is None:
        place.registry.delete_alias(MODEL, CHAMPION)
    else:
        place.registry.set_alias(MODEL, CHAMPION, moved_to)
    done = rollback(place.governance, to=to, who="bob", why="Moved by hand.")
    assert (done.version, done.previous) == (2, moved_to)
    assert (place.champion, place.previous) == (2, 1)
    place.judge(4)
    assert promote(place.governance, 4, who="ada").previous == 2


def test_an_alias_moved_back_by_hand_can_be_made_a_decision() -> None:
    place = office(2, 1, 2)
    place.registry.set_alias(MODEL, CHAMPION, 1)
    assert back(place, to=1) == 1
    assert (place.champion, place.previous) == (1, None)


def test_versions_that_are_gone_are_passed_over() -> None:
    place = office(3, 1, 2, 3)
    place.delete(2)
    assert back(place) == 1


def test_a_live_version_that_is_gone_is_left_for_the_one_before() -> None:
    place = office(2, 1, 2)
    place.delete(2)
    assert back(place) == 1
    assert (place.champion, place.previous) == (1, None)


def test_a_mirror_that_does_not_answer_does_not_stop_it() -> None:
    place = office(2, 1, 2)
    place.stages.down = True
    [note] = rollback(place.governance, who="bob", why="Bad.").notes
    assert "does not answer" in note
    assert place.champion == 1
