"""Moments as people write them."""

from __future__ import annotations

import datetime as dt

import pytest
from pydantic import TypeAdapter, ValidationError

from churn.core.clock import UtcTime

TIME = TypeAdapter(UtcTime)


@pytest.mark.parametrize(
    "written",
    [
        "2024-06-30T12:00",
        "2024-06-30T14:00+02:00",
        "2024-06-30T12:00:00Z",
        dt.datetime(2024, 6, 30, 12),
        dt.datetime(2024, 6, 30, 7, tzinfo=dt.timezone(dt.timedelta(hours=-5))),
    ],
)
def test_a_time_is_utc_unless_it_says_otherwise(written: object) -> None:
    assert TIME.validate_python(written) == dt.datetime(2024, 6, 30, 12, tzinfo=dt.UTC)
    assert TIME.validate_python(written).tzinfo is dt.UTC


@pytest.mark.parametrize("written", ["2024-06-30", dt.date(2024, 6, 30)])
def test_a_date_is_its_midnight(written: object) -> None:
    assert TIME.validate_python(written) == dt.datetime(2024, 6, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize("written", ["soon", "30.06.2024", "", 2024, 1.5, True])
def test_what_is_no_time_is_refused_with_an_example(written: object) -> None:
    with pytest.raises(ValidationError, match="is no time such as 2024-06-30 or 2024-06-30T12:00"):
        TIME.validate_python(written)
