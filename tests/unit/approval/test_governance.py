"""How decisions are written."""

from __future__ import annotations

import datetime as dt

import pytest

from churn.approval.governance import Governance, person, reason
from churn.core.errors import ConfigError, WriteConflict
from tests.fakes.data.deciding import MODEL, office


def test_a_record_is_written_only_where_nobody_wrote_since() -> None:
    place = office(1)
    governance = place.governance
    before = governance.look()
    after = governance.write(before, "pending", 1, who="ada", why="Look at it.", champion=None, digests={})
    assert [record.why for record in after.ledger] == ["Look at it."]
    with pytest.raises(WriteConflict, match="nothing was written"):
        governance.write(before, "pending", 1, who="bob", why="Me too.", champion=None, digests={})
    again = governance.write(after, "pending", 1, who="bob", why="Me too.", champion=None, digests={})
    assert again.ledger == tuple(place.ledger.read())


def test_only_tags_that_differ_are_written() -> None:
    place = office(1, 1)
    situation, before = place.governance.look(), place.doom.writes
    place.governance.tag(situation, 1, None, 9)
    assert place.doom.writes == before
    place.registry.set_tags(MODEL, 1, {"gate": "refused"})
    before = place.doom.writes
    place.governance.tag(place.governance.look(), 1)
    assert place.doom.writes == before + 1
    assert place.tags(1)["gate"] == "passed"


def test_the_clock_tells_utc_unless_another_is_given() -> None:
    place = office(1)
    governance = Governance(place.registry, place.ledger, place.stages, MODEL, place.settings)
    assert governance.clock().utcoffset() == dt.timedelta(0)


def test_a_name_and_a_reason_stand_on_one_line() -> None:
    assert person("  Ada \t Lovelace\n") == "Ada Lovelace"
    assert reason("Too many\ncalls\x1b[31m!\u202e") == "Too many calls [31m!"
    assert reason("Zu viele Anrufe 📞, ärgerlich") == "Zu viele Anrufe 📞, ärgerlich"


@pytest.mark.parametrize("name", ["policy:auto", "POLICY:manual", " policy:x"])
def test_nobody_signs_as_a_policy(name: str) -> None:
    with pytest.raises(ConfigError, match="is how the settings sign their decisions"):
        person(name)
