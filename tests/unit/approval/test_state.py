"""What was live when, where a rollback goes, and what ledger and registry say together."""

from __future__ import annotations

import datetime as dt

import pytest

from churn.approval.promote import complete_begun, promote
from churn.approval.state import LivePeriod, ModelState
from churn.core.errors import DecisionRefused, NotFound
from churn.ports.ledger import Decision, DecisionKind, Entry
from churn.ports.registry import CHAMPION
from tests.fakes.data.deciding import MODEL, Killed, Office, office

AT = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def state_of(story: str) -> ModelState:
    """Return the state after a story such as `+1 +2 <1`: promoted 1, promoted 2, rolled back to 1, a day each."""
    kinds: dict[str, DecisionKind] = {
        "+": "promoted",
        "<": "rolled_back",
        "?": "promotion_begun",
        "-": "undone",
        "!": "approved",
    }
    records = [
        Decision.chained(
            Entry(
                kind=kinds[step[0]],
                model="m",
                version=int(step[1:]),
                champion=None,
                at=AT + day * DAY,
                who="ada",
                why=step,
            ),
            None,
        )
        for day, step in enumerate(story.split())
    ]
    return ModelState("m", tuple(records), {})


@pytest.mark.parametrize(
    ("story", "line"),
    [
        ("", ()),
        ("!1 ?1", ()),
        ("+1", (1,)),
        ("+1 ?2 -2", (1,)),
        ("+1 +2 +3", (1, 2, 3)),
        ("+1 +2 +3 <2", (1, 2)),
        ("+1 +2 +3 <2 <1", (1,)),
        ("+1 +2 +3 <1", (1,)),
        ("+1 +2 +3 <2 +4", (1, 2, 4)),
        ("+1 +2 +3 <2 +4 <2 <1", (1,)),
        ("+1 +2 +3 <2 <3", (1, 2, 3)),
        ("+1 +2 +1", (1, 2, 1)),
        ("+1 +2 +1 +3 <1", (1, 2, 1)),
        ("+1 +2 <2", (1, 2)),
    ],
)
def test_a_rollback_forgets_the_versions_it_goes_back_over(story: str, line: tuple[int, ...]) -> None:
    assert state_of(story).lineage == line


def test_the_history_has_every_time_without_gaps() -> None:
    assert state_of("?1 +1 !2 +2 -3 <1").history == (
        LivePeriod(1, AT + DAY, AT + 3 * DAY, "ada", "+1"),
        LivePeriod(2, AT + 3 * DAY, AT + 5 * DAY, "ada", "+2"),
        LivePeriod(1, AT + 5 * DAY, None, "ada", "<1"),
    )


def test_nothing_was_live_before_the_first_promotion() -> None:
    assert state_of("!1 ?1 -1").history == ()


def test_an_empty_office_has_nothing() -> None:
    found = Office().context.read()
    assert (found.live, found.champion, found.challenger, found.unfinished) == (None, None, None, None)
    assert (found.history, found.lineage, found.records) == ((), (), ())
    with pytest.raises(NotFound, match=r"no registered model 'churn_gym'.*--pipeline training"):
        found.version(1)


def test_champion_and_challenger_are_two_versions() -> None:
    found = office(3, 1, 2).context.read()
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
    assert place.context.read().predecessor(line) == before


def test_what_is_begun_is_unfinished_until_it_is_ended() -> None:
    place = office(2, 1)
    place.judge(2)
    assert place.context.read().unfinished is None
    place.doom.at = place.doom.writes + 2
    with pytest.raises(Killed, match="before a write"):
        promote(place.context, 2, who="ada")
    begun = place.context.read().unfinished
    assert begun is not None
    assert (begun.kind, begun.version) == ("promotion_begun", 2)
    complete_begun(place.context)
    assert place.context.read().unfinished is None


def test_an_alias_that_was_moved_is_no_champion_and_the_way_back_is_named() -> None:
    place = office(2, 1)
    place.registry.set_alias(MODEL, CHAMPION, 2)
    with pytest.raises(
        DecisionRefused, match=r'names version 2, and version 1 is live.*rollback --reason "…"` puts it'
    ):
        _ = place.context.read().champion


def test_the_digest_of_nothing_is_empty() -> None:
    found = office(1).context.read()
    assert [found.digest(number) for number in (1, 2, None)] == ["digest of 1", "", ""]
