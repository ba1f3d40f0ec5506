"""Retraining as a use case: what is trained when, what the gate makes of it, and what is recorded."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from churn.core.errors import NotEnoughData
from churn.lifecycle.monitoring import last_training
from churn.monitoring.report import Advice
from tests.fakes.data.case import MODEL, raw_rows
from tests.fakes.data.lab import RETRAIN, START, Lab

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab() -> Lab:
    """A lab whose version 1 was trained and is live."""
    made = Lab(raw_rows(1500))
    first = made.retrain().retraining
    assert (first.state, first.version, first.before, first.live) == ("promoted", 1, None, 1)
    return made


@pytest.mark.parametrize("state", ["no_reason", "broken_feed", "not_persistent", "cooling_down", "too_few_outcomes"])
def test_nothing_is_trained_where_monitoring_does_not_call_for_it(lab: Lab, state: str) -> None:
    rows = len(lab.recorded())
    outcome = lab.retrain(Advice(state=state, sentence="Not yet.")).retraining  # type: ignore[arg-type]
    assert (outcome.state, outcome.sentence, outcome.live, outcome.acts) == ("not_called_for", "Not yet.", 1, False)
    assert (len(lab.recorded()), len(lab.registry.versions(MODEL))) == (rows, 1)


def test_a_training_that_ended_meanwhile_is_not_repeated(lab: Lab) -> None:
    outcome = lab.retrain(at=START - dt.timedelta(days=1)).retraining
    assert outcome.state == "not_called_for"
    assert "another training ended at 2024-06-01" in outcome.sentence


def test_the_same_outcomes_give_the_same_model_and_this_is_recorded_and_cools_down(lab: Lab) -> None:
    lab.now += dt.timedelta(days=40)
    outcome = lab.retrain().retraining
    assert (outcome.state, outcome.version, outcome.live, outcome.acts) == ("same_model", 1, 1, True)
    assert outcome.sentence.startswith("Retraining does not help")
    row = lab.recorded()[-1]
    assert (row["state"], row["version"], row["before"], row["new_outcomes"]) == ("same_model", 1, 1, 600)
    assert row["reason"] == RETRAIN.sentence
    assert last_training(lab.workspace) == (lab.now, lab.now)


def test_a_model_that_is_not_better_leaves_the_champion_live_with_the_figures_on_record(lab: Lab) -> None:
    lab.now += dt.timedelta(days=40)
    frame = raw_rows(1500)
    random = np.random.default_rng(3).permutation(frame["churn"].to_numpy())
    customers = pd.util.hash_array(frame["customer_id"].to_numpy(dtype=object)) % 3 > 0
    lab.deliver(frame.assign(churn=np.where(customers, random, frame["churn"])))
    judged = lab.retrain()
    outcome = judged.retraining
    assert (outcome.state, outcome.before, outcome.live) == ("kept", 1, 1)
    assert judged.report is not None
    assert outcome.gate_report == judged.report.digest
    assert outcome.sentence.startswith(
        f"Retraining does not help: kept version 1, for the gate refused version {outcome.version}"
    )
    row = lab.recorded()[-1]
    verb = "better" if row["profit_per_customer_gain"] >= 0 else "worse"
    assert f"profit per customer and month is {verb} than that of version 1 by" in outcome.sentence
    assert row["state"] == "kept"
    assert row["log_loss_gain_lower"] <= row["log_loss_gain"] <= row["log_loss_gain_upper"]
    assert row["compared_rows"] > 0


def test_what_passes_the_gate_waits_where_a_person_approves() -> None:
    made = Lab(raw_rows(1500))
    outcome = made.retrain(RETRAIN, "approval.policy=manual").retraining
    assert (outcome.state, outcome.version, outcome.live) == ("waiting", 1, None)
    assert "waits for approval" in outcome.sentence


def test_a_cut_off_in_the_settings_does_not_keep_newer_outcomes_out() -> None:
    made = Lab(raw_rows(1500))
    assert made.retrain(RETRAIN, "training_set.cutoff=2020-01-01").retraining.version == 1


def test_too_few_outcomes_train_nothing() -> None:
    made = Lab(raw_rows(60))
    with pytest.raises(NotEnoughData, match="customers"):
        made.retrain()
    assert made.registry.versions(MODEL) == []
