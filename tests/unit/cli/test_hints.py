"""Commands that messages name can be typed as they stand."""

from __future__ import annotations

import argparse

import pytest

from cli.hints import in_full, repeating
from cli.parser import build_parser


def typed(*words: str) -> argparse.Namespace:
    return build_parser().parse_args(words)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("run `python run.py --pipeline training` first", "run `python run.py --pipeline training{}` first"),
        ('`python run.py rollback --reason "…"` goes back', '`python run.py rollback --reason "…"{}` goes back'),
        ("`python run.py models` or `python run.py audit`", "`python run.py models{}` or `python run.py audit{}`"),
        ("`python run.py models --dataset other.yaml`", "`python run.py models --dataset other.yaml`"),
        ("`python run.py dataset infer FILE`", "`python run.py dataset infer FILE`"),
        ("no command at all", "no command at all"),
    ],
)
def test_a_command_in_a_message_repeats_which_data_set_was_typed(message: str, shown: str) -> None:
    with repeating(typed("--pipeline", "deployment", "--dataset", "my gym.yaml", "--set", "seed=3")):
        assert in_full(message) == shown.replace("{}", " --dataset 'my gym.yaml'")
    assert in_full(message) == shown.replace("{}", "")


def test_it_repeats_stack_settings_file_and_state_folder_too() -> None:
    line = ("models", "--stack", "team", "--config", "c.yaml", "--set", "profile.state=/s", "--set", "tuning.mode=off")
    with repeating(typed(*line)):
        shown = in_full("`python run.py audit`")
    assert shown == "`python run.py audit --stack team --config c.yaml --set profile.state=/s`"
