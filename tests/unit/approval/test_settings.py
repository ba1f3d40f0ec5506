"""Who may approve: what the settings allow to be said."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from churn.approval.settings import ApprovalSettings


def test_the_gate_itself_approves_unless_told_otherwise() -> None:
    assert ApprovalSettings() == ApprovalSettings(policy="auto", separation_of_duties=False, expires_after_days=30)


def test_two_people_can_be_asked_for_only_where_people_are_asked() -> None:
    assert ApprovalSettings(policy="manual", separation_of_duties=True).separation_of_duties
    with pytest.raises(ValidationError, match="needs policy: manual"):
        ApprovalSettings(separation_of_duties=True)


@pytest.mark.parametrize("days", [0, -1, float("inf"), float("nan")])
def test_an_approval_holds_for_some_time(days: float) -> None:
    with pytest.raises(ValidationError, match="expires_after_days"):
        ApprovalSettings(expires_after_days=days)


def test_an_approval_may_hold_for_ever() -> None:
    assert ApprovalSettings(expires_after_days=None).expires_after_days is None
