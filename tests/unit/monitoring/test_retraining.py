"""Whether to train anew."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from churn.monitoring.report import Advice, Diagnosis
from churn.monitoring.retraining import advise
from churn.monitoring.settings import MonitoringSettings, RetrainingSettings
from tests.fakes.data.monitored import day


def found(kind: str) -> tuple[Diagnosis, ...]:
    return (
        Diagnosis(
            kind=kind,  # type: ignore[arg-type]
            version=1,
            source="batch",
            window="2024-01-01",
            evidence=("It is.",),
            recommendation="Look.",
        ),
    )


LOSS, BROKEN, DRIFT = found("concept_drift"), found("broken_feed"), found("drift")


def advice(*history: tuple[Diagnosis, ...], **options: Any) -> Advice:
    given: dict[str, Any] = {"trained_at": day(0), "new_outcomes": 500, "now": day(30), **options}
    settings = RetrainingSettings(**given.pop("settings", {}))
    return advise(history, settings=settings, **given)


@pytest.mark.parametrize(
    ("history", "options", "state"),
    [
        ([], {}, "no_reason"),
        ([(), DRIFT], {}, "no_reason"),
        ([(), (), LOSS], {}, "not_persistent"),
        ([LOSS, (), LOSS], {}, "retrain"),
        ([LOSS, LOSS, (), (), LOSS], {}, "not_persistent"),
        ([LOSS, LOSS], {"is_broken": True}, "broken_feed"),
        ([], {"is_broken": True}, "broken_feed"),
        ([LOSS, BROKEN, LOSS], {}, "retrain"),
        ([LOSS, LOSS], {"now": day(29.9)}, "cooling_down"),
        ([LOSS, LOSS], {"trained_at": None, "now": day(1)}, "retrain"),
        ([LOSS, LOSS], {"new_outcomes": 499}, "too_few_outcomes"),
        ([LOSS], {"settings": {"bad_windows": 1}}, "retrain"),
        ([LOSS, LOSS], {"is_of_before": True, "now": day(59.9)}, "cooling_down"),
        ([LOSS, LOSS], {"is_of_before": True, "now": day(60)}, "retrain"),
        ([(), (), LOSS], {"days_apart": 20.5}, "not_persistent"),
        ([(), LOSS, ()], {"days_apart": 21}, "retrain"),
        ([LOSS, (), (), ()], {"days_apart": 30}, "no_reason"),
    ],
)
def test_a_loss_must_persist_time_must_pass_and_outcomes_must_be_new(
    history: list[tuple[Diagnosis, ...]], options: dict[str, Any], state: str
) -> None:
    assert advice(*history, **options).state == state


def test_advice_says_its_figures() -> None:
    assert advice(LOSS, (), LOSS).sentence == (
        "Retrain: 2 of the last 3 windows show a loss, and 500 outcomes are new. The gate decides whether the new "
        "model is "
        "better."
    )
    assert "windows show a loss of the version before" in advice(LOSS, LOSS, is_of_before=True).sentence
    assert "monitoring.retraining asks for 2 of 3" in advice((), LOSS).sentence
    assert "wait until 2024-01-31 00:00 UTC" in advice(LOSS, LOSS, now=day(10)).sentence
    assert "3 outcomes became known since" in advice(LOSS, LOSS, new_outcomes=3).sentence


def test_a_persistence_that_cannot_be_reached_is_refused() -> None:
    with pytest.raises(ValidationError, match="`bad_windows` 4 is more than `of_windows` 3"):
        RetrainingSettings(bad_windows=4)


@pytest.mark.parametrize("given", [{"windows": ("week",)}, {"clocks": ("scoring",)}])
def test_windows_that_are_judged_must_be_measured(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="which must be measured: add it to"):
        MonitoringSettings(**given)
