"""The card that travels with a model."""

from __future__ import annotations

from churn.lifecycle.model_card import model_card
from tests.fakes.data.customers import CONTRACT
from tests.fakes.data.findings import SNAPSHOT, TRAINING, evaluation, explanation


def card() -> str:
    return model_card(CONTRACT, TRAINING, evaluation(), explanation(), SNAPSHOT)


def test_the_card_has_the_sections_of_a_model_card() -> None:
    headings = [line.removeprefix("## ") for line in card().splitlines() if line.startswith("## ")]
    assert headings == ["Intended use", "Training data", "Model", "Evaluation", "Thresholds", "Limits"]


def test_the_card_tells_the_numbers_with_their_intervals() -> None:
    auc = evaluation().metrics["roc_auc"]
    assert f"- ROC AUC: {auc.point:.3f} ({auc.lower:.3f} to {auc.upper:.3f})" in card()
    assert f"{TRAINING.rows:,} rows of {TRAINING.customers:,} customers" in card()
    assert "leaves within 30 days" in card()
    assert "- F1: 33.0%" in card()


def test_a_metric_that_was_not_measured_is_left_out() -> None:
    without = {name: found for name, found in evaluation().metrics.items() if name != "ece"}
    bare = evaluation().model_copy(update={"metrics": without})
    assert "calibration error" not in model_card(CONTRACT, TRAINING, bare, explanation(), SNAPSHOT)
    assert "calibration error" in card()
