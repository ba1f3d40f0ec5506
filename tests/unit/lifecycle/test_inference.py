"""One batch from beginning to end: what is scored, when it is the same batch, and what is refused."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from churn.core.errors import ContractError, DecisionRefused, NotEnoughData, NotFound
from churn.lifecycle.inference import champion_of, record_batch, require_champion
from churn.lifecycle.workspace import Workspace
from churn.model.money import CustomerValue, MoneySettings
from churn.model.scorer import ReasonSettings, ScoringSettings
from churn.scoring.baseline import write_baseline
from churn.scoring.rows import reason_columns
from tests.fakes.data.batches import CONTRACT, NOW, VERSION, Registered, day, feature_rows, predictions, run
from tests.fakes.data.case import settings
from tests.fakes.data.deciding import MODEL, office
from tests.fakes.data.scorers import small_scorer
from tests.fakes.ports.tables import MemoryFeatureStore
from tests.fakes.ports.tracker import InMemoryTracker

FEATURES = CONTRACT.table("features")


@pytest.fixture
def store() -> MemoryFeatureStore:
    store = MemoryFeatureStore("toy")
    store.upsert(FEATURES, feature_rows(30))
    return store


def test_every_customer_is_scored_and_counted(store: MemoryFeatureStore, tmp_path: Path) -> None:
    summary = run(store, tmp_path)
    rows = predictions(store, summary)
    assert [row["customer_id"] for row in rows] == [f"c{number:03}" for number in range(30)]
    assert (summary.rows, summary.scored, summary.quarantined) == (30, 30, 0)
    treated = [row for row in rows if row["decision"] == "treat"]
    assert summary.treated == len(treated)
    assert 0 < len(treated) < 30
    assert summary.value_at_stake == pytest.approx(sum(row["expected_value"] for row in treated))
    assert summary.mean_probability == pytest.approx(sum(row["probability"] for row in rows) / 30)
    assert sum(summary.scores) == 30
    assert summary.currency == "USD"


def test_a_row_says_what_made_it(store: MemoryFeatureStore, tmp_path: Path) -> None:
    summary = run(store, tmp_path)
    expected = {
        "batch_id": summary.batch_id,
        "transaction_ts": day(0),
        "model_name": "churn_toy",
        "model_version": 3,
        "model_alias": "Champion",
        "threshold_policy": summary.threshold_policy,
        "features_version": 0,
        "scored_at": NOW,
        "source": "batch",
    }
    for row in predictions(store, summary):
        assert {name: row[name] for name in expected} == expected


def test_the_same_batch_again_is_found_and_not_scored(store: MemoryFeatureStore, tmp_path: Path) -> None:
    scorer = Registered()
    first = run(store, tmp_path, scorer)
    calls = len(scorer.given)
    again = run(store, tmp_path, scorer, now=NOW + dt.timedelta(days=9))
    assert len(scorer.given) == calls
    assert again.unchanged
    assert not first.unchanged
    assert (again.batch_id, again.scored, again.scored_at) == (first.batch_id, first.scored, first.scored_at)
    assert again.predictions == first.predictions


def test_another_model_other_features_or_other_reasons_are_another_batch(
    store: MemoryFeatureStore, tmp_path: Path
) -> None:
    ids = [
        run(store, tmp_path).batch_id,
        run(store, tmp_path, Registered(digest="d2")).batch_id,
        run(store, tmp_path, reasons="none").batch_id,
        run(store, tmp_path, max_age_days=5).batch_id,
    ]
    store.upsert(FEATURES, feature_rows(1, at=3))
    ids += [run(store, tmp_path).batch_id]
    assert len(set(ids)) == 5
    assert store.latest("churn_batches").rows == 5
    assert store.latest("churn_predictions").rows == 5 * 30


def test_an_old_time_gives_what_would_have_been_scored_then(store: MemoryFeatureStore, tmp_path: Path) -> None:
    store.upsert(FEATURES, feature_rows(30, at=30, tenure=pa.array([60] * 30)))
    then, now = run(store, tmp_path, as_of=day(29)), run(store, tmp_path)
    assert then.as_of == day(0)
    assert now.as_of == day(30)
    assert {row["transaction_ts"] for row in predictions(store, then)} == {day(0)}
    assert {row["transaction_ts"] for row in predictions(store, now)} == {day(30)}
    assert run(store, tmp_path, as_of=day(15)).unchanged


def test_customers_of_whom_nothing_new_came_are_inactive(store: MemoryFeatureStore, tmp_path: Path) -> None:
    store.upsert(FEATURES, feature_rows(10, at=91))
    recent, all_of_them = run(store, tmp_path), run(store, tmp_path, max_age_days=91)
    assert (recent.scored, recent.inactive, recent.lately_inactive) == (10, 20, 20)
    assert (all_of_them.scored, all_of_them.inactive, all_of_them.lately_inactive) == (30, 0, 0)


def test_the_contract_says_when_a_customer_has_left(store: MemoryFeatureStore, tmp_path: Path) -> None:
    store.upsert(FEATURES, feature_rows(10, at=16))
    monthly = CONTRACT.model_copy(update={"active_days": 15})
    silent, said, overridden = (
        run(store, tmp_path),
        run(store, tmp_path, contract=monthly),
        run(store, tmp_path, contract=monthly, max_age_days=16),
    )
    assert (silent.inactive, said.inactive, overridden.inactive) == (0, 20, 0)
    assert said.max_age_days == 15


def test_only_what_cannot_be_scored_is_set_aside(tmp_path: Path) -> None:
    store = MemoryFeatureStore("toy")
    empty = {name: pa.array([None] * 2, kind) for name, kind in (("contract", pa.string()), ("tenure", pa.int64()))}
    empty |= {name: pa.array([None] * 2, pa.float64()) for name in ("monthly_charges", "total_charges")}
    unknown = feature_rows(2, customer_id=["x1", "x2"], **empty)
    store.upsert(FEATURES, pa.concat_tables([feature_rows(5), unknown]))
    summary = run(store, tmp_path)
    assert (summary.rows, summary.scored, summary.quarantined) == (7, 5, 2)
    assert summary.rejected == {"the row has a value in some column that the model reads": 2}
    assert store.latest("quarantine").rows == 2
    store.replace(FEATURES, unknown)
    with pytest.raises(NotEnoughData, match="None of 2 customers in churn_features could be scored"):
        run(store, tmp_path)
    assert store.latest("quarantine").rows == 2
    assert store.latest("churn_predictions").rows == 5


def test_a_table_without_rows_of_the_time_has_nobody_to_score(store: MemoryFeatureStore, tmp_path: Path) -> None:
    with pytest.raises(NotEnoughData, match=r"Nothing in churn_features .* was known by 2023-12-31"):
        run(store, tmp_path, as_of=day(-1))
    store.replace(FEATURES, feature_rows(1).slice(0, 0))
    with pytest.raises(NotEnoughData, match="there is nobody to score"):
        run(store, tmp_path)


def test_a_column_that_the_champion_reads_and_the_table_lacks_is_named(
    store: MemoryFeatureStore, tmp_path: Path
) -> None:
    names = [name.replace("monthly_charges", "month_charges") for name in feature_rows(1).column_names]
    store.replace(FEATURES, feature_rows(3).rename_columns(names))
    with pytest.raises(ContractError, match=r"reads monthly_charges, which .* lacks; did you mean 'month_charges'"):
        run(store, tmp_path)


def test_columns_that_the_champion_does_not_read_are_left_alone(store: MemoryFeatureStore, tmp_path: Path) -> None:
    first = predictions(store, run(store, tmp_path))
    store.replace(FEATURES, feature_rows(30).append_column("zodiac", pa.array(["lion"] * 30)))
    second = predictions(store, run(store, tmp_path))
    assert [row["probability"] for row in second] == [row["probability"] for row in first]


def test_values_that_training_did_not_know_are_told(tmp_path: Path) -> None:
    store = MemoryFeatureStore("toy")
    store.upsert(FEATURES, feature_rows(4, contract=["Ten year", "Two year", "Weekly", None]))
    summary = run(store, tmp_path)
    assert (summary.unseen, summary.missing, summary.set_aside_share) == ({"contract": 2}, {"contract": 1}, 0)


def test_the_policy_tells_other_economics_apart(store: MemoryFeatureStore, tmp_path: Path) -> None:
    dear = Registered(small_scorer(ScoringSettings(money=MoneySettings(incentive_cost=20)), boosted=True), "d2")
    first, second = run(store, tmp_path), run(store, tmp_path, dear)
    assert first.threshold_policy.startswith("expected value > 0 USD, economics ")
    assert first.threshold_policy != second.threshold_policy


def test_the_scores_are_held_against_the_baseline_of_the_version(store: MemoryFeatureStore, tmp_path: Path) -> None:
    scorer = Registered()
    sides = pa.array(["holdout", "train"] * 15)
    training = store.replace(CONTRACT.table("training"), feature_rows(30).append_column("split", sides))
    assert run(store, tmp_path, scorer).baseline is None
    write_baseline(
        store, CONTRACT, scorer, training, model_name="churn_toy", model_version=3, model_digest=scorer.digest
    )
    scored = len(scorer.given)
    summary = run(store, tmp_path, scorer, reasons="none")
    assert summary.baseline is not None
    assert sum(summary.baseline) == 15
    assert sum(scorer.given[scored:]) == summary.rows, "nothing but the batch was scored"
    assert run(store, tmp_path, Registered(digest="d2")).baseline is None


def test_customers_whose_value_is_zero_are_counted(tmp_path: Path) -> None:
    money = MoneySettings(customer_value=CustomerValue(margin=0.5, months=2.0))
    settings = ScoringSettings(money=money, monthly_revenue="monthly_charges")
    store = MemoryFeatureStore("toy")
    store.upsert(FEATURES, feature_rows(4, monthly_charges=[-36.0, 0.0, 50.0, None]))
    summary = run(store, tmp_path, Registered(small_scorer(settings)))
    assert summary.no_value == 2
    assert [row["customer_value"] for row in predictions(store, summary)] == [0.0, 0.0, 50.0, 200.0]


def test_a_batch_has_as_many_reasons_as_the_package_says(store: MemoryFeatureStore, tmp_path: Path) -> None:
    five = Registered(small_scorer(ScoringSettings(reasons=ReasonSettings(top=5)), boosted=True), "d5")
    run(store, tmp_path)
    rows = predictions(store, run(store, tmp_path, five))
    assert max(sum(row[name] is not None for name in reason_columns(5)) for row in rows) == 5


def test_a_batch_of_which_a_run_wrote_only_the_rows_is_taken_up(store: MemoryFeatureStore, tmp_path: Path) -> None:
    first = run(store, tmp_path)
    store.replace(CONTRACT.table("batches"), store.read(store.latest("churn_batches")).slice(0, 0))
    again = run(store, tmp_path)
    assert not again.unchanged
    assert [row["probability"] for row in predictions(store, again)] == [
        row["probability"] for row in predictions(store, first)
    ]
    assert store.latest("churn_predictions").rows == 30


def test_a_batch_whose_rows_are_gone_is_scored_again(store: MemoryFeatureStore, tmp_path: Path) -> None:
    first = run(store, tmp_path)
    rows = store.read(store.latest("churn_predictions"))
    store.replace(CONTRACT.table("predictions"), rows.slice(0, 29))
    again = run(store, tmp_path)
    assert not again.unchanged
    assert len(predictions(store, again)) == first.scored


def test_without_a_champion_the_way_to_one_is_told() -> None:
    assert champion_of(VERSION, "churn_toy") is VERSION
    with pytest.raises(NotFound, match=r"churn_toy has no @Champion .* --pipeline deployment"):
        champion_of(None, "churn_toy")


def test_whether_a_version_may_score_is_seen_before_anything_slow_begins() -> None:
    at = office(2)
    make = {"ledger": lambda: at.ledger, "registry": lambda: at.registry, "stages": lambda: at.stages}
    workspace, asked = Workspace(contract=CONTRACT, model=MODEL, threads=1, clock=lambda: NOW, make=make), settings()
    with pytest.raises(NotFound, match=r"churn_gym has no @Champion .* --pipeline deployment"):
        require_champion(workspace, asked)
    at.go_live(1)
    require_champion(workspace, asked)
    at.ledger.records.clear()
    with pytest.raises(DecisionRefused, match=r"names a record .* that the ledger does not hold"):
        require_champion(workspace, asked)


def test_a_batch_leaves_its_record_with_the_tracker(store: MemoryFeatureStore, tmp_path: Path) -> None:
    tracker, summary = InMemoryTracker(), run(store, tmp_path)
    record_batch(summary, tracker, {"report.html": "<html>", "charts/scores.svg": "<svg>"}, "30 scored")
    assert tracker.note == "30 scored"
    assert tracker.metrics["scored"] == 30
    assert tracker.metrics["value_at_stake"] == summary.value_at_stake
    assert tracker.params["batch_id"] == summary.batch_id
    assert {"report.html", "batch.json", "charts/scores.svg"} <= set(tracker.files)


def test_the_version_stays_that_of_the_beginning(store: MemoryFeatureStore, tmp_path: Path) -> None:
    """A promotion meanwhile changes what the alias names, and neither the version nor the scorer of this batch."""

    class Promoting(Registered):
        def predict(self, customers, **options):  # type: ignore[no-untyped-def]
            live[0] = replace(VERSION, version=4)
            return super().predict(customers, **options)

    live = [VERSION]
    summary = run(store, tmp_path, Promoting(), version=live[0])
    assert live[0].version == 4
    assert {row["model_version"] for row in predictions(store, summary)} == {3}
