"""Who runs this."""

from __future__ import annotations

import getpass

import pytest

from adapters.wiring import connect
from churn.settings import read_configuration
from tests.fakes.data.case import CONFIGS
from tests.fakes.data.customers import CONTRACT


def who() -> str:
    return connect(CONTRACT, "churn_{dataset}", read_configuration(CONFIGS).profile).identity


def test_the_environment_says_who_runs_this(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_USER", " ada ")
    assert who() == "ada"


@pytest.mark.parametrize("unset", [None, "", "  "])
def test_otherwise_it_is_who_is_logged_in(unset: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "grace")
    monkeypatch.delenv("CHURN_USER", raising=False)
    if unset is not None:
        monkeypatch.setenv("CHURN_USER", unset)
    assert who() == getpass.getuser() == "grace"
