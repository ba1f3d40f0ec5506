"""A task of a job that knows no run of the pipeline says how one is started."""

from __future__ import annotations

import pytest

from cli.job_task import command

RUN = {"--profile": "/p.json", "--step": "train", "--snapshot": "0a", "--secret": "churn/run-1", "--run": "7"}


@pytest.mark.parametrize("lacking", [{"--snapshot": ""}, {"--secret": "churn/"}])
def test_a_job_that_was_started_by_hand_is_refused_with_the_command(
    monkeypatch: pytest.MonkeyPatch, lacking: dict[str, str]
) -> None:
    given = [word for pair in {**RUN, **lacking}.items() for word in pair]
    monkeypatch.setattr("sys.argv", ["churn-step", *given])
    with pytest.raises(SystemExit, match=r"without its parameters snapshot and secret.*run\.py --pipeline NAME"):
        command()
