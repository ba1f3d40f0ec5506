"""What a list of runs says of each run."""

from __future__ import annotations

from typing import Any

import pytest

from churn.gate.report import GateReport
from reports.tags import batch_tags, deployment_tags, gate_tag, release_tags, training_tag
from tests.fakes.data.batches import feature_rows, summary_of
from tests.fakes.data.findings import REGISTRATION
from tests.fakes.data.gate_reports import DEPLOYMENT, FAILED, RELEASE, gate_report

pytestmark = pytest.mark.slow


def failing(*names: str) -> GateReport:
    return gate_report(checks=tuple(FAILED.model_copy(update={"name": name}) for name in names))


@pytest.mark.parametrize(
    ("report", "tag"),
    [
        (gate_report(), "passed: v5"),
        (failing("latency"), "refused: latency"),
        (failing("latency", "size"), "refused: latency, size"),
        (failing("latency", "size", "slices", "drift"), "refused: latency, size and 2 more"),
    ],
)
def test_a_gate_says_what_it_refused_by(report: GateReport, tag: str) -> None:
    assert gate_tag(report) == tag


@pytest.mark.parametrize(
    ("changes", "tags"),
    [
        ({}, ["champion v5"]),
        ({"state": "refused", "champion": 3}, ["champion v3"]),
        ({"state": "waiting", "champion": 3}, ["champion v3", "waits: v5"]),
        ({"state": "refused", "champion": None}, []),
    ],
)
def test_a_deployment_says_what_is_live(changes: dict[str, Any], tags: list[str]) -> None:
    assert deployment_tags(DEPLOYMENT.model_copy(update=changes)) == tags


def test_a_release_says_where_it_ended() -> None:
    assert release_tags(RELEASE) == ["endpoint v5"]
    assert release_tags(RELEASE.model_copy(update={"address": None})) == []
    assert release_tags(RELEASE.model_copy(update={"state": "failed", "failed_at": "smoke test"})) == [
        "failed: smoke test"
    ]


def test_a_training_says_which_version_it_made() -> None:
    assert training_tag(REGISTRATION) == "challenger v4"
    assert training_tag(REGISTRATION.model_copy(update={"unchanged": True})) == "challenger v4 unchanged"


def test_a_batch_says_who_scored_and_whether_the_customers_are_known() -> None:
    assert batch_tags(summary_of()) == ["scored by v3"]
    assert batch_tags(summary_of(judged_on=feature_rows(30))) == ["scored by v3"]
    assert batch_tags(summary_of(200, judged_on=feature_rows(200))) == ["scored by v3", "customers alike"]
