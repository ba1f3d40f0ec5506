"""Promotion and rollback: only what is approved goes live, and ledger, aliases and mirror say the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from churn.approval.context import APPROVAL_CHECK
from churn.approval.decide import approve, decide, reject
from churn.approval.promote import Promotion, complete_begun, promote, retire, rollback
from churn.approval.settings import ApprovalSettings
from churn.core.errors import ChurnError, ConfigError, DecisionRefused, NotFound, StoreError, WriteConflict
from churn.ports.ledger import Decision, Entry
from churn.ports.registry import CHALLENGER, CHAMPION
from tests.fakes.data.deciding import FAILING, MANUAL, MODEL, Doom, DoomedLedger, Office, office
from tests.fakes.ports.ledger import altered


def test_the_first_champion_has_no_predecessor() -> None:
    place = office(1)
    place.judge(1)
    done = promote(place.context, 1, who="ada")
    assert (done.version, done.previous, done.kind, done.unchanged) == (1, None, "promotion", False)
    assert (place.champion, place.previous) == (1, None)
    assert place.stages.stages == {(MODEL, 1): "production"}


def test_the_champion_before_is_kept_as_the_previous_one() -> None:
    place = office(2, 1)
    place.judge(2)
    done = promote(place.context, 2, who="bob")
    assert (done.version, done.previous, done.who) == (2, 1, "bob")
    assert done.why.startswith("Approved by policy:auto")
    assert (place.champion, place.previous) == (2, 1)
    assert place.stages.stages == {(MODEL, 1): "archived", (MODEL, 2): "production"}
    assert place.tags(2)[APPROVAL_CHECK] == "Approved"


def test_the_change_is_on_record_before_and_after() -> None:
    place = office(2, 1, 2)
    begun, ended = place.ledger.records[-2:]
    assert (begun.kind, ended.kind) == ("promotion_begun", "promoted")
    for record in (begun, ended):
        assert (record.version, record.champion, record.who) == (2, 1, "ada")
        assert record.digests.items() >= {"model": "digest of 2", "champion": "digest of 1"}.items()
    assert ended.digests["begun"] == begun.hash


def test_the_challenger_keeps_its_alias_and_a_second_run_has_nothing_to_do() -> None:
    place = office(2, 1, 2)
    before, tags = place.kinds, place.tags(2)
    again = promote(place.context, 2, who="bob")
    assert again.unchanged
    assert (again.version, again.previous, again.who) == (2, 1, "ada")
    assert (place.kinds, place.tags(2)) == (before, tags)
    challenger = place.registry.by_alias(MODEL, CHALLENGER)
    assert challenger is not None
    assert challenger.version == 2


def unjudged(place: Office) -> None:
    """Do nothing."""


def refused_by_the_gate(place: Office) -> None:
    place.judge(2, FAILING)


def waiting(place: Office) -> None:
    place.under(MANUAL).judge(2)


def rejected(place: Office) -> None:
    place.judge(2)
    reject(place.context, 2, who="bob", why="No.")


def lapsed(place: Office) -> None:
    place.judge(2)
    place.clock.skip(31)


def tagged_by_hand(place: Office) -> None:
    place.registry.set_tags(MODEL, 2, {APPROVAL_CHECK: "Approved", "gate": "passed"})


@pytest.mark.parametrize(
    ("happened", "told"),
    [
        (unjudged, "The gate has not judged it. Let the gate judge it: `python run.py --pipeline deployment`"),
        (refused_by_the_gate, "Refused by the gate: slices .fail.. Only a new verdict of the gate can reopen it"),
        (waiting, "waits for a person. .*`python run.py approve --version 2"),
        (rejected, "Rejected by bob on .*: No. Only a new verdict"),
        (lapsed, "held until 2024-05-31 .* Let the gate judge it"),
        (tagged_by_hand, "The gate has not judged it"),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_what_is_not_approved_does_not_go_live(happened: Any, told: str, there: bool) -> None:
    place = office(2, *[1] * there)
    happened(place)
    before, written = place.kinds, place.doom.writes
    live = "version 1 stays @Champion" if there else "there is still no @Champion"
    with pytest.raises(DecisionRefused, match=f"Version 2 of churn_gym is not approved, and {live}: .*{told}"):
        promote(place.context, 2, who="ada")
    assert (place.kinds, place.doom.writes) == (before, written)
    assert place.champion == (1 if there else None)


def test_a_promotion_needs_a_version_and_a_name() -> None:
    place = office(1, 1)
    with pytest.raises(NotFound, match="has no version 2; it has 1"):
        promote(place.context, 2, who="ada")
    with pytest.raises(ConfigError, match="needs the name of a person"):
        promote(place.context, 1, who=" ")


@pytest.mark.parametrize("to", [2, None, 3])
def test_an_alias_that_was_moved_by_hand_stops_every_promotion(to: int | None) -> None:
    place = office(3, 1)
    place.judge(3)
    if to is None:
        place.registry.delete_alias(MODEL, CHAMPION)
    else:
        place.registry.set_alias(MODEL, CHAMPION, to)
    there = "nothing" if to is None else f"version {to}"
    told = rf"@Champion of churn_gym names {there}, and version 1 is live.*run.py audit.*run.py rollback"
    with pytest.raises(DecisionRefused, match=told):
        promote(place.context, 3, who="ada")
    assert place.champion == to


def test_an_alias_that_was_set_before_any_decision_is_no_champion() -> None:
    place = office(2)
    place.registry.set_alias(MODEL, CHAMPION, 1)
    with pytest.raises(DecisionRefused, match=r"no version is live by the ledger.*remove the alias in the MLflow UI"):
        promote(place.context, 1, who="ada")


def test_where_the_live_version_was_deleted_the_next_is_a_first_only_once_it_is_retired() -> None:
    place = office(2, 1)
    place.delete(1)
    gone = "Version 1 of churn_gym is live by the ledger, and the registry has it no more"
    with pytest.raises(DecisionRefused, match=f"{gone}.* retire --version 1"):
        place.judge(2)
    with pytest.raises(DecisionRefused, match=gone):
        promote(place.context, 2, who="ada")
    retire(place.context, 1, who="bob", why="The disk was lost.")
    assert place.context.read().live is None
    place.judge(2)
    done = promote(place.context, 2, who="ada")
    assert (done.version, done.previous) == (2, None)
    assert (place.champion, place.previous) == (2, None)
    assert place.audit().findings == ()


def test_a_registry_of_other_models_than_the_ledger_knows_is_acted_on_by_nobody() -> None:
    place = office(3, 1, 2)
    place.make_anew(1)
    acts: list[Callable[[], object]] = [
        lambda: rollback(place.context, who="bob", why="Bad."),
        lambda: rollback(place.context, to=1, who="bob", why="Bad."),
        lambda: place.judge(3),
        lambda: decide(place.context, 3, who="ada"),
        lambda: approve(place.context, 3, who="bob", why="Good."),
        lambda: reject(place.context, 3, who="bob", why="Bad."),
        lambda: promote(place.context, 2, who="ada"),
        lambda: place.context.read().champion,
    ]
    before = len(place.kinds)
    for act in acts:
        with pytest.raises(
            DecisionRefused, match=r"Version 1 of churn_gym in the registry is another model .*record 1"
        ):
            act()
    assert len(place.kinds) == before
    assert place.context.status(1).state == "lapsed"


def test_after_a_lost_registry_was_made_anew_and_retired_nothing_decided_before_holds() -> None:
    place = office(2, 1)
    place.make_anew(1)
    retire(place.context, 1, who="bob", why="The registry was lost.")
    state = place.context.read()
    assert (place.champion, state.live, state.lineage, state.former_champions) == (None, None, (), ())
    assert state.history[-1].until is not None
    assert place.context.status(1).state == "none"
    with pytest.raises(DecisionRefused, match="there is nothing to go back to"):
        rollback(place.context, who="bob", why="Back.")
    with pytest.raises(DecisionRefused, match="was never live by a decision"):
        rollback(place.context, to=1, who="bob", why="Back.")
    assert place.audit().findings == ()
    place.go_live(1)
    assert place.champion == 1
    assert place.audit().findings == ()


def test_after_the_live_version_is_retired_a_rollback_goes_to_the_one_before() -> None:
    place = office(3, 1, 2, 3)
    place.delete(3)
    retire(place.context, 3, who="bob", why="Lost.")
    done = rollback(place.context, who="bob", why="Back.")
    assert (done.version, done.previous, place.champion, place.previous) == (2, None, 2, 1)
    assert place.audit().findings == ()


def test_a_registry_that_lost_its_model_is_told_from_one_that_never_had_it() -> None:
    place = office(1, 1)
    place.delete(1)
    for act in (
        lambda: approve(place.context, 1, who="a", why="x"),
        lambda: rollback(place.context, to=1, who="a", why="x"),
    ):
        with pytest.raises(
            NotFound, match=r"no version of .* any more, and the ledger has 4 records.*retire --version 1"
        ):
            act()
    with pytest.raises(NotFound, match="There is no registered model"):
        Office().context.read().version(1)


def test_a_version_that_the_ledger_does_not_know_cannot_be_retired() -> None:
    with pytest.raises(NotFound, match="The ledger knows no model as version 2 of churn_gym"):
        retire(office(2, 1).context, 2, who="bob", why="Gone.")


def test_a_mirror_that_does_not_answer_stops_nothing_and_is_repaired_by_the_next_run() -> None:
    place = office(2, 1)
    place.judge(2)
    place.stages.down = True
    done = promote(place.context, 2, who="ada")
    [note] = done.notes
    assert note.startswith("The model control plane does not answer")
    assert "The next deployment shows version 2 in production" in note
    assert place.champion == 2
    assert complete_begun(place.context) is None
    place.stages.down = False
    assert place.stages.stages[MODEL, 1] == "production"
    assert complete_begun(place.context) is None
    assert place.stages.stages == {(MODEL, 1): "archived", (MODEL, 2): "production"}


def test_to_complete_nothing_writes_nothing_to_ledger_or_registry() -> None:
    place = office(2, 1)
    before = place.kinds
    assert complete_begun(place.context) is None
    assert complete_begun(Office().context) is None
    assert place.kinds == before


def outcomes(place: Office, *versions: int) -> dict[int, Promotion | ChurnError]:
    """Promote versions at the same time."""
    found: dict[int, Promotion | ChurnError] = {}
    start = threading.Barrier(len(versions))

    def run(version: int) -> None:
        start.wait()
        try:
            found[version] = promote(place.context, version, who=f"user {version}")
        except ChurnError as error:
            found[version] = error

    threads = [threading.Thread(target=run, args=(version,)) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_of_two_promotions_at_once_one_wins_and_the_other_says_so() -> None:
    place = office(3, 1)
    place.judge(2), place.judge(3)
    found = outcomes(place, 2, 3)
    [winner] = [each for each in found.values() if isinstance(each, Promotion)]
    [loser] = [each for each in found.values() if isinstance(each, DecisionRefused)]
    assert f"the champion changed since: it is version {winner.version}" in str(loser)
    assert place.champion == winner.version
    assert place.kinds.count("promoted") == 2


def test_the_same_promotion_twice_at_once_is_one() -> None:
    place = office(2, 1)
    place.judge(2)
    done = promote(place.context, 2, who="ada")
    assert promote(place.context, 2, who="bob").at == done.at
    assert place.kinds.count("promotion_begun") == 2


def test_another_machine_that_decides_at_the_same_time_wins() -> None:
    """A lock holds on one machine; the chain holds everywhere."""
    place = office(3, 1)
    place.judge(2), place.judge(3)
    ours, theirs = place.context, Elsewhere(place)
    with pytest.raises(WriteConflict, match="Somebody else decided"):
        promote(theirs.context, 2, who="ada")
    assert place.champion == 3
    assert ours.status(2).state == "lapsed"


class Elsewhere(Office):
    """The office as another machine sees it, where version 3 goes live between reading the ledger and writing to it."""

    def __init__(self, place: Office) -> None:
        self.settings, self.clock, self.doom = ApprovalSettings(), place.clock, place.doom
        self.registry, self.stages, self.damaged = place.registry, place.stages, place.damaged
        self.ledger = OtherMachine(place)  # type: ignore[assignment]


class OtherMachine:
    """The same records without the lock."""

    def __init__(self, place: Office) -> None:
        self._place = place

    def read(self) -> list[Decision]:
        return self._place.ledger.read()

    def append(self, entry: Entry, *, after: str) -> Decision:
        promote(self._place.context, 3, who="bob")
        return self._place.ledger.append(entry, after=after)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        yield


def older_copy(records: list[Decision]) -> None:
    del records[-1]


def begun_anew(records: list[Decision]) -> None:
    records.clear()


def of_another_data_set(records: list[Decision]) -> None:
    records[:] = office(1, 1).ledger.records


@pytest.mark.parametrize("spoil", [older_copy, begun_anew, of_another_data_set], ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize(
    "act",
    [
        lambda place: promote(place.context, 2, who="ada"),
        lambda place: rollback(place.context, who="ada", why="Bad."),
        lambda place: approve(place.context, 2, who="ada", why="Good."),
        lambda place: reject(place.context, 1, who="ada", why="Bad."),
        lambda place: retire(place.context, 1, who="ada", why="Lost."),
        lambda place: complete_begun(place.context),
        lambda place: place.context.read().champion,
        lambda place: place.context.read().candidate(None),
    ],
)
def test_a_ledger_that_lacks_records_the_registry_knows_of_is_acted_on_by_nobody(
    act: Callable[[Office], object], spoil: Callable[[list[Decision]], None]
) -> None:
    place = office(2, 1)
    place.under(MANUAL).judge(2)
    reject(place.context, 2, who="bob", why="It forgets the north.")
    spoil(place.ledger.records)
    with pytest.raises(DecisionRefused, match=r"names a record .* that the ledger does not hold.*restore the table"):
        act(place)
    told = [finding.problem for finding in place.audit().findings]
    assert any("names a record that the ledger does not hold" in problem for problem in told), "nothing was covered up"


class BehindAtFirst(DoomedLedger):
    """A ledger to which somebody adds all but the first records after it was read once."""

    def __init__(self, records: list[Decision], first: int) -> None:
        super().__init__(Doom())
        self.records, self._first = records, [records[:first]]

    def read(self) -> list[Decision]:
        return self._first.pop() if self._first else super().read()


def test_a_decision_between_reading_ledger_and_registry_is_not_taken_for_a_missing_record() -> None:
    place = office(2, 1)
    known = len(place.ledger.records)
    place.judge(2)
    place.ledger = BehindAtFirst(place.ledger.records, known)
    assert place.context.read().unrecorded == ()


def test_a_version_whose_files_are_damaged_or_gone_does_not_go_live() -> None:
    place = office(4, 1, 2, 3)
    place.judge(4)
    place.damaged = {4: "model.ubj changed.", 2: "Its files are gone."}
    with pytest.raises(DecisionRefused, match=rf"Version 4 of {MODEL} cannot be live: model\.ubj changed"):
        promote(place.context, 4, who="ada")
    with pytest.raises(DecisionRefused, match=r"Version 2 of .* Its files are gone\..*another version .* --to"):
        rollback(place.context, who="ada", why="Bad.")
    assert place.champion == 3
    assert rollback(place.context, to=1, who="ada", why="Bad.").version == 1


def test_a_ledger_that_was_tampered_with_decides_nothing() -> None:
    place = office(2, 1)
    place.judge(2)
    place.ledger.records[1] = altered(place.ledger.records[1], who="mallory")
    told = r"The ledger cannot be trusted.*Record 2 .* was altered.*run\.py audit"
    for attempt in (
        lambda: promote(place.context, 2, who="ada"),
        lambda: approve(place.context, 2, who="ada", why="Good."),
        lambda: place.context.status(2),
    ):
        with pytest.raises(StoreError, match=told):
            attempt()
    assert place.champion == 1


def back(place: Office, to: int | None = None) -> int:
    return rollback(place.context, to=to, who="bob", why="Too many calls.").version


def test_it_goes_back_one_champion_at_a_time() -> None:
    place = office(3, 1, 2, 3)
    assert [back(place), back(place)] == [2, 1]
    assert (place.champion, place.previous) == (1, None)
    with pytest.raises(DecisionRefused, match=r"Before version 1 no version .* nothing to go back to.*run.py models"):
        back(place)
    assert place.champion == 1


def test_the_change_is_on_record_with_who_and_why() -> None:
    place = office(3, 1, 2, 3)
    done = rollback(place.context, who="bob", why="Too many calls.")
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
    assert [live.version for live in place.context.read().history] == [1, 2, 3, 1, 3]


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
    reject(place.context, 2, who="eve", why="It leaks.")
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
        rollback(place.context, who=who, why=why)


@pytest.mark.parametrize("moved_to", [3, None, 1])
@pytest.mark.parametrize("to", [2, None])
def test_it_puts_back_an_alias_that_was_moved_by_hand(moved_to: int | None, to: int | None) -> None:
    place = office(4, 1, 2)
    if moved_to is None:
        place.registry.delete_alias(MODEL, CHAMPION)
    else:
        place.registry.set_alias(MODEL, CHAMPION, moved_to)
    done = rollback(place.context, to=to, who="bob", why="Moved by hand.")
    assert (done.version, done.previous) == (2, moved_to)
    assert (place.champion, place.previous) == (2, 1)
    place.judge(4)
    assert promote(place.context, 4, who="ada").previous == 2


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
    [note] = rollback(place.context, who="bob", why="Bad.").notes
    assert "does not answer" in note
    assert place.champion == 1
