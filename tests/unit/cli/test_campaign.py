"""The commands of past campaigns, as they are typed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import main


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def state(tmp_path: Path) -> list[str]:
    return ["--set", f"profile.state={tmp_path / 'state'}", "--dataset", "telco_simulated"]


def test_before_the_first_campaign_a_recurring_read_out_says_so_and_does_not_fail(
    state: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["campaign", "effect", "--quiet", *state]) == 0
    assert capsys.readouterr().out.startswith("There is no campaign to measure: none was planned yet.")
    assert main(["campaign", "effect", "--json", *state]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["campaigns"], answer["verdict"], answer["exit"]) == ([], None, 0)
    assert "none was planned yet" in answer["message"]


def test_a_batch_that_does_not_exist_is_a_mistake(state: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["campaign", "effect", "3f2a", *state]) == 2
    assert "There is no campaign" in capsys.readouterr().err
