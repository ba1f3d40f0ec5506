"""A process that dies at any write: always one champion that was approved, and the next run ends what was begun."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import pytest

from churn.approval.decide import approve, decide, record_gate, reject
from churn.approval.promote import complete_begun, promote, rollback
from churn.core.errors import DecisionRefused, StoreError, WriteConflict
from churn.ports.registry import CHAMPION
from tests.fakes.data.deciding import MANUAL, MODEL, Killed, Office, office

pytestmark = pytest.mark.slow


class Case(NamedTuple):
    """Something to be killed: the office before it, the act, and the champions before and after."""

    before: Callable[[], Office]
    act: Callable[[Office], object]
    champions: tuple[int | None, int | None]


def judged(*live: int) -> Callable[[], Office]:
    def make() -> Office:
        place = office(3, *live)
        place.judge(3)
        return place

    return make


def act_promote(place: Office) -> object:
    return promote(place.context, 3, who="ada")


def act_rollback(place: Office) -> object:
    return rollback(place.context, to=1, who="bob", why="Bad.")


CHANGES = {
    "first promotion": Case(judged(), act_promote, (None, 3)),
    "second promotion": Case(judged(1), act_promote, (1, 3)),
    "third promotion": Case(judged(1, 2), act_promote, (2, 3)),
    "rollback": Case(lambda: office(3, 1, 2, 3), act_rollback, (3, 1)),
    "rollback of a moved alias": Case(lambda: moved(office(3, 1, 2)), act_rollback, (3, 1)),
}


def moved(place: Office) -> Office:
    place.registry.set_alias(MODEL, CHAMPION, 3)
    return place


def shown(place: Office) -> dict[str, Any]:
    """Return everything that anybody can see, but times and hashes."""
    versions = place.context.read().versions.values()
    return {
        "aliases": {version.version: version.aliases for version in versions},
        "tags": {each.version: {n: v for n, v in each.tags.items() if n != "decision"} for each in versions},
        "stages": place.stages.stages,
        "live": [live.version for live in place.context.read().history],
        "kinds": place.kinds,
    }


def writes_of(case: Case) -> int:
    place = case.before()
    before = place.doom.writes
    case.act(place)
    return place.doom.writes - before


POINTS = [
    pytest.param(case, number, done, id=f"{name}, {'after' if done else 'before'} write {number}")
    for name, case in CHANGES.items()
    for number in range(1, writes_of(case) + 1)
    for done in (False, True)
]


def killed(case: Case, number: int, done: bool, error: type[BaseException] = Killed) -> Office:
    """Return the office after a process died in the act."""
    place = case.before()
    doom = place.doom
    doom.at, doom.done, doom.error = doom.writes + number, done, error
    with pytest.raises(error, match=r"killed (before|after) a write"):
        case.act(place)
    doom.at = None
    return place


def test_every_change_has_many_points_to_die_at() -> None:
    assert {name: writes_of(case) for name, case in CHANGES.items()} == {
        "first promotion": 5,  # begun, @Champion, promoted, a tag, the stage
        "second promotion": 6,  # and @PreviousChampion
        "third promotion": 6,
        "rollback": 8,  # and two tags of the version that is left
        "rollback of a moved alias": 8,
    }


@pytest.mark.parametrize(("case", "number", "done"), POINTS)
def test_a_kill_leaves_one_champion_that_was_approved(case: Case, number: int, done: bool) -> None:
    place = killed(case, number, done)
    approved = {record.version for record in place.ledger.records if record.kind == "approved"}
    assert place.champion in case.champions
    assert place.champion in {case.champions[0], *approved}


@pytest.mark.parametrize(("case", "number", "done"), POINTS)
def test_the_next_run_completes_what_was_begun(case: Case, number: int, done: bool) -> None:
    place, expected = killed(case, number, done), case.before()
    begun = place.context.read().unfinished is not None
    ended = place.kinds[-1] in {"promoted", "rolled_back"} and len(place.kinds) > len(expected.kinds)
    record = complete_begun(place.context)
    assert (record is not None) == begun
    if begun or ended:
        case.act(expected)
    complete_begun(expected.context)
    assert shown(place) == shown(expected)
    assert complete_begun(place.context) is None


@pytest.mark.parametrize(("case", "number", "done"), POINTS)
def test_the_same_command_again_ends_where_it_would_have_ended(case: Case, number: int, done: bool) -> None:
    place, expected = killed(case, number, done), case.before()
    with suppress(DecisionRefused):  # a rollback that had got to its end
        case.act(place)
    case.act(expected)
    assert shown(place) == shown(expected)
    assert place.audit().findings == ()


LAST = 8
"""The write after which a rollback has nothing left to do."""


@pytest.mark.parametrize(
    ("number", "done"), [(number, done) for number in range(1, LAST + 1) for done in (False, True)]
)
def test_a_rollback_that_is_typed_again_after_a_kill_goes_back_one_version(number: int, done: bool) -> None:
    def act(place: Office) -> object:
        return rollback(place.context, who="bob", why="Bad.")

    place = killed(Case(lambda: office(3, 1, 2, 3), act, (3, 2)), number, done)
    if (number, done) != (LAST, True):
        act(place)
    assert (place.champion, place.previous) == (2, 1)
    assert place.kinds.count("rolled_back") == 1
    assert place.audit().findings == ()


@pytest.mark.parametrize(("number", "done"), [(number, done) for number in range(1, 7) for done in (False, True)])
def test_a_rollback_goes_back_from_what_was_begun(number: int, done: bool) -> None:
    place = killed(CHANGES["third promotion"], number, done)
    begun = place.kinds.count("promotion_begun") == 3
    assert rollback(place.context, who="eve", why="Away with it.").version == (2 if begun else 1)
    assert (place.champion, place.previous) == ((2, 1) if begun else (1, None))
    assert place.audit().findings == ()


@pytest.mark.parametrize("number", range(1, 5))
def test_a_registry_that_fails_is_told_and_completed_by_the_next_run(number: int) -> None:
    case = CHANGES["third promotion"]
    place = killed(case, number, False, StoreError)
    assert place.champion == (2 if number < 4 else 3)
    record = complete_begun(place.context)
    assert (record is None) == (number == 1)
    assert place.champion == (2 if number == 1 else 3)
    assert place.audit().findings == ()


def test_a_failure_in_the_middle_says_what_becomes_of_it() -> None:
    place = CHANGES["third promotion"].before()
    place.doom.at, place.doom.error = place.doom.writes + 3, StoreError
    told = "killed before a write The promotion to version 3 is begun; the next deployment, approval or rollback compl"
    with pytest.raises(StoreError, match=told):
        promote(place.context, 3, who="ada")


@pytest.mark.parametrize("number", [5, 6])
def test_what_only_shows_a_change_cannot_stop_it(number: int) -> None:
    place = CHANGES["third promotion"].before()
    place.doom.at, place.doom.error = place.doom.writes + number, StoreError
    [note] = promote(place.context, 3, who="ada").notes
    assert note.startswith("killed before a write The next de")
    place.doom.at = None
    complete_begun(place.context)
    assert place.stages.stages[MODEL, 3] == "production"
    assert place.audit().findings == ()


def act_gate(place: Office) -> object:
    return record_gate(place.context, place.report(2), who="ada")


def act_decide(place: Office) -> object:
    return decide(place.context, 2, who="ada")


def act_approve(place: Office) -> object:
    return approve(place.context, 2, who="bob", why="Good.")


def act_reject(place: Office) -> object:
    return reject(place.context, 2, who="bob", why="Bad.")


def recorded() -> Office:
    place = office(2, 1)
    act_gate(place)
    return place


def pending() -> Office:
    place = office(2, 1).under(MANUAL)
    place.judge(2)
    return place


DECISIONS = {
    "gate": Case(lambda: office(2, 1), act_gate, (1, 1)),
    "policy": Case(recorded, act_decide, (1, 1)),
    "approval": Case(pending, act_approve, (1, 1)),
    "rejection": Case(pending, act_reject, (1, 1)),
}


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, case in DECISIONS.items() for number in range(1, writes_of(case) + 1)]
)
def test_a_decision_that_was_killed_is_there_or_not_and_its_tags_follow(name: str, number: int, done: bool) -> None:
    case = DECISIONS[name]
    place, expected = killed(case, number, done), case.before()
    if len(place.kinds) > len(expected.kinds):
        case.act(expected)
    assert place.kinds == expected.kinds
    assert place.context.status(2).state == expected.context.status(2).state
    complete_begun(place.context)
    complete_begun(expected.context)
    assert shown(place) == shown(expected)
    assert place.audit().findings == ()


def test_what_was_begun_is_completed_by_whoever_decides_next() -> None:
    for act in (act_reject, lambda place: promote(place.context, 3, who="bob")):
        place = killed(CHANGES["second promotion"], 1, True)
        assert place.champion == 1
        act(place)
        assert place.champion == 3
    place = killed(CHANGES["second promotion"], 1, True)
    with pytest.raises(WriteConflict, match="the champion of churn_gym changed: it is version 3"):
        act_gate(place)


def test_an_alias_that_was_moved_by_hand_in_between_does_not_stop_what_was_begun() -> None:
    place = killed(CHANGES["second promotion"], 1, True)
    place.registry.set_alias(MODEL, CHAMPION, 2)
    complete_begun(place.context)
    assert place.champion == 3


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name in ("first promotion", "second promotion") for number in (1, 2)]
)
def test_a_change_to_a_version_that_is_gone_is_undone(name: str, number: int) -> None:
    place = killed(CHANGES[name], number, True)
    place.delete(3)
    record = complete_begun(place.context)
    assert record is not None
    assert (record.kind, record.version, record.why) == (
        "undone",
        3,
        "The registry no longer has version 3 as it was judged.",
    )
    assert (place.champion, place.previous) == (CHANGES[name].champions[0], None)
    assert place.context.read().unfinished is None
