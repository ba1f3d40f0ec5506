"""The tags of a version say what the ledger says, and who wrote them can be told."""

from __future__ import annotations

import pytest

from churn.approval.approval import record_gate
from churn.approval.rollback import rollback
from churn.approval.tags import APPROVAL_CHECK, DECISION, is_behind, mirrored
from tests.fakes.data.deciding import FAILING, MANUAL, MODEL, office


def test_a_version_the_ledger_does_not_know_has_no_tags() -> None:
    assert mirrored(office(1).governance.look(), 1) == {}


def test_the_newest_verdict_of_the_gate_is_shown() -> None:
    place = office(1)
    place.judge(1, FAILING)
    record_gate(place.governance, place.report(1), who="ada")
    tags = mirrored(place.governance.look(), 1)
    assert (tags["gate"], tags[APPROVAL_CHECK]) == ("passed", "Rejected")


def test_the_hash_is_written_last_so_that_a_tag_that_is_missing_shows() -> None:
    place = office(1)
    place.judge(1)
    assert list(mirrored(place.governance.look(), 1)) == ["gate", APPROVAL_CHECK, DECISION]


def test_a_rollback_speaks_of_two_versions() -> None:
    place = office(2, 1, 2)
    rollback(place.governance, who="bob", why="Bad.")
    now = place.governance.look()
    assert (mirrored(now, 1)[APPROVAL_CHECK], mirrored(now, 2)[APPROVAL_CHECK]) == ("Approved", "Rejected")
    assert mirrored(now, 1)[DECISION] == mirrored(now, 2)[DECISION] == now.ledger[-1].hash


def test_tags_are_behind_until_the_last_of_them_is_written() -> None:
    place = office(2, settings=MANUAL)
    assert not is_behind(place.governance.look(), 1)
    record_gate(place.governance, place.report(1), who="ada")
    assert is_behind(place.governance.look(), 1)
    place.judge(1)
    assert not is_behind(place.governance.look(), 1)
    place.registry.set_tags(MODEL, 1, {DECISION: "f" * 64})
    assert is_behind(place.governance.look(), 1)


@pytest.mark.parametrize("version", [None, 9])
def test_what_is_not_there_is_not_behind(version: int | None) -> None:
    assert not is_behind(office(1, 1).governance.look(), version)


def test_a_tag_that_was_changed_by_hand_is_not_taken_for_one_that_is_behind() -> None:
    place = office(1, 1)
    place.registry.set_tags(MODEL, 1, {APPROVAL_CHECK: "Rejected"})
    assert not is_behind(place.governance.look(), 1)
