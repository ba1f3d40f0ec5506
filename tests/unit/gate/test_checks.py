"""The registry of checks: how each reads on the terminal and on the page."""

from __future__ import annotations

import pytest

from churn.gate.checks import CHECKS, failures_first, headline_checks
from churn.gate.report import Check


def check(name: str, value: float | str | None, threshold: float | str | None) -> Check:
    return Check(name=name, verdict="pass", value=value, threshold=threshold, sentence="Fine.")


@pytest.mark.parametrize(
    ("measured", "label", "found", "allowed"),
    [
        (check("log_loss", -0.004246, -0.005), "log loss", "lost at most 0.0042", "lost at most 0.0050"),
        (check("log_loss", 0.0012, -0.005), "log loss", "gained at least 0.0012", "lost at most 0.0050"),
        (check("roc_auc", 0.0, -0.0), "ROC AUC", "lost at most 0.0000", "lost at most 0.0000"),
        (
            check("profit", -0.75, -0.25),
            "profit per customer and month",
            "lost at most 0.75 EUR",
            "lost at most 0.25 EUR",
        ),
        (check("profit", 0.7021, 0.05), "profit per customer and month", "p 0.702", "p at least 0.05"),
        (check("f1", 0.7021, 0.05), "F1", "p 0.702", "p at least 0.05"),
        (check("recipe", 0.009, 0.05), "recipe", "p 0.009", "p below 0.05"),
        (check("recipe", -0.002, -0.005), "recipe", "lost at most 0.0020", "lost at most 0.0050"),
        (check("calibration", 0.018, 0.05), "calibration error (ECE)", "1.8%", "at most 5.0%"),
        (check("slices", 0.0, 0.0), "slices", "0 groups worse", "at most 0 groups worse"),
        (
            check("better_than_everybody", 1.204, 0.0),
            "profit per customer and month above treating everybody",
            "at least 1.20 EUR",
            "above 0.00 EUR",
        ),
        (check("better_than_chance", 0.85, 0.5), "ROC AUC above chance", "at least 0.8500", "above 0.5000"),
        (check("description", 34.0, 5.0), "description", "34 words", "at least 5 words"),
        (check("predictions", 0.0, 1e-9), "predictions", "0.000 apart", "at most 1e-09 apart"),
        (check("size", 1.755, 200.0), "package size", "1.8 MB", "at most 200.0 MB"),
        (check("latency", "4.82 CPU s", "5 CPU s"), "latency", "4.82 CPU s", "5 CPU s"),
        (check("model_card", None, None), "model card", None, None),
    ],
)
def test_number_and_bar_are_phrases_with_their_unit(
    measured: Check, label: str, found: str | None, allowed: str | None
) -> None:
    named = CHECKS[measured.name]
    assert named.label == label
    assert (named.measured(measured, "EUR"), named.allowed(measured, "EUR")) == (found, allowed)


def test_what_failed_comes_first_and_of_the_others_the_five_that_say_most() -> None:
    names = ("digest", "size", "log_loss", "roc_auc", "profit", "f1", "calibration", "slices", "latency")
    checks = [check(name, 1.0, 0.0) for name in names]
    checks[1] = checks[1].model_copy(update={"verdict": "fail"})
    checks[8] = checks[8].model_copy(update={"verdict": "error"})
    assert [one.name for one in failures_first(checks)][:3] == ["size", "latency", "digest"]
    assert len(failures_first(checks)) == len(checks)
    shown = [one.name for one in headline_checks(checks)]
    assert shown == ["size", "latency", "profit", "log_loss", "roc_auc", "calibration", "slices"]
