"""Rows as the endpoint logs them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from churn.ports.prediction_log import LoggedRow

NOW = dt.datetime(2024, 6, 1, 12, 30, 15, 123456, tzinfo=dt.UTC)


def answered(customer: str = "a", **changed: Any) -> LoggedRow:
    usual = LoggedRow(
        customer=customer,
        event_time=NOW - dt.timedelta(days=1),
        scored_at=NOW,
        request_id="r1",
        role="answered",
        status="ok",
        probability=0.1 + 0.2,
        decision="treat",
        expected_value=3.5,
        customer_value=200.0,
        reasons=("tenure: 3 (+0.2)", "plan: basic (+0.1)"),
        model_name="churn_gym",
        model_version=7,
        model_alias="Champion",
        threshold_policy="expected value > 0 USD",
        features_version=4,
        score_ms=0.25,
    )
    return usual._replace(**changed)
