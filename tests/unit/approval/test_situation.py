"""What ledger and registry say together."""

from __future__ import annotations

import pytest

from churn.approval.promotion import complete_unfinished, promote
from churn.approval.situation import Situation
from churn.core.errors import DecisionRefused, NotFound
from churn.ports.registry import CHAMPION
from tests.fakes.data.deciding import MODEL, Killed, Office, office


def test_an_empty_office_has_nothing() -> None:
    found = Office().governance.look()
    assert (found.live, found.champion, found.challenger, found.unfinished) == (None, None, None, None)
    assert (found.history, found.lineage, found.records) == ((), (), ())
    with pytest.raises(NotFound, match=r"no registered model 'churn_gym'.*--pipeline training"):
        found.version(1)


def test_champion_and_challenger_are_told_apart() -> None:
    found = office(3, 1, 2).governance.look()
    assert (found.live, found.champion, found.challenger) == (2, found.versions[2], found.versions[3])
    assert [live.version for live in found.history] == [1, 2]


@pytest.mark.parametrize(
    ("line", "gone", "before"),
    [
        ((1,), (), None),
        ((1, 2), (), 1),
        ((1, 2, 3), (2,), 1),
        ((1, 2), (1,), None),
        ((1, 2, 1), (2,), None),
        ((2, 1, 2), (), 1),
    ],
)
def test_the_predecessor_is_the_last_other_version_that_is_still_there(
    line: tuple[int, ...], gone: tuple[int, ...], before: int | None
) -> None:
    place = office(3)
    for version in gone:
        place.delete(version)
    assert place.governance.look().predecessor(line) == before


def test_what_is_begun_is_unfinished_until_it_is_ended() -> None:
    place = office(2, 1)
    place.judge(2)
    assert place.governance.look().unfinished is None
    place.doom.at = place.doom.writes + 2
    with pytest.raises(Killed, match="before a write"):
        promote(place.governance, 2, who="ada")
    begun = place.governance.look().unfinished
    assert begun is not None
    assert (begun.kind, begun.version) == ("promotion_begun", 2)
    complete_unfinished(place.governance, who="ada")
    assert place.governance.look().unfinished is None


def test_an_alias_that_was_moved_is_no_champion_and_the_way_back_is_named() -> None:
    place = office(2, 1)
    place.registry.set_alias(MODEL, CHAMPION, 2)
    with pytest.raises(
        DecisionRefused, match=r'names version 2, and version 1 is live.*rollback --reason "…"` puts it'
    ):
        _ = place.governance.look().champion


def test_the_digest_of_nothing_is_empty() -> None:
    found = office(1).governance.look()
    assert isinstance(found, Situation)
    assert [found.digest(number) for number in (1, 2, None)] == ["digest of 1", "", ""]
