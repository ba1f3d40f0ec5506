"""What the pages say about a decision."""

from __future__ import annotations

from typing import Any

import pytest

from reports.gate_report import deployment_section, status_section
from reports.page import Callout, Definitions, Section
from tests.fakes.data.gate_reports import DEPLOYMENT, PASSED, VERSION_STATUS


def blocks(section: Section, kind: type) -> list[Any]:
    return [block for block in section.blocks if isinstance(block, kind)]


@pytest.mark.parametrize(
    ("state", "tone"),
    [("approved", "good"), ("pending", "warn"), ("rejected", "bad"), ("lapsed", "bad"), ("none", "bad")],
)
def test_a_status_says_at_once_whether_the_version_may_go_live(state: str, tone: str) -> None:
    section = status_section(VERSION_STATUS.model_copy(update={"state": state}))
    assert section.title == f"{state.capitalize()}: version 5"
    assert blocks(section, Callout) == [Callout(VERSION_STATUS.why, tone)]  # type: ignore[arg-type]


def test_a_status_shows_the_records_it_rests_on() -> None:
    approved = PASSED.model_copy(update={"kind": "approved", "who": "Grace", "champion": None, "sequence": 2})
    gate, decision = blocks(status_section(VERSION_STATUS.model_copy(update={"decision": approved})), Definitions)
    assert gate.items == {
        "gate": "gate passed",
        "by": "Ada",
        "at": "2025-06-01 09:30 UTC",
        "because": "All 4 checks of the gate passed.",
        "held against": "version 3",
        "record": f"1, hash {PASSED.hash}",
    }
    assert (decision.items["decision"], decision.items["by"], decision.items["held against"]) == (
        "approved",
        "Grace",
        "no champion",
    )
    assert blocks(status_section(VERSION_STATUS.model_copy(update={"gate": None})), Definitions) == []


@pytest.mark.parametrize(
    ("state", "tone"), [("promoted", "good"), ("unchanged", "plain"), ("waiting", "warn"), ("refused", "bad")]
)
def test_a_deployment_says_how_it_ended(state: str, tone: str) -> None:
    section = deployment_section(DEPLOYMENT.model_copy(update={"state": state}))
    assert section.title == state.capitalize()
    assert blocks(section, Callout) == [Callout(DEPLOYMENT.sentence, tone)]  # type: ignore[arg-type]


def test_a_deployment_says_what_is_live_and_what_is_not_right_yet() -> None:
    noted = DEPLOYMENT.model_copy(update={"notes": ("The dashboard still shows version 3.",)})
    section = deployment_section(noted)
    assert blocks(section, Callout)[1:] == [Callout("The dashboard still shows version 3.")]
    (facts,) = blocks(section, Definitions)
    assert facts.items == {"live now (@Champion)": "version 5", "changed by this run": "before: version 3"}
    (nothing,) = blocks(
        deployment_section(DEPLOYMENT.model_copy(update={"state": "refused", "champion": None, "previous": None})),
        Definitions,
    )
    assert nothing.items == {"live now (@Champion)": "no version", "changed by this run": "unchanged by this run"}
