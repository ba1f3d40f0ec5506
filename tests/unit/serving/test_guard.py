"""How often a running endpoint looks at the guardrails of a rollout, and what it writes of that."""

from __future__ import annotations

import logging
from threading import Event

import pytest

from churn.core.errors import StoreError
from churn.core.progress import LOGGER
from serving.guard import guard_until


def notes(caplog: pytest.LogCaptureFixture, *looks: str | StoreError | None) -> list[str]:
    """Return the notes of a guard whose looks end like these."""
    ended, coming = Event(), iter(looks)

    def guard() -> str | None:
        look = next(coming, None)
        if look is None:
            ended.set()
        if isinstance(look, StoreError):
            raise look
        return look

    with caplog.at_level(logging.INFO, LOGGER):
        guard_until(ended, guard, 0.001)
    return [record.getMessage() for record in caplog.records]


def test_an_abort_is_written_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert ["aborted" in line for line in notes(caplog, "The rollout of version 2 is aborted: errors.")] == [True]


def test_a_quiet_look_writes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert notes(caplog) == []


def test_a_store_that_does_not_answer_is_told_once_and_looked_at_again(caplog: pytest.LogCaptureFixture) -> None:
    gone = StoreError("The ledger does not answer.")
    lines = notes(caplog, gone, gone, "The rollout of version 2 is aborted: errors.", gone)
    assert ["could not be looked at" in line for line in lines] == [True, False, True]
