"""Parses moments in settings and contracts; UTC unless they name a time zone."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from pydantic import BeforeValidator

__all__ = ["UtcTime"]


def _in_utc(value: object) -> dt.datetime:
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError as error:
            raise _no_time(value) from error
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    if not isinstance(value, dt.datetime):
        raise _no_time(value)
    return value.astimezone(dt.UTC) if value.tzinfo else value.replace(tzinfo=dt.UTC)


def _no_time(value: object) -> ValueError:
    return ValueError(f"{value!r} is no time such as 2024-06-30 or 2024-06-30T12:00")


UtcTime = Annotated[dt.datetime, BeforeValidator(_in_utc)]
"""A field that takes a date, a time or its ISO 8601 text, and holds it in UTC."""
