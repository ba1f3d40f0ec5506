"""The registry of metrics."""

from __future__ import annotations

import pytest

from churn.core.estimate import Estimate
from churn.evaluation.metrics import HEADLINE, METRICS


def test_a_metric_under_a_decision_rule_is_named_by_metric_and_rule() -> None:
    assert METRICS["recall_at_profit"].label == "recall by expected value"
    assert METRICS["precision_at_cost_matrix"].label == "precision by the cost matrix"
    assert METRICS["f1_at_f1"].label == "F1 at the F1 threshold"
    assert METRICS["share_at_top_decile"].label == "share treated at the top decile threshold"
    assert METRICS["profit_at_f1"].text(9.434, "USD") == "9.43 USD"


def test_a_capacity_is_no_decision_rule() -> None:
    assert METRICS["profit_at_capacity"].label == "profit per customer-month within capacity"


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
