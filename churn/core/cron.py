"""Cron expressions of five fields in UTC, and the same schedules for systemd."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

__all__ = ["Cron", "on_calendar"]

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_PART = re.compile(r"(\*|(\d+)(?:-(\d+))?)(?:/(\d+))?")
_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _checked(text: str) -> str:
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"{text!r} has {len(fields)} fields: write minute, hour, day, month and day of the week")
    for field, (name, low, high) in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            match = _PART.fullmatch(part)
            ends = [int(end) for end in match.group(2, 3) if end] if match else []
            is_wrong = match is None or match[4] == "0" or ends != sorted(ends)
            if is_wrong or any(not low <= end <= high for end in ends):
                raise ValueError(
                    f"{text!r}: the {name} is {part!r}; write *, {low} to {high}, a range 1-5 or a step */2"
                )
    if fields[2] != "*" and fields[4] != "*":
        raise ValueError(f"{text!r} names a day of the month and a day of the week: write * for one of them")
    return " ".join(fields)


Cron = Annotated[str, AfterValidator(_checked)]
"""A cron expression in UTC: minute, hour, day of the month, month, day of the week."""


def on_calendar(cron: str) -> str:
    """Return the times of a cron expression as systemd writes them, such as `Mon *-*-* 05:00:00 UTC`."""
    minute, hour, day, month, weekday = cron.split()
    days = "" if weekday == "*" else f"{','.join(_week(part) for part in weekday.split(','))} "
    return f"{days}*-{_times(month, 1)}-{_times(day, 1)} {_times(hour, 0)}:{_times(minute, 0)}:00 UTC"


def _times(field: str, first: int) -> str:
    """Return a field as systemd writes it: ranges by `..`, and a step from the first value on in place of `*`."""
    parts = []
    for part in field.split(","):
        values, slash, step = part.partition("/")
        values = f"{first}" if values == "*" and slash else values.replace("-", "..")
        parts.append(f"{values}{slash}{step}")
    return re.sub(r"(?<![/\d])\d(?!\d)", lambda digit: digit[0].zfill(2), ",".join(parts))


def _week(part: str) -> str:
    values, slash, step = part.partition("/")
    if not slash:
        return re.sub(r"\d", lambda digit: _DAYS[int(digit[0])], values).replace("-", "..")
    low, _, high = ("0-6" if values == "*" else values).partition("-")
    return ",".join(_DAYS[day] for day in range(int(low), int(high or 6) + 1, int(step)))
