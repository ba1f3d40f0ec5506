"""The page of monitoring: the verdict first, then the figures it rests on."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pandas as pd
import pytest

from churn.monitoring.report import Advice, MonitoringReport
from reports.evidently_report import evidently_page
from reports.markdown import in_markdown
from reports.monitoring_report import monitoring_page, monitoring_sections, monitoring_tags
from tests.fakes.data.monitored import Watched, day, monitoring_report

pytestmark = pytest.mark.slow


@cache
def report() -> MonitoringReport:
    return monitoring_report()


def test_the_page_says_what_to_do_first_and_then_shows_why() -> None:
    titles = [section.title for section in monitoring_sections(report())]
    assert titles == [
        *("What to do", "What the shift costs a month", "Performance over time", "Estimate against realised"),
        *("Drift", "Windows"),
    ]
    page = monitoring_page(report())
    assert "<h1>Monitoring: someone should act</h1>" in page
    assert page.index("Concept drift") < page.index("Performance over time")
    for word in ("the estimate misled", "as estimated", "PSI by column and window", "contract has shifted"):
        assert word in page, word


def test_the_lines_are_of_the_source_with_the_most_predictions_and_the_table_has_all() -> None:
    report = monitoring_report()
    last = report.windows[-1]
    asked = last.model_copy(update={"source": "endpoint", "rows": 1, "estimated": {}, "realised": {}, "drift": {}})
    page = monitoring_page(report.model_copy(update={"windows": (*report.windows, asked)}))
    assert f"newest window of {last.source}, {last.name}" in re.sub("<[^>]+>", "", page)
    assert f"Source {last.source}; the others are in the table below." in page
    assert ">endpoint<" in page


def test_the_cost_of_the_shift_and_what_happened_meanwhile_are_on_the_page() -> None:
    text = re.sub(r"<[^>]+>|\s+", " ", monitoring_page(report()))
    (cost,) = report().costs
    assert [*cost.columns] == ["contract", "charges"]
    assert "USD a month on 300 predictions; below 0 the shift earns." in text
    for event in ("promotion version 1 went live", "alert concept drift (batch)"):
        assert event in re.sub(" +", " ", text), event
    chart = monitoring_page(report())
    assert re.search(r">A</text>|>PA</text>|glyph|<use", chart), "events are drawn"


def test_the_lines_go_on_over_versions() -> None:
    before = report().windows[0].model_copy(update={"version": 7, "start": day(-30), "end": day(-29)})
    page = monitoring_page(report().model_copy(update={"windows": (before, *report().windows)}))
    assert "23-12-02" in page


def test_markdown_has_the_verdict_and_five_numbers() -> None:
    text = in_markdown("Monitoring", monitoring_sections(report()))
    assert "Concept drift (2024-01-03): ROC AUC of 300 known outcomes is" in text
    assert "| predictions | 300 | newest window of batch, 2024-02-16 |" in text


def test_what_came_true_stands_before_what_was_estimated_once_all_outcomes_are_known() -> None:
    last = report().windows[-1]
    known = last.model_copy(
        update={"stayed": 240, "churned": last.rows - 240, "left_out": 0, "realised": {"profit_per_customer": -2.2}}
    )
    page = monitoring_page(report().model_copy(update={"windows": (known,)}))
    assert "profit per customer and month, realised" in page
    assert "-2.20 USD" in page
    assert "ROC AUC, estimated" in page


def test_a_page_without_predictions_says_what_to_type() -> None:
    empty = Watched().monitor()
    page = monitoring_page(empty)
    assert "Monitoring: nothing to do" in page
    assert "There are no predictions to look at" in page
    assert [section.title for section in monitoring_sections(empty)] == ["What to do"]


def test_what_speaks_against_a_training_is_said_once() -> None:
    waiting = Advice(state="cooling_down", sentence="Do not retrain yet: the last training was yesterday.")
    calm = report().model_copy(update={"diagnoses": (), "advice": waiting})
    (section, *_) = monitoring_sections(calm)
    assert str(section).count(waiting.sentence) == 1


def test_the_list_of_runs_says_whether_to_act_and_why() -> None:
    assert monitoring_tags(report()) == ["act", "concept drift"]
    assert monitoring_tags(Watched().monitor()) == ["nothing to do"]


def test_evidentlys_page_shows_the_columns_and_loads_nothing() -> None:
    rows = pd.DataFrame({"charges": np.arange(60.0), "plan": ["a", "b"] * 30})
    page = evidently_page(rows, rows.assign(charges=rows["charges"] + 40))
    assert "charges" in page
    assert re.findall(r"""<(?:link|script)[^>]*(?:href|src)=["']https?:""", page) == []
