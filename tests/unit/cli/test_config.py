"""What a key of the settings means, what it may be, and who set it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.config import setting_keys
from cli.main import main

pytestmark = pytest.mark.slow


def told(capsys: pytest.CaptureFixture[str], *line: str) -> str:
    assert main(["config", "explain", *line]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("key", setting_keys())
def test_every_setting_says_what_it_means_and_what_it_may_be(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = json.loads(told(capsys, key, "--json"))
    assert said["key"] == key
    assert said["meaning"], "give it a description"
    assert "any" not in said["type"].split()


def test_type_range_default_and_value_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "gate.alpha").splitlines() == [
        "gate.alpha",
        "  meaning  One-sided significance level of every test.",
        "  type     number, more than 0, less than 0.5",
        "  default  0.05",
        "  value    0.05, set by configs/base.yaml",
    ]


def test_who_set_a_value_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("gate: {alpha: 0.1}\n")
    by_file = f"value    0.1, set by {file}"
    assert by_file in told(capsys, "gate.alpha", "--config", str(file))
    assert by_file in told(capsys, "gate.alpha", "--config", str(file), "--set", "gate.folds=3")
    by_line = "value    0.2, set by the command line (gate.alpha=0.2)"
    assert by_line in told(capsys, "gate.alpha", "--config", str(file), "--set", "gate.alpha=0.2")
    assert "set by the command line (gate={alpha: 0.3})" in told(capsys, "gate.alpha", "--set", "gate={alpha: 0.3}")
    assert "set by configs/local.yaml" in told(capsys, "profile.resources.threads")
    state = f"--set=profile.state={tmp_path}"
    assert main(["use", "telco", state]) == 0
    assert "value    telco, set by `use`" in told(capsys, "dataset", state)


def test_a_section_lists_its_keys(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "money.customer_value")
    for key in ("money.customer_value.amount", "money.customer_value.margin", "money.customer_value.months"):
        assert key in text


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("incentive_cost", "money.incentive_cost"),
        ("gate.alhpa", "gate.alpha"),
        ("money.incentve_cost", "money.incentive_cost"),
    ],
)
def test_a_key_that_there_is_not_is_told_with_the_nearest(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "explain", typed]) == 2
    assert f"There is no setting {typed!r}; did you mean {meant!r}?" in capsys.readouterr().err
