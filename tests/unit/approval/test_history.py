"""What was live when, and where a rollback goes, from the records alone."""

from __future__ import annotations

import datetime as dt

import pytest

from churn.approval.history import Live, history, lineage
from churn.ports.ledger import Decision, Entry, Kind

AT = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def told(story: str) -> list[Decision]:
    """Return the records of a story such as `+1 +2 <1`: promoted 1, promoted 2, rolled back to 1, a day each."""
    kinds: dict[str, Kind] = {
        "+": "promoted",
        "<": "rolled_back",
        "?": "promotion_begun",
        "-": "undone",
        "!": "approved",
    }
    return [
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
    assert lineage(told(story)) == line


def test_the_history_has_every_time_without_gaps() -> None:
    assert history(told("?1 +1 !2 +2 -3 <1")) == (
        Live(1, AT + DAY, AT + 3 * DAY, "ada", "+1"),
        Live(2, AT + 3 * DAY, AT + 5 * DAY, "ada", "+2"),
        Live(1, AT + 5 * DAY, None, "ada", "<1"),
    )


def test_nothing_was_live_before_the_first_promotion() -> None:
    assert history(told("!1 ?1 -1")) == ()
