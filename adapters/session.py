"""The profile and the clock of this process, and of those that it starts."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager

from churn.core.errors import ConfigError
from churn.profile import Profile

__all__ = ["activate", "active_profile", "clock_at", "now"]

_PROFILE = "CHURN_PROFILE"
_CLOCK = "CHURN_CLOCK"


def activate(profile: Profile) -> None:
    """Let `adapters.wiring.connect` use this profile, in this process and those it starts."""
    os.environ[_PROFILE] = profile.model_dump_json()


def active_profile() -> Profile:
    """Return the profile that is in use.

    Raises:
        ConfigError: none was activated.
    """
    if _PROFILE not in os.environ:
        raise ConfigError("No profile is active: run pipelines with `python run.py`, or call `wiring.activate` first.")
    return Profile.model_validate_json(os.environ[_PROFILE])


def now() -> dt.datetime:
    """Return the time (UTC), or the one that `clock_at` set; nothing else in the project asks for it."""
    wound = os.environ.get(_CLOCK)
    return dt.datetime.fromisoformat(wound) if wound else dt.datetime.now(dt.UTC)


@contextmanager
def clock_at(time: dt.datetime) -> Iterator[None]:
    """Let it be this time for a while, in this process and those it starts: for the simulated year alone."""
    os.environ[_CLOCK] = time.isoformat()
    try:
        yield
    finally:
        del os.environ[_CLOCK]
