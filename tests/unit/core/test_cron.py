"""Times at which a job recurs, as cron and as systemd write them."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from pydantic import TypeAdapter, ValidationError

from churn.core.cron import Cron, on_calendar

CASES = {
    "0 5 * * 1": "Mon *-*-* 05:00:00 UTC",
    "*/10 * * * *": "*-*-* *:00/10:00 UTC",
    "30 */2 * * *": "*-*-* 00/2:30:00 UTC",
    "15,45 8-18 * * 1-5": "Mon..Fri *-*-* 08..18:15,45:00 UTC",
    "0 0 1 */3 *": "*-01/3-01 00:00:00 UTC",
    "0 0 1,15 * *": "*-*-01,15 00:00:00 UTC",
    "5 4 * * 0,6": "Sun,Sat *-*-* 04:05:00 UTC",
    "0 3 * * 7": "Sun *-*-* 03:00:00 UTC",
    "0 3 * * */2": "Sun,Tue,Thu,Sat *-*-* 03:00:00 UTC",
    "0 3 * * 1-5/2": "Mon,Wed,Fri *-*-* 03:00:00 UTC",
}


@pytest.mark.parametrize(("cron", "calendar"), CASES.items())
def test_systemd_is_told_the_same_times(cron: str, calendar: str) -> None:
    assert on_calendar(TypeAdapter(Cron).validate_python(cron)) == calendar


@pytest.mark.parametrize("calendar", CASES.values())
def test_systemd_understands_them(calendar: str) -> None:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze: apt-get install systemd")
    subprocess.run([found, "calendar", calendar], check=True, capture_output=True)


def test_spaces_do_not_matter() -> None:
    assert TypeAdapter(Cron).validate_python("  0   5 * *  1 ") == "0 5 * * 1"


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("0 5 * *", "has 4 fields: write minute, hour, day, month and day of the week"),
        ("60 5 * * *", "the minute is '60'; write \\*, 0 to 59"),
        ("0 24 * * *", "the hour is '24'"),
        ("0 5 0 * *", "the day of the month is '0'"),
        ("0 5 * 13 *", "the month is '13'"),
        ("0 5 * * 8", "the day of the week is '8'"),
        ("0 5 * * MON", "the day of the week is 'MON'"),
        ("*/0 5 * * *", "the minute is '\\*/0'"),
        ("30-10 5 * * *", "the minute is '30-10'"),
        ("@daily", "has 1 fields"),
        ("0 5 1 * 1", "names a day of the month and a day of the week: write \\* for one of them"),
    ],
)
def test_what_is_no_cron_expression_is_refused_in_words(cron: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(Cron).validate_python(cron)
