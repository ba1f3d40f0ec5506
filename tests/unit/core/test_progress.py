"""The events of a run, as a display hears them and as a log keeps them."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from churn.core.progress import LOGGER, ProgressEvent, advance, note, stage


class Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.events: list[ProgressEvent] = []
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.events.append(record.__dict__["event"])
        self.texts.append(record.getMessage())


@pytest.fixture
def heard() -> Iterator[Listener]:
    listener, logger = Listener(), logging.getLogger(LOGGER)
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(listener)
    yield listener
    logger.removeHandler(listener)
    logger.setLevel(level)


def test_a_stage_starts_goes_on_and_finishes(heard: Listener) -> None:
    with stage("tune"):
        advance("tune", 3, 20, "best log loss 0.41")
        note("tune", "The gain was within its noise.")
    assert heard.events == [
        ProgressEvent("started", "tune"),
        ProgressEvent("advanced", "tune", "best log loss 0.41", 3, 20),
        ProgressEvent("noted", "tune", "The gain was within its noise."),
        ProgressEvent("finished", "tune"),
    ]


@pytest.mark.parametrize("error", [ValueError("too few rows"), KeyboardInterrupt("by hand")])
def test_a_stage_that_ends_early_has_failed_and_hides_nothing(heard: Listener, error: BaseException) -> None:
    with pytest.raises(type(error), match=str(error)) as caught, stage("tune"):
        raise error
    assert caught.value is error
    assert [event.kind for event in heard.events] == ["started", "failed"]


def test_a_log_can_be_read_without_a_display(heard: Listener) -> None:
    with stage("tune"):
        advance("tune", 3, 20, "best log loss 0.41")
        note("tune", "done")
    assert heard.texts == ["tune started", "tune 3/20 best log loss 0.41", "tune: done", "tune finished"]


def test_values_with_percent_signs_stay_as_they_are(heard: Listener) -> None:
    note("ingest", "5% of %s rows")
    assert heard.texts == ["ingest: 5% of %s rows"]


def test_nobody_has_to_listen(capfd: pytest.CaptureFixture[str]) -> None:
    with stage("tune"):
        note("tune", "unheard")
    assert capfd.readouterr() == ("", "")
