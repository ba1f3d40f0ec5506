"""How decisions are written, who signs them, and what the tags of a version say of them."""

from __future__ import annotations

import pytest

from churn.approval.context import APPROVAL_CHECK, is_behind, mirrored_tags, person, reason
from churn.approval.decide import record_gate
from churn.approval.promote import rollback
from churn.approval.state import DECISION
from churn.core.errors import ConfigError, WriteConflict
from tests.fakes.data.deciding import FAILING, MANUAL, MODEL, office


def test_a_record_is_written_only_where_nobody_wrote_since() -> None:
    place = office(1)
    context = place.context
    before = context.read()
    after = context.write(before, "pending", 1, who="ada", why="Look at it.", champion=None, digests={})
    assert [record.why for record in after.ledger] == ["Look at it."]
    with pytest.raises(WriteConflict, match="nothing was written"):
        context.write(before, "pending", 1, who="bob", why="Me too.", champion=None, digests={})
    again = context.write(after, "pending", 1, who="bob", why="Me too.", champion=None, digests={})
    assert again.ledger == tuple(place.ledger.read())


def test_only_tags_that_differ_are_written() -> None:
    place = office(1, 1)
    state, before = place.context.read(), place.doom.writes
    place.context.tag(state, 1, None, 9)
    assert place.doom.writes == before
    place.registry.set_tags(MODEL, 1, {"gate": "refused"})
    before = place.doom.writes
    place.context.tag(place.context.read(), 1)
    assert place.doom.writes == before + 1
    assert place.tags(1)["gate"] == "passed"


def test_a_name_and_a_reason_stand_on_one_line() -> None:
    assert person("  Ada \t Lovelace\n") == "Ada Lovelace"
    assert reason("Too many\ncalls\x1b[31m!\u202e") == "Too many calls [31m!"
    assert reason("Zu viele Anrufe 📞, ärgerlich") == "Zu viele Anrufe 📞, ärgerlich"


@pytest.mark.parametrize("name", ["policy:auto", "POLICY:manual", " policy:x"])
def test_nobody_signs_as_a_policy(name: str) -> None:
    with pytest.raises(ConfigError, match="is how the settings sign their decisions"):
        person(name)


def test_a_version_the_ledger_does_not_know_has_no_tags() -> None:
    assert mirrored_tags(office(1).context.read(), 1) == {}


def test_the_newest_verdict_of_the_gate_is_shown() -> None:
    place = office(1)
    place.judge(1, FAILING)
    record_gate(place.context, place.report(1), who="ada")
    tags = mirrored_tags(place.context.read(), 1)
    assert (tags["gate"], tags[APPROVAL_CHECK]) == ("passed", "Rejected")


def test_the_hash_is_written_last_so_that_a_tag_that_is_missing_shows() -> None:
    place = office(1)
    place.judge(1)
    assert list(mirrored_tags(place.context.read(), 1)) == ["gate", APPROVAL_CHECK, DECISION]


def test_a_rollback_speaks_of_two_versions() -> None:
    place = office(2, 1, 2)
    rollback(place.context, who="bob", why="Bad.")
    now = place.context.read()
    assert (mirrored_tags(now, 1)[APPROVAL_CHECK], mirrored_tags(now, 2)[APPROVAL_CHECK]) == ("Approved", "Rejected")
    assert mirrored_tags(now, 1)[DECISION] == mirrored_tags(now, 2)[DECISION] == now.ledger[-1].hash


def test_tags_are_behind_until_the_last_of_them_is_written() -> None:
    place = office(2, settings=MANUAL)
    assert not is_behind(place.context.read(), 1)
    record_gate(place.context, place.report(1), who="ada")
    assert is_behind(place.context.read(), 1)
    place.judge(1)
    assert not is_behind(place.context.read(), 1)
    place.registry.set_tags(MODEL, 1, {DECISION: "f" * 64})
    assert is_behind(place.context.read(), 1)


@pytest.mark.parametrize("version", [None, 9])
def test_what_is_not_there_is_not_behind(version: int | None) -> None:
    assert not is_behind(office(1, 1).context.read(), version)


def test_a_tag_that_was_changed_by_hand_is_not_taken_for_one_that_is_behind() -> None:
    place = office(1, 1)
    place.registry.set_tags(MODEL, 1, {APPROVAL_CHECK: "Rejected"})
    assert not is_behind(place.context.read(), 1)
