"""The audit names what does not fit, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from churn.approval.audit import Audit
from churn.approval.context import APPROVAL_CHECK
from churn.approval.promote import promote, retire, rollback
from churn.approval.state import DECISION
from churn.core.errors import ConfigError, NotFound
from churn.ports.ledger import Decision, Entry
from churn.ports.registry import CHAMPION, MODEL_DIGEST, PREVIOUS_CHAMPION
from tests.fakes.data.deciding import FAILING, MANUAL, MODEL, START, Killed, Office, office
from tests.fakes.ports.ledger import altered


def found(place: Office) -> list[tuple[str, str]]:
    return found_in(place.audit())


def found_in(done: Audit) -> list[tuple[str, str]]:
    return [(finding.subject, finding.problem) for finding in done.findings]


def everything_at_once() -> Office:
    place = office(5, 1, 2, 3)
    rollback(place.context, who="bob", why="Bad.")
    place.judge(4, FAILING)
    place.under(MANUAL).judge(5)
    return place


@pytest.mark.parametrize(
    "make", [lambda: office(2), lambda: office(1, 1), everything_at_once], ids=["new", "first", "all"]
)
def test_where_everything_fits_there_is_nothing_to_say(make: Callable[[], Office]) -> None:
    place = make()
    done = place.audit()
    assert done.findings == ()
    assert (done.records, done.versions) == (len(place.kinds), len(place.context.read().versions))


def a_record_altered(place: Office) -> None:
    place.ledger.records[1] = altered(place.ledger.records[1], who="mallory")


def missing(place: Office) -> None:
    del place.ledger.records[1]


def alias_moved(place: Office) -> None:
    place.registry.set_alias(MODEL, CHAMPION, 3)


def alias_removed(place: Office) -> None:
    place.registry.delete_alias(MODEL, CHAMPION)


def previous_moved(place: Office) -> None:
    place.registry.set_alias(MODEL, PREVIOUS_CHAMPION, 3)


def tagged(place: Office) -> None:
    place.registry.set_tags(MODEL, 3, {APPROVAL_CHECK: "Approved"})


def tag_changed(place: Office) -> None:
    place.registry.set_tags(MODEL, 2, {APPROVAL_CHECK: "Rejected"})


def check_changed(place: Office) -> None:
    place.registry.set_tags(MODEL, 2, {"gate": "refused"})


def digest_changed(place: Office) -> None:
    place.registry.set_tags(MODEL, 1, {MODEL_DIGEST: "another"})


def cut_off(place: Office) -> None:
    """Remove the last promotion with everything that led to it, and its traces."""
    del place.ledger.records[4:]
    place.registry.set_alias(MODEL, CHAMPION, 1)
    place.registry.delete_alias(MODEL, PREVIOUS_CHAMPION)


FAULTS = {
    a_record_altered: [("ledger", "Record 2 .* was altered")],
    missing: [("ledger", "Before record 3, 1 missing: 2 to 2"), ("record 4", "promoted without an approval")],
    alias_moved: [("@Champion", "names version 3, and by the ledger it should name version 2")],
    alias_removed: [("@Champion", "names nothing, and by the ledger it should name version 2")],
    previous_moved: [("@PreviousChampion", "names version 3, and by the ledger it should name version 1")],
    tagged: [("version 3", "tag Approval_Check is 'Approved', and by the ledger it should be 'missing'")],
    tag_changed: [("version 2", "tag Approval_Check is 'Rejected', and by the ledger it should be 'Approved'")],
    check_changed: [("version 2", "tag gate is 'refused', and by the ledger it should be 'passed'")],
    digest_changed: [("version 1", "model digest is another, and record 1 was about digest of 1")],
    cut_off: [
        ("version 2", "tag Approval_Check is 'Approved', and by the ledger it should be 'missing'"),
        ("version 2", "tag decision names a record that the ledger does not hold"),
    ],
}


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda spoil: spoil.__name__)
def test_each_fault_is_named_and_nothing_else(spoil: Callable[[Office], None]) -> None:
    place = office(3, 1, 2)
    spoil(place)
    findings, expected = found(place), FAULTS[spoil]
    assert [subject for subject, _ in findings] == [subject for subject, _ in expected]
    for (_, text), (_, pattern) in zip(findings, expected, strict=True):
        assert re.search(pattern, text), text


def test_a_version_that_was_judged_and_is_gone_is_named() -> None:
    place = office(3, 1, 2, 3)
    place.delete(2)
    assert ("version 2", "The ledger knows it (record 8), and the registry has it no more.") in found(place)


def test_a_model_that_nobody_knows_is_refused() -> None:
    with pytest.raises(NotFound, match=f"Neither the ledger nor the registry knows a model '{MODEL}'"):
        Office().audit()


def test_a_damaged_package_and_a_lost_report_are_named() -> None:
    place = office(2, 1)
    place.damaged[2] = "model.ubj changed since it was built."
    place.lost.add(place.ledger.records[0].digests["gate_report"])
    assert [subject for subject, _ in found(place)] == ["version 2", "record 1"]
    assert (place.audit().reports, place.audit().versions) == (1, 2)


def test_a_damaged_package_that_was_retired_is_named_no_more() -> None:
    place = office(2, 1)
    place.damaged[1] = "model.ubj changed since it was built."
    retire(place.context, 1, who="bob", why="The disk damaged it.")
    assert found(place) == []
    place.judge(1)
    assert [subject for subject, _ in found(place)] == ["version 1"]


def test_every_record_of_a_version_is_held_against_it_not_the_last_alone() -> None:
    place = office(2, 1)
    forged = dict(place.ledger.records[-1].digests) | {"model": "another model 1"}
    place.make_anew(1)
    last = place.ledger.records[-1]
    entry = Entry(kind="promoted", model=MODEL, version=1, champion=None, at=last.at, who="m", why="x", digests=forged)
    place.ledger.append(entry, after=last.hash)
    assert ("version 1", "Its model digest is another model 1, and record 1 was about digest of 1.") in found(place)


def test_a_record_that_is_older_than_the_one_before_it_is_named() -> None:
    place = office(2, 1)
    place.clock.skip(-3)
    place.judge(2)
    assert place.audit().findings[0].subject == "record 5"
    assert "a clock was wrong, or set back" in place.audit().findings[0].problem


def test_a_hash_that_was_kept_elsewhere_must_be_there() -> None:
    place = office(2, 1)
    head = place.audit().head
    assert head == place.ledger.records[-1].hash
    place.judge(2)
    assert place.audit(expect=head).findings == ()
    assert place.audit(expect=head[:12]).findings == ()
    del place.ledger.records[2:]
    assert found_in(place.audit(expect=head))[0][0] == "ledger"
    with pytest.raises(ConfigError, match="--expect 'ab' is too short"):
        place.audit(expect="ab")


def test_a_whole_ledger_that_was_written_anew_is_told_by_the_tags() -> None:
    place = office(2, 1, 2)
    last: Decision | None = None
    forged = []
    for record in place.ledger.records:
        entry = Entry.model_validate({name: getattr(record, name) for name in Entry.model_fields} | {"who": "mallory"})
        last = Decision.chained(entry, last)
        forged.append(last)
    place.ledger.records[:] = forged
    assert [subject for subject, _ in found(place)] == ["version 1", "version 2"]
    assert all(f"tag {DECISION} names a record that the ledger does not hold" in text for _, text in found(place))


def test_a_change_that_was_not_ended_is_named_and_its_aliases_are_not() -> None:
    place = office(2, 1)
    place.judge(2)
    place.doom.at = place.doom.writes + 3
    with pytest.raises(Killed, match="before a write"):
        promote(place.context, 2, who="ada")
    [(subject, text)] = found(place)
    assert subject == "record 7"
    assert "promotion to version 2 by ada was begun on 2024-05-01" in text


def test_a_promotion_without_an_approval_is_named_even_where_the_chain_holds() -> None:
    place = office(1)
    entry = Entry(kind="promoted", model=MODEL, version=1, champion=None, at=START, who="mallory", why="Mine.")
    place.ledger.append(entry, after="")
    place.registry.set_alias(MODEL, CHAMPION, 1)
    assert ("record 1", "Version 1 was promoted without an approval on record.") in found(place)


def test_every_finding_comes_with_a_remedy() -> None:
    for spoil in FAULTS:
        place = office(3, 1, 2)
        spoil(place)
        findings = place.audit().findings
        assert findings
        assert all(finding.remedy for finding in findings)


def test_an_audit_writes_nothing() -> None:
    place = office(3, 1, 2)
    alias_moved(place)
    before = place.doom.writes
    place.audit()
    assert place.doom.writes == before
