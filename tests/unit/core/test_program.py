"""Commands on pages name the data set that they are about."""

from __future__ import annotations

import pytest

from churn.core.program import about


@pytest.mark.parametrize(
    ("dataset", "option"),
    [
        ("telco", "--dataset telco"),
        ("my gym.yaml", "--dataset 'my gym.yaml'"),
    ],
)
def test_a_command_on_a_page_acts_on_the_data_set_of_the_page(dataset: str, option: str) -> None:
    assert about(dataset, "python run.py models") == f"python run.py models {option}"
