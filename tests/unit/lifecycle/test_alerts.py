"""Alerts as a use case: one message for what is new, one for what is over, and nothing lost on the way."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from churn.core.errors import StoreError
from churn.data.contract import DatasetContract
from churn.lifecycle.alerts import Alerted, alert, alert_book, send_waiting
from churn.lifecycle.retraining import announce
from churn.lifecycle.retraining_result import Retraining
from churn.lifecycle.workspace import Workspace
from churn.monitoring.report import Advice, Diagnosis, MonitoringReport, Window
from tests.fakes.data.customers import CONTRACT
from tests.fakes.ports.alerts import InMemoryAlerts
from tests.fakes.ports.files import InMemoryFiles
from tests.fakes.ports.tables import MemoryFeatureStore

START = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)


class Desk:
    """A data set with two channels, whose monitoring found this or that."""

    def __init__(self, contract: DatasetContract = CONTRACT) -> None:
        self.files, self.first, self.second = InMemoryFiles(), InMemoryAlerts(), _Other()
        self.runs = 0
        store = MemoryFeatureStore(contract.name)
        made = {"files": lambda: self.files, "tables": lambda: store, "alerts": lambda: [self.first, self.second]}
        self.workspace = Workspace(contract, "churn_toy", 1, lambda: START, made)

    def run(
        self, *kinds: str, advice: str = "no_reason", live: int | None = 1, dry: bool = False, **of: Any
    ) -> Alerted:
        """Send the alerts of a run that found these kinds of diagnoses."""
        self.runs += 1
        source = of.pop("source", "batch")
        now = START + dt.timedelta(days=self.runs)
        diagnoses = tuple(
            Diagnosis(
                kind=kind,  # type: ignore[arg-type]
                version=live or 1,
                source=source,
                window=f"{now:%Y-%m-%d}",
                evidence=(f"Figure {self.runs}.",),
                recommendation="Look.",
            )
            for kind in kinds
        )
        windows = of.pop("windows", (Window(version=live or 1, source=source, start=now, end=now, rows=500),))
        report = MonitoringReport(
            dataset="toy",
            model="churn_toy",
            live=live,
            currency="USD",
            at=now,
            length="day",
            measured=1,
            unchanged=0,
            windows=windows,
            diagnoses=diagnoses,
            advice=Advice(state=advice, sentence="It is."),  # type: ignore[arg-type]
        )
        return alert(self.workspace, report, "/page.html", dry=dry)

    @property
    def arrived(self) -> list[tuple[str, str, str]]:
        return [(notice.event, notice.severity, notice.kind) for notice in self.first.notices]


class _Other(InMemoryAlerts):
    name = "other"


OPENED = ("opened", "warning", "concept_drift")


def test_the_same_diagnosis_is_said_once_and_its_end_once() -> None:
    desk = Desk()
    for _ in range(3):
        desk.run("concept_drift")
    assert desk.arrived == [OPENED]
    desk.run()
    desk.run()
    assert desk.arrived == [OPENED, ("resolved", "warning", "concept_drift")]
    assert desk.second.notices == desk.first.notices
    assert desk.first.notices[1].evidence == ("It was found at 2025-06-02 00:00 UTC and is over.",)
    assert desk.run("concept_drift").notices[0].event == "opened", "what comes back is new"


def test_another_severity_is_said_once() -> None:
    desk = Desk()
    desk.run("concept_drift")
    for _ in range(2):
        desk.run("concept_drift", advice="cooling_down")
    assert desk.arrived == [OPENED, ("changed", "critical", "concept_drift")]


CALLED = ("opened", "critical", "retraining")


def test_that_retraining_is_called_for_is_said_although_the_newest_window_shows_no_loss() -> None:
    desk = Desk()
    for _ in range(2):
        desk.run(advice="retrain")
    assert desk.arrived == [CALLED]
    (notice,) = desk.first.notices
    assert (notice.title, notice.evidence) == ("retraining is called for", ("It is.",))
    assert "--pipeline retraining" in notice.recommendation
    desk.run(advice="too_few_outcomes")
    assert desk.arrived == [CALLED], "the loss is not over"
    desk.run()
    assert desk.arrived == [CALLED, ("resolved", "critical", "retraining")]


def outcome(state: str, version: int = 2, live: int = 1) -> Retraining:
    advice = Advice(state="retrain", sentence="It is.")
    told = {"model": "churn_toy", "at": START, "advice": advice, "before": 1, "version": version, "live": live}
    return Retraining(**told, state=state, sentence=f"{state}: 0.1 differs.")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "severity", "told"),
    [
        ("kept", "warning", "Newer outcomes alone do not help"),
        ("same_model", "warning", "Newer outcomes alone do not help"),
        ("waiting", "warning", "approve --version 2"),
        ("rollout", "warning", "rollout start --version 2"),
        ("taken_back", "critical", "endpoint logs"),
    ],
)
def test_what_became_of_a_retraining_is_said_with_its_figures_and_what_to_do(
    state: str, severity: str, told: str
) -> None:
    desk = Desk()
    desk.run(advice="retrain")
    announce(desk.workspace, outcome(state), "/retraining.html")
    desk.run(advice="cooling_down")
    assert desk.arrived == [CALLED, ("changed", severity, "retraining")]
    notice = desk.first.notices[-1]
    assert (notice.evidence, notice.page) == ((f"{state}: 0.1 differs.",), "/retraining.html")
    assert told in notice.recommendation
    assert [alert.kind for alert in alert_book(desk.workspace).opened.values()] == ["retraining"]


def test_a_retraining_that_helped_ends_the_alert_with_its_figures() -> None:
    desk = Desk()
    desk.run(advice="retrain")
    announce(desk.workspace, outcome("promoted", live=2), None)
    assert [event for event, _, _ in desk.arrived] == ["opened", "resolved"]
    assert desk.first.notices[-1].evidence == ("promoted: 0.1 differs.",)
    assert alert_book(desk.workspace).opened == {}


def test_a_retraining_that_does_not_help_is_asked_for_again_once_it_is_called_for_again() -> None:
    desk = Desk()
    desk.run(advice="retrain")
    announce(desk.workspace, outcome("kept"), None)
    desk.run(advice="retrain")
    assert [event for event, _, _ in desk.arrived] == ["opened", "changed", "changed"]


def test_a_retraining_that_was_not_called_for_is_not_said() -> None:
    desk = Desk()
    told = {"model": "churn_toy", "at": START, "advice": Advice(state="no_reason", sentence="No.")}
    announce(desk.workspace, Retraining(**told, state="not_called_for", sentence="No."), None)  # type: ignore[arg-type]
    assert desk.files.content == {}


def test_each_diagnosis_and_each_source_has_an_alert_of_its_own() -> None:
    desk = Desk()
    desk.run("broken_feed", "late_labels")
    desk.run("broken_feed", source="endpoint")
    opened = {(notice.kind, notice.source, notice.severity) for notice in alert_book(desk.workspace).opened.values()}
    assert opened == {
        ("broken_feed", "batch", "critical"),
        ("late_labels", "batch", "warning"),
        ("broken_feed", "endpoint", "critical"),
    }


@pytest.mark.parametrize("kind", ["drift", "too_little_data", "treated_labels"])
def test_what_asks_nobody_to_act_makes_no_alert(kind: str) -> None:
    desk = Desk()
    assert desk.run(kind) == Alerted()
    assert desk.files.content == {}


@pytest.mark.parametrize("options", [{"windows": ()}, {"live": None}])
def test_a_run_that_could_judge_nothing_ends_no_alert(options: dict[str, Any]) -> None:
    desk = Desk()
    desk.run("concept_drift")
    desk.run(**options)
    assert desk.arrived == [OPENED]


def test_a_window_with_too_few_rows_ends_no_alert() -> None:
    desk = Desk()
    desk.run("broken_feed")
    desk.run("too_little_data")
    assert len(desk.arrived) == 1


def test_an_alert_about_a_version_that_is_no_longer_live_is_over() -> None:
    desk = Desk()
    desk.run("concept_drift")
    desk.run(live=2)
    assert desk.first.notices[-1].event == "resolved"
    assert desk.first.notices[-1].evidence == ("Version 1 is no longer live.",)


def test_a_channel_that_fails_keeps_nobody_else_waiting_and_gets_its_notices_later_in_order() -> None:
    desk = Desk()
    desk.second.refuses = True
    outcome = desk.run("broken_feed", "late_labels")
    assert [(waiting.channel, waiting.attempts, waiting.reason) for waiting in outcome.waiting] == [
        ("other", 1, "Nobody answers."),
        ("other", 0, "Nobody answers."),
    ]
    assert len(desk.first.notices) == 2
    desk.second.refuses = False
    assert desk.run("broken_feed", "late_labels").waiting == ()
    assert desk.second.notices == desk.first.notices
    assert send_waiting(desk.workspace).waiting == ()


def test_a_process_that_ends_while_it_sends_loses_nothing() -> None:
    desk = Desk()

    class Killed(BaseException):
        pass

    def killed(notice: Any) -> None:
        raise Killed

    desk.first.send = killed  # type: ignore[method-assign]
    with pytest.raises(Killed):
        desk.run("broken_feed")
    del desk.first.send
    assert len(send_waiting(desk.workspace).opened) == 1
    assert [len(desk.first.notices), len(desk.second.notices)] == [1, 1]
    desk.run("broken_feed")
    assert len(desk.first.notices) == 1


def test_a_dry_run_says_what_would_be_sent_and_leaves_nothing() -> None:
    desk = Desk()
    outcome = desk.run("broken_feed", dry=True)
    assert [(notice.event, notice.kind, notice.page) for notice in outcome.notices] == [
        ("opened", "broken_feed", "/page.html")
    ]
    assert (desk.files.content, desk.first.notices) == ({}, [])


def test_a_record_of_alerts_that_is_damaged_is_said() -> None:
    desk = Desk()
    desk.files.put("alerts/toy.json", [b"{"])
    with pytest.raises(StoreError, match="This record of alerts is no JSON text"):
        desk.run("broken_feed")


def test_a_notice_has_evidence_and_the_place_of_the_page_in_its_text() -> None:
    desk = Desk()
    (notice,) = desk.run("broken_feed").notices
    assert notice.subject == "[churn] critical: toy: broken feed (batch)"
    assert notice.text == (
        "broken feed (batch): churn_toy version 1, 2025-06-02.\nFigure 1.\nWhat to do: Look.\nPage: /page.html"
    )
