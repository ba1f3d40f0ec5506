"""What a training run leaves behind: the record, the tags of the version, the page."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from churn.evaluation.headline import headline
from churn.evaluation.metrics import HEADLINE
from churn.lifecycle.registration import Findings, config_digest, provenance, record_run, version_tags
from churn.settings import Settings, load_contract, read_configuration
from reports.training_report import training_charts, training_page
from tests.fakes.data.findings import LEAKAGE, REF, REGISTRATION, ROWS, VALIDATION, evaluation, findings
from tests.fakes.ports.tracker import InMemoryTracker

CONFIGS = Path(__file__).parents[3] / "configs"
CONTRACT = load_contract(CONFIGS, "telco")
CHARTS = ["importance", "lift", "precision_recall", "profit", "reliability", "roc", "score_distribution", "tuning"]


def settings(*overrides: str) -> Settings:
    return read_configuration(CONFIGS, overrides=["profile.state=/state", *overrides]).settings


@pytest.fixture(scope="module")
def tracker() -> InMemoryTracker:
    tracker = InMemoryTracker()
    run = settings("seed=7", "money.incentive_cost=12", "data=/somewhere/members.csv")
    record_run(tracker, run, findings(), ROWS, training_charts(findings()))
    return tracker


@pytest.mark.slow
def test_the_settings_are_recorded_one_by_one_with_what_training_chose(tracker: InMemoryTracker) -> None:
    expected = {
        "seed": "7",
        "money.incentive_cost": "12.0",
        "money.customer_value.amount": "200.0",
        "split.salt": "churn",
        "data": "/somewhere/members.csv",
        "chosen.blend": "additive+boosting",
        "chosen.max_depth": "3",
        "chosen.boosting_rounds": "120.0",
    }
    assert {name: tracker.params[name] for name in expected} == expected
    assert tracker.params["config_digest"] == config_digest(settings("seed=7", "money.incentive_cost=12"))
    assert not [name for name in tracker.params if name.startswith("profile")]
    assert not [value for value in tracker.params.values() if value.startswith("{")]


def test_a_dozen_metrics_are_charted_and_every_one_is_in_a_file_with_its_interval(tracker: InMemoryTracker) -> None:
    auc = evaluation().metrics["roc_auc"]
    assert tracker.metrics["roc_auc"] == auc.point
    assert set(tracker.metrics) == set(HEADLINE) & set(evaluation().metrics)
    assert len(tracker.metrics) <= 12
    every = json.loads(tracker.files["metrics.json"])
    assert [every[f"roc_auc{part}"] for part in ("", ".lower", ".upper")] == [auc.point, auc.lower, auc.upper]
    assert {name for name in every if "." not in name} == set(evaluation().metrics)
    assert (every["tuning.gain"], every["oof.log_loss"]) == (0.0105, 0.41)
    assert all(math.isfinite(value) for value in every.values())


def test_the_training_set_is_an_input_of_the_run(tracker: InMemoryTracker) -> None:
    assert tracker.datasets == {"gym_simulated.churn_training": REF}


def test_every_chart_is_a_file_of_the_run(tracker: InMemoryTracker) -> None:
    charts = sorted(name for name in tracker.files if name != "metrics.json")
    assert charts == [f"charts/{name}.svg" for name in CHARTS]
    assert all(content.lstrip().startswith(b"<svg") for name, content in tracker.files.items() if name.endswith(".svg"))
    assert b"months as a customer" in tracker.files["charts/importance.svg"]
    assert b"log loss, out of fold (lower is better)" in tracker.files["charts/tuning.svg"]


@pytest.mark.parametrize(
    "override",
    [
        "seed=7",
        "money.contact_cost=2",
        "split.salt=new",
        "tuning.max_trials=3",
        "simulation.customers=9",
        "leakage.trusted=[tenure]",
        "model_name=other",
    ],
)
def test_the_digest_of_the_settings_changes_with_every_domain_value(override: str) -> None:
    assert config_digest(settings(override)) != config_digest(settings())


def test_the_digest_of_the_settings_is_the_same_on_every_machine() -> None:
    elsewhere = settings("profile.resources.threads=16", "profile.name=cloud", "data=/x.csv", "dataset=/y.yaml")
    assert config_digest(elsewhere) == config_digest(settings())


def test_how_a_model_is_judged_is_no_part_of_what_it_follows_from() -> None:
    assert config_digest(settings("gate.alpha=0.01", "approval.policy=manual")) == config_digest(settings())


ORIGIN = provenance(
    settings("seed=7"),
    CONTRACT,
    findings().tuning,
    table=REF,
    trained_until=dt.datetime(2025, 2, 1, tzinfo=dt.UTC),
    labels_until=dt.datetime(2025, 2, 1, tzinfo=dt.UTC),
    registered_at=dt.datetime(2025, 2, 1, tzinfo=dt.UTC),
    code_version="abc123",
    registered_by="ada",
)


def tags(run: Findings, **thresholds: float) -> dict[str, str]:
    verdict = run.evaluation.model_copy(update={"thresholds": thresholds})
    return version_tags(settings("seed=7"), CONTRACT, replace(run, evaluation=verdict), ORIGIN)


def test_a_version_is_tagged_with_its_origin_its_quality_and_its_thresholds() -> None:
    found = tags(findings(), f1=0.334567)
    origin = {
        "dataset": "gym_simulated",
        "data_table": "churn_training",
        "data_version": "7",
        "data_digest": "d1" * 32,
        "git_commit": "abc123",
        "config_digest": config_digest(settings("seed=7")),
        "contract_digest": CONTRACT.digest,
        "seed": "7",
        "registered_by": "ada",
        "trained_until": "2025-02-01T00:00:00+00:00",
        "recipe_digest": ORIGIN.recipe.digest,
        "split": "0.2 by churn",
    }
    assert origin.items() <= found.items()
    assert found["metric_roc_auc"] == f"{evaluation().metrics['roc_auc'].point:.3f}"
    assert found["metric_profit_per_customer"] == f"{evaluation().metrics['profit_per_customer'].point:.2f} USD"
    shown = [
        name
        for name in ("campaign_profit", "roc_auc", "log_loss", "brier", "profit_per_customer")
        if name in evaluation().metrics
    ]
    assert {name for name in found if name.startswith("metric_")} == {f"metric_{name}" for name in shown}
    # Beside the digest of the model, the state of the approval, its record and the verdict of the gate.
    assert len(found) + 4 <= 30
    assert all(re.fullmatch("[A-Za-z0-9_]+", name) for name in found)
    assert (found["threshold_f1"], found["threshold_cost_matrix"]) == ("0.33457", "0.125")
    assert all(isinstance(value, str) for value in found.values())


def test_a_metric_that_could_not_be_measured_has_no_tag() -> None:
    without = {name: found for name, found in evaluation().metrics.items() if name != "empc"}
    run = replace(findings(), evaluation=evaluation().model_copy(update={"metrics": without}))
    assert "metric_empc" not in tags(run)
    assert "metric_brier" in tags(run)


def test_the_threshold_of_profit_is_one_number_or_a_range() -> None:
    threshold = evaluation().campaign.threshold[0]
    assert tags(findings())["threshold_profit"] == f"{threshold:.5g}"
    campaign = evaluation().campaign.model_copy(update={"threshold": (0.05, 0.5)})
    run = replace(findings(), evaluation=evaluation().model_copy(update={"campaign": campaign}))
    assert tags(run)["threshold_profit"] == "0.05 to 0.5"


@pytest.fixture(scope="module")
def page() -> str:
    """The page of a run that ended in a version that was there before, on a file with a hostile name."""
    return training_page(
        findings(),
        REGISTRATION.model_copy(update={"unchanged": True}),
        validation=VALIDATION.model_copy(update={"source": "<script>alert(1)</script>.csv"}),
        leakage=LEAKAGE,
        settings=settings("seed=7"),
    )


def test_the_page_tells_the_whole_run(page: str) -> None:
    assert "<h1>churn_gym_simulated, version 4" in page
    assert headline(evaluation()) in re.sub("<[^>]+>", "", page)
    for title in ("Why", "Model card", "Tuning", "Leakage", "Validation", "Table churn_training", "Registered version"):
        assert f">{title}</h2>" in page
    for fact in (
        "version 7, 4 rows",
        "version 4, unchanged",
        "run.py --pipeline deployment",
        "favourite_colour",
        "left_on always",
    ):
        assert fact in page


def test_the_page_loads_nothing_and_runs_nothing(page: str) -> None:
    assert re.findall(r"""\b(?:src|href)=["'](?!#)[^"']*""", page) == []
    assert re.findall(r"url\((?!#)|@import", page) == []
    assert "<script" not in page


def test_what_the_users_data_holds_stays_text(page: str) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;.csv" in page
