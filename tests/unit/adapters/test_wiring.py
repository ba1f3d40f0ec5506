"""Who runs this."""

from __future__ import annotations

import getpass

import pytest

from adapters import wiring


def test_the_environment_says_who_runs_this(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_USER", " ada ")
    assert wiring.identity() == "ada"


@pytest.mark.parametrize("unset", [None, "", "  "])
def test_otherwise_it_is_who_is_logged_in(unset: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "grace")
    monkeypatch.delenv("CHURN_USER", raising=False)
    if unset is not None:
        monkeypatch.setenv("CHURN_USER", unset)
    assert wiring.identity() == getpass.getuser() == "grace"
