"""Promotion: only what is approved goes live, and the ledger, the aliases and the mirror say the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from churn.approval.approval import approve, reject, standing
from churn.approval.promotion import Promotion, complete_unfinished, promote
from churn.approval.settings import ApprovalSettings
from churn.approval.tags import APPROVAL_CHECK
from churn.core.errors import ChurnError, ConfigError, DecisionRefused, NotFound, StoreError, WriteConflict
from churn.ports.ledger import Decision, Entry
from churn.ports.registry import CHALLENGER, CHAMPION
from tests.fakes.data.deciding import FAILING, MANUAL, MODEL, Office, office
from tests.fakes.ports.ledger import altered


def test_the_first_champion_has_no_predecessor() -> None:
    place = office(1)
    place.judge(1)
    done = promote(place.governance, 1, who="ada")
    assert (done.version, done.previous, done.kind, done.unchanged) == (1, None, "promotion", False)
    assert (place.champion, place.previous) == (1, None)
    assert place.stages.stages == {(MODEL, 1): "production"}


def test_the_champion_before_is_kept_as_the_previous_one() -> None:
    place = office(2, 1)
    place.judge(2)
    done = promote(place.governance, 2, who="bob")
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
    again = promote(place.governance, 2, who="bob")
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
    reject(place.governance, 2, who="bob", why="No.")


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
        promote(place.governance, 2, who="ada")
    assert (place.kinds, place.doom.writes) == (before, written)
    assert place.champion == (1 if there else None)


def test_a_promotion_needs_a_version_and_a_name() -> None:
    place = office(1, 1)
    with pytest.raises(NotFound, match="has no version 2; it has 1"):
        promote(place.governance, 2, who="ada")
    with pytest.raises(ConfigError, match="needs the name of a person"):
        promote(place.governance, 1, who=" ")
    with pytest.raises(ConfigError, match="needs the name of a person"):
        complete_unfinished(place.governance, who="")


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
        promote(place.governance, 3, who="ada")
    assert place.champion == to


def test_an_alias_that_was_set_before_any_decision_is_no_champion() -> None:
    place = office(2)
    place.registry.set_alias(MODEL, CHAMPION, 1)
    with pytest.raises(DecisionRefused, match=r"no version is live by the ledger.*remove the alias in the MLflow UI"):
        promote(place.governance, 1, who="ada")


def test_where_the_live_version_was_deleted_the_next_is_a_first() -> None:
    place = office(2, 1)
    place.delete(1)
    place.judge(2)
    done = promote(place.governance, 2, who="ada")
    assert (done.version, done.previous) == (2, None)
    assert (place.champion, place.previous) == (2, None)


def test_a_mirror_that_does_not_answer_stops_nothing_and_is_repaired_by_the_next_run() -> None:
    place = office(2, 1)
    place.judge(2)
    place.stages.down = True
    done = promote(place.governance, 2, who="ada")
    [note] = done.notes
    assert note.startswith("The model control plane does not answer")
    assert "The next deployment shows version 2 in production" in note
    assert place.champion == 2
    assert complete_unfinished(place.governance, who="ada") is None
    place.stages.down = False
    assert place.stages.stages[MODEL, 1] == "production"
    assert complete_unfinished(place.governance, who="ada") is None
    assert place.stages.stages == {(MODEL, 1): "archived", (MODEL, 2): "production"}


def test_to_complete_nothing_writes_nothing_to_ledger_or_registry() -> None:
    place = office(2, 1)
    before = place.kinds
    assert complete_unfinished(place.governance, who="ada") is None
    assert complete_unfinished(Office().governance, who="ada") is None
    assert place.kinds == before


def outcomes(place: Office, *versions: int) -> dict[int, Promotion | ChurnError]:
    """Promote versions at the same time."""
    found: dict[int, Promotion | ChurnError] = {}
    start = threading.Barrier(len(versions))

    def run(version: int) -> None:
        start.wait()
        try:
            found[version] = promote(place.governance, version, who=f"user {version}")
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
    done = promote(place.governance, 2, who="ada")
    assert promote(place.governance, 2, who="bob").at == done.at
    assert place.kinds.count("promotion_begun") == 2


def test_another_machine_that_decides_at_the_same_time_wins() -> None:
    """A lock holds on one machine; the chain holds everywhere."""
    place = office(3, 1)
    place.judge(2), place.judge(3)
    ours, theirs = place.governance, Elsewhere(place)
    with pytest.raises(WriteConflict, match="Somebody else decided"):
        promote(theirs.governance, 2, who="ada")
    assert place.champion == 3
    assert standing(ours, 2).state == "lapsed"


class Elsewhere(Office):
    """The office as another machine sees it, where version 3 goes live between reading the ledger and writing to it."""

    def __init__(self, place: Office) -> None:
        self.settings, self.clock, self.doom = ApprovalSettings(), place.clock, place.doom
        self.registry, self.stages = place.registry, place.stages
        self.ledger = OtherMachine(place)  # type: ignore[assignment]


class OtherMachine:
    """The same records without the lock."""

    def __init__(self, place: Office) -> None:
        self._place = place

    def read(self) -> list[Decision]:
        return self._place.ledger.read()

    def append(self, entry: Entry, *, after: str) -> Decision:
        promote(self._place.governance, 3, who="bob")
        return self._place.ledger.append(entry, after=after)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        yield


def test_a_ledger_that_was_tampered_with_decides_nothing() -> None:
    place = office(2, 1)
    place.judge(2)
    place.ledger.records[1] = altered(place.ledger.records[1], who="mallory")
    told = r"The ledger cannot be trusted.*Record 2 .* was altered.*run\.py audit"
    for attempt in (
        lambda: promote(place.governance, 2, who="ada"),
        lambda: approve(place.governance, 2, who="ada", why="Good."),
        lambda: standing(place.governance, 2),
    ):
        with pytest.raises(StoreError, match=told):
            attempt()
    assert place.champion == 1
