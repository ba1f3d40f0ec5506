"""What a campaign may be told, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from churn.campaign.settings import CampaignSettings
from churn.core.errors import ConfigError
from churn.settings import read_configuration

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"capacity": -1}, "capacity\n.*greater than or equal to 0"),
        ({"budget": -0.01}, "budget\n.*greater than or equal to 0"),
        ({"budget": float("inf")}, "budget\n.*finite number"),
        ({"control_share": 0.51}, "control_share\n.*less than or equal to 0.5"),
        ({"control_share": -0.01}, "control_share\n.*greater than or equal to 0"),
        ({"rest_days": -1}, "rest_days\n.*greater than or equal to 0"),
        ({"salt": ""}, "salt\n.*at least 1 character"),
        ({"format": "xlsx"}, "format\n.*'csv' or 'parquet'"),
        ({"segments": {"plan": {"pro": {"budget": -1}}}}, r"segments\.plan\.pro\.budget\n.*greater than or equal to 0"),
        ({"segments": {"plan": {"pro": {"budgte": 1}}}}, r"segments\.plan\.pro\.budgte\n.*not permitted"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CampaignSettings.model_validate(settings)


def test_the_bounds_themselves_are_allowed() -> None:
    settings = CampaignSettings(capacity=0, budget=0, control_share=0.5, rest_days=0)
    assert (settings.capacity, settings.budget, settings.control_share, settings.rest_days) == (0, 0, 0.5, 0)


def test_a_control_group_of_the_holdouts_own_customers_is_refused() -> None:
    assert read_configuration(CONFIGS).settings.campaign == CampaignSettings()
    with pytest.raises(ConfigError, match=r"`campaign\.salt` and `split\.salt` are both 'churn'"):
        read_configuration(CONFIGS, overrides=["campaign.salt=churn"])


@pytest.mark.parametrize(
    ("written", "spelt"), [("1", "1"), ("1.0", "1"), ("true", "true"), ("No", "No"), ("' a '", "a")]
)
def test_the_values_of_segments_are_spelt_as_the_tables_spell_them(written: str, spelt: str) -> None:
    setting = f"campaign.segments={{senior: {{{written}: {{capacity: 2}}}}}}"
    segments = read_configuration(CONFIGS, overrides=[setting]).settings.campaign.segments
    assert segments["senior"][spelt].capacity == 2


def test_segments_that_are_no_table_of_tables_are_refused() -> None:
    for written in ("[a]", "{contract: 3}"):
        with pytest.raises(ConfigError, match=r"campaign\.segments"):
            read_configuration(CONFIGS, overrides=[f"campaign.segments={written}"])
