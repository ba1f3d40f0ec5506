"""One run's figures on every surface: the same metric has the same label and the same digits wherever it is read."""

from __future__ import annotations

import datetime as dt
import html
import re

import pytest

from churn.evaluation.metrics import HEADLINE, METRICS
from churn.lifecycle.model_card import model_card
from churn.lifecycle.registration import provenance, record_run, version_tags
from churn.lifecycle.training import describe
from reports.training_report import training_charts, training_page
from tests.fakes.data.batches import CONTRACT
from tests.fakes.data.evaluations import evaluation
from tests.fakes.data.findings import LEAKAGE, REGISTRATION, ROWS, SNAPSHOT, TRAINING, VALIDATION, explanation, findings
from tests.fakes.ports.tracker import InMemoryTracker
from tests.unit.cli.test_summary import configuration, trained

pytestmark = pytest.mark.slow

SETTINGS = configuration()[0]
SHOWN = [name for name in HEADLINE if name in evaluation().metrics]


def figure(name: str) -> str:
    return METRICS[name].text(evaluation().metrics[name].point, evaluation().currency)


@pytest.fixture(scope="module")
def page() -> str:
    written = training_page(findings(), REGISTRATION, validation=VALIDATION, leakage=LEAKAGE, settings=SETTINGS)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", written)))


def test_the_headline_metrics_are_there() -> None:
    assert {"campaign_profit", "roc_auc", "log_loss", "ece", "profit_per_customer"} <= set(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_terminal_and_page_write_a_metric_alike(name: str, page: str) -> None:
    label, text = METRICS[name].label, figure(name)
    assert re.search(rf"{re.escape(label)} +{re.escape(text)} ", trained())
    if "_at_" not in name:  # the page has them by decision rule, in a table
        assert re.search(rf"{re.escape(label)} +{re.escape(text)}", page, re.IGNORECASE)


def test_tags_card_and_description_write_metrics_as_the_terminal_does() -> None:
    origin = provenance(
        SETTINGS,
        CONTRACT,
        findings().tuning,
        table=SNAPSHOT.ref,
        trained_until=dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
        labels_until=dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
        registered_at=dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
        code_version="abc",
        registered_by="ada",
    )
    tags = version_tags(SETTINGS, CONTRACT, findings(), origin)
    tagged = {name.removeprefix("metric_"): text for name, text in tags.items() if name.startswith("metric_")}
    assert {"campaign_profit", "roc_auc"} <= set(tagged)
    assert tagged == {name: figure(name) for name in tagged}
    assert tags["holdout"].startswith(f"{evaluation().data_digest}: 600 customers, ")
    card = model_card(CONTRACT, TRAINING, evaluation(), explanation(), SNAPSHOT)
    lines = [line for line in card.splitlines() if line.startswith("- ") and ": " in line]
    for name in ("campaign_profit", "roc_auc", "log_loss", "profit_per_customer"):
        expected = (
            f"- {METRICS[name].label}: {METRICS[name].interval(evaluation().metrics[name], evaluation().currency)}"
        )
        assert expected in lines
    described = describe(TRAINING, evaluation(), SNAPSHOT)
    for name in ("roc_auc", "campaign_profit", "profit_per_customer"):
        assert f"{METRICS[name].label} {figure(name)} (" in described


def test_the_tracker_has_every_headline_metric_under_its_name_in_the_registry() -> None:
    tracker = InMemoryTracker()
    record_run(tracker, SETTINGS, findings(), ROWS, training_charts(findings()))
    for name in SHOWN:
        assert tracker.metrics[name] == evaluation().metrics[name].point
    assert tracker.params["holdout"].startswith(str(evaluation().data_digest))
