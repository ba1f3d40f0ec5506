"""docs/gate.md tells what the gate does: every check, every setting, every fault of the demo with its test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from churn.approval.settings import ApprovalSettings
from churn.evaluation.holdout import Holdout
from churn.gate.first_model import first_model_checks
from churn.gate.inputs import JudgedVersion
from churn.gate.quality import no_difference, quality_checks
from churn.gate.settings import GateSettings, Margins
from churn.gate.soundness import soundness_checks
from churn.model.money import MoneySettings
from churn.model.scorer import ReasonSettings
from churn.ports.registry import ModelVersion
from tests.fakes.data.customers import CONTRACT
from tests.fakes.data.gate_reports import HOLDOUT, evaluation
from tests.fakes.data.predictions import predictions
from tests.fakes.data.scorers import customers, small_scorer

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
SETTINGS = GateSettings()
PARTS = {"tags", "champion_tags", "loads", "champion_loads", "rows", "scores", "champion_scores", "report"}
"""What must succeed before there is anything to check."""


def section(title: str) -> str:
    """Return the part of the document below a heading."""
    return re.split(r"^## ", TEXT.split(f"## {title}\n")[1], flags=re.MULTILINE)[0]


def names_of_checks() -> set[str]:
    version = ModelVersion("churn_telco", 1, None, "")
    bare = JudgedVersion(version, {}, (), card="", size=1, score=small_scorer().score, thresholds={})
    sound = soundness_checks(bare, CONTRACT, customers(), SETTINGS, ReasonSettings())
    holdout = {"holdout": HOLDOUT, "newest": None, "recipes": None, "evaluation": evaluation(0.4)}
    better = quality_checks("recipe", **holdout, settings=SETTINGS, currency="USD")  # type: ignore[arg-type]
    sample = predictions(600)
    holdout = Holdout.of(
        sample.label, sample.probability, sample.entity, thresholds={"f1": 0.3}, money=MoneySettings(), value=200.0
    )
    first = first_model_checks(
        evaluation(0.4), holdout, churn_rate=0.25, customers=600, settings=GateSettings(resamples=200), seed=1
    )
    return {check.name for check in [*sound, *better, *first, no_difference(itself=False)]} | PARTS


@pytest.fixture(scope="module")
def checks() -> set[str]:
    return names_of_checks()


def test_every_check_is_told(checks: set[str]) -> None:
    assert checks <= set(re.findall(r"`(\w+)`", section("What is asked")))


def test_every_check_that_can_refuse_has_a_remedy(checks: set[str]) -> None:
    named = set(re.findall(r"`(\w+)", section("When it refuses")))
    first = {name for name in checks if name.startswith("better_than_")}
    assert checks - first - {"champion_loads"} <= named
    assert "better_than_" in named


def test_every_setting_of_the_gate_is_told() -> None:
    named = set(re.findall(r"[\w.]+", TEXT))
    fields = {*GateSettings.model_fields, *(f"margins.{name}" for name in Margins.model_fields)}
    assert fields - {"margins.log_loss", "margins.roc_auc"} <= named


def test_the_settings_of_approval_are_those_in_force_by_default() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", section("Approval"), re.DOTALL)
    assert ApprovalSettings.model_validate(yaml.safe_load(block)["approval"]) == ApprovalSettings()


def test_every_fault_of_the_demo_is_told_with_its_test() -> None:
    written = (ROOT / "tests" / "behaviour" / "test_gate_behaviour.py").read_text(encoding="utf-8")
    assert re.findall(r"`(test_\w+)`", section("The demo's faults, and the test that shows each")) == re.findall(
        r"^def (test_\w+)", written, re.MULTILINE
    )
