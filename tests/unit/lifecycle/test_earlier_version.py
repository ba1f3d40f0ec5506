"""Whether a rollback is proposed: the version before on the same untreated outcomes, by real models."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from churn.approval.decide import decide, record_gate
from churn.approval.promote import promote
from churn.data.contract import DatasetContract
from churn.lifecycle.earlier_version import earlier_is_better
from churn.monitoring.report import ACTS, Diagnosis
from tests.fakes.data.case import CONTRACT, raw_rows, settings
from tests.fakes.data.deciding import gate_report
from tests.fakes.data.lab import QUICK, START, Lab

pytestmark = pytest.mark.slow

TIMED = DatasetContract.model_validate(
    {**CONTRACT.model_dump(exclude={"event_time"}, exclude_none=True), "event_time": {"column": "at"}}
)


def rows(at: str, seed: int = 0, count: int = 1500, *, shuffled: bool = False) -> pd.DataFrame:
    """Return customers at a time, whose outcomes follow their columns or nothing at all."""
    frame = raw_rows(count, seed).assign(at=at)
    if shuffled:
        frame["churn"] = np.random.default_rng(1).permutation(frame["churn"].to_numpy())
    return frame.assign(customer_id=frame["customer_id"] + f"-{seed}")


def proposed(lab: Lab, *overrides: str) -> tuple[Diagnosis, ...]:
    state = lab.workspace.approval(settings().approval).read()
    return earlier_is_better(lab.workspace, settings(*QUICK, *overrides), state, lab.now)


def make_live(lab: Lab, version: int) -> None:
    """Let a version go live whatever it is worth."""
    context = lab.workspace.approval(settings().approval)
    record_gate(context, gate_report(context, version), who="ada")
    decide(context, version, who="ada")
    promote(context, version, who="ada")


@pytest.fixture(scope="module")
def lab() -> Lab:
    """Version 1 learned what is true; version 2, which is live, learned from outcomes by chance."""
    made = Lab(rows("2024-01-01"), TIMED)
    assert made.retrain().retraining.live == 1
    made.now += dt.timedelta(days=40)
    made.deliver(rows("2024-02-01", 1, shuffled=True))
    assert made.retrain().retraining.state == "kept"
    make_live(made, 2)
    made.now += dt.timedelta(days=90)
    made.deliver(rows("2024-06-01", 2))
    return made


def test_a_rollback_is_proposed_where_the_version_before_earns_more_on_the_same_outcomes(lab: Lab) -> None:
    (found,) = proposed(lab)
    assert (found.kind, found.version, found.window) == ("worse_than_before", 2, "2024-06-01 to 2024-06-01")
    assert found.acts
    assert found.kind in ACTS
    assert "On 1,500 known outcomes newer than both trainings version 1 would have earned" in found.evidence[0]
    assert found.recommendation == 'Go back to version 1: python run.py rollback --to 1 --reason "…".'
    assert lab.workspace.approval(settings().approval).read().live == 2, "nothing is rolled back by itself"


def test_a_difference_that_is_small_beside_what_is_earned_proposes_nothing(lab: Lab) -> None:
    assert proposed(lab, "monitoring.thresholds.profit_share=0.99", "money.customer_value.amount=2000") == ()


def test_outcomes_that_a_version_was_trained_on_say_nothing(lab: Lab) -> None:
    lab.deliver(rows("2024-02-01", 3))
    try:
        assert proposed(lab) == ()
    finally:
        lab.deliver(rows("2024-06-01", 2))


def test_too_few_outcomes_say_nothing(lab: Lab) -> None:
    lab.deliver(rows("2024-06-01", 2, 60))
    try:
        assert proposed(lab) == ()
    finally:
        lab.deliver(rows("2024-06-01", 2))


def test_a_version_before_that_cannot_be_loaded_stops_nothing(lab: Lab) -> None:
    kept = dict(lab.packages)
    lab.packages.clear()
    lab.workspace.make["load"] = _damaged  # type: ignore[index]
    try:
        assert proposed(lab) == ()
    finally:
        lab.packages.update(kept)


def _damaged(*_: object) -> None:
    from churn.core.errors import ModelError

    raise ModelError("Its files are damaged.")


def test_the_first_version_has_none_to_go_back_to() -> None:
    made = Lab(rows("2024-01-01"), TIMED)
    made.retrain()
    made.now = START + dt.timedelta(days=200)
    made.deliver(rows("2024-06-01", 2))
    assert proposed(made) == ()
