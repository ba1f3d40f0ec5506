"""The tables of `run.py models`."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest

from churn.approval.state import ModelState, VersionStatus
from churn.ports.registry import ModelVersion
from cli.console import plain_console
from cli.versions import gains_table, holdout_of, number_of, versions_table
from tests.fakes.data.gate_reports import PASSED, VERSION_STATUS

GAINS = {
    f"holdout.{name}.gain{part}": value
    for name, values in (("log_loss", (0.0022, 0.0001, 0.0043)), ("profit_per_customer", (0.11, -0.1, 0.32)))
    for part, value in zip(("", ".lower", ".upper"), values, strict=True)
}


def version(number: int, holdout: str, **tags: str) -> ModelVersion:
    given = {"holdout": f"{holdout}: 300 customers, 80 of whom churned", "metric_roc_auc": f"0.86{number}"}
    return ModelVersion("churn_gym", number, "run", "A model.", given | tags, ("Champion",) if number == 1 else ())


def shown(drawing: object) -> list[str]:
    output = StringIO()
    console = plain_console(output)
    console.width = 200  # whatever the terminal of the tests has
    console.print(drawing)
    return [line.rstrip() for line in output.getvalue().splitlines() if line.strip()]


def status(number: int, **changes: Any) -> VersionStatus:
    return VERSION_STATUS.model_copy(update={"version": number, "gate": None, **changes})


def test_figures_of_another_holdout_carry_a_star_and_those_of_the_same_do_not() -> None:
    versions = (version(1, "aaaa11112222"), version(2, "bbbb11112222"), version(3, "aaaa11112222"))
    state = ModelState("churn_gym", (), {one.version: one for one in versions})
    listed, reference = versions_table(state, {number: status(number) for number in (1, 2, 3)})
    rows = {line.split()[0]: line for line in shown(listed)}
    assert reference == 3  # none is live
    assert "aaaa1111" in rows["1"]
    assert "0.861" in rows["1"]
    assert "*" not in rows["1"] + rows["3"]
    assert "bbbb1111" in rows["2"]
    assert "0.862 *" in rows["2"]
    same = ModelState("churn_gym", (), {1: versions[0], 3: versions[2]})
    assert versions_table(same, {number: status(number) for number in (1, 3)})[1] is None


def test_a_version_of_earlier_times_is_told_by_its_training_data() -> None:
    old = ModelVersion("churn_gym", 1, "run", "A model.", {"data_digest": "d1" * 32, "metric.roc_auc": "0.85312"})
    assert holdout_of(old) == "d1d1d1d1"
    assert holdout_of(ModelVersion("churn_gym", 1, "run", "A model.", {})) == ""


def test_the_differences_of_the_gate_are_shown_with_intervals_and_the_version_they_are_against() -> None:
    judged = PASSED.model_copy(update={"numbers": GAINS, "champion": 3})
    table = gains_table({4: status(4), 5: status(5, gate=judged)}, currency="USD", level="90%")
    lines = shown(table)
    assert "log loss saved (90% interval)" in lines[0]
    assert lines[-1].split("  ")[0].strip() == "5"
    assert "version 3" in lines[-1]
    assert "0.0022 (0.0001 to 0.0043)" in lines[-1]
    assert "0.11 USD (-0.10 to 0.32)" in lines[-1]
    assert gains_table({4: status(4), 5: status(5, gate=PASSED)}, currency="USD", level="90%") is None


def test_a_metric_of_a_tag_is_a_number_whatever_its_unit() -> None:
    texts = ("0.866", "8,506 USD", "-1.25 EUR", "1.8%", "0.85312")
    assert [number_of(text) for text in texts] == pytest.approx([0.866, 8506.0, -1.25, 0.018, 0.85312])
