"""The registry of metrics."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from churn.core.estimate import Estimate
from churn.evaluation.metrics import HEADLINE, METRICS

ROOT = Path(__file__).parents[3]
ROOMS = ("adapters", "churn", "cli", "materializers", "pipelines", "reports", "serving", "steps")


def is_metric(name: object) -> bool:
    try:
        return bool(METRICS[str(name)])
    except KeyError:
        return False


def tables_of_names(code: str) -> Iterator[int]:
    """Yield the lines on which a dictionary begins that gives words to three metrics or more."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            named = {
                key.value
                for key, value in pairs
                if isinstance(key, ast.Constant) and is_metric(key.value)
                for part in ast.walk(value)
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and not is_metric(part.value)
            }
            if len(named) >= 3:
                yield node.lineno


@pytest.mark.slow
def test_there_is_no_other_table_of_display_names() -> None:
    files = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    assert len(files) > 100
    assert {str(path.relative_to(ROOT)): list(tables_of_names(path.read_text())) for path in files} == {
        str(path.relative_to(ROOT)): [] for path in files
    }
    table = '{"roc_auc": ("AUC", 3), "log_loss": "Log loss", "ece": f"{1} gap"}'
    assert list(tables_of_names(table)) == [1]
    assert list(tables_of_names('{"roc_auc": auc, "log_loss": means["log_loss"], "ece": found["ece"]}')) == []


def test_a_metric_under_a_decision_rule_is_named_by_metric_and_rule() -> None:
    assert METRICS["recall_at_profit"].label == "recall by expected value"
    assert METRICS["precision_at_cost_matrix"].label == "precision by the cost matrix"
    assert METRICS["f1_at_f1"].label == "F1 at the F1 threshold"
    assert METRICS["share_at_top_decile"].label == "share treated at the top decile threshold"
    assert METRICS["profit_at_f1"].text(9.434, "USD") == "9.43 USD"


def test_a_capacity_is_no_decision_rule() -> None:
    assert METRICS["profit_at_capacity"].label == "profit per customer and month within capacity"


@pytest.mark.parametrize("name", ["auc", "luck_at_profit", "_at_profit"])
def test_a_metric_that_is_not_registered_is_named_in_the_error(name: str) -> None:
    with pytest.raises(KeyError, match=rf"'{name}' is not in the registry of metrics, churn/evaluation/metrics\.py"):
        METRICS[name]


def test_a_gain_says_which_way_it_is_better_and_has_one_decimal_more() -> None:
    gain = Estimate(point=0.00312, lower=-0.0001, upper=0.0061, se=0.002)
    assert METRICS["log_loss"].gain.label == "log loss saved"
    assert METRICS["log_loss"].gain.interval(gain) == "0.0031 (-0.0001 to 0.0061)"
    assert METRICS["roc_auc"].gain.label == "ROC AUC gained"
    assert METRICS["ece"].gain.text(0.00312) == "0.31 pp"
    assert METRICS["profit_per_customer"].gain.text(0.1, "USD") == "0.10 USD"


def test_labels_are_different_from_each_other() -> None:
    labels = [metric.label for name, metric in METRICS.items() if name != "profit"]
    assert len(labels) == len(set(labels))
    assert [METRICS[name].name for name in HEADLINE] == list(HEADLINE)
