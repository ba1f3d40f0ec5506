"""From a training set to a challenger: the study it resumes, what the search tells, and what the holdout says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from churn.core.errors import ConfigError
from churn.data.contract import DatasetContract
from churn.data.training_set import TrainingSet, customer_values
from churn.evaluation.evaluate import EvaluationSettings, evaluate_holdout
from churn.evaluation.metrics import METRICS
from churn.lifecycle.training import describe, example_of, scoring_settings
from churn.model.frame import columns_of
from churn.model.money import MoneySettings
from churn.model.scorer import ReasonSettings
from churn.training.boosting import BoostingParams
from churn.training.search import TuningSettings, search, study_name
from churn.training.train import ModelSettings
from tests.fakes.data import customers as toy
from tests.fakes.data.findings import SNAPSHOT, TRAINING, evaluation
from tests.fakes.data.scorers import SCHEMA, small_scorer
from tests.fakes.ports.studies import InMemoryStudies

pytestmark = pytest.mark.slow

CONTRACT = DatasetContract.model_validate(
    {
        "name": "gym",
        "description": "Members of a gym.",
        "entity_key": "customer_id",
        "label": {"column": "left", "positive": "Yes", "negative": "No", "window_days": 30},
        "columns": {
            "contract": {"type": "categorical", "description": "contract"},
            "tenure": {"type": "integer", "description": "tenure"},
            "monthly_charges": {"type": "number", "description": "charges"},
            "total_charges": {"type": "number", "nullable": True, "description": "charges so far"},
        },
        "features": [feature.model_dump() for feature in SCHEMA.features],
        "monthly_revenue": "monthly_charges",
        "slices": ["contract"],
    }
)


def training_set(rows: int = 400, *, holdout: float = 0.5, seed: int = 3) -> TrainingSet:
    """Members of the gym, whose churn is what `small_scorer` says it is."""
    random = np.random.default_rng(seed)
    charges = random.uniform(20, 90, rows)
    tenure = random.integers(0, 60, rows).astype(float)
    frame = pd.DataFrame(
        {
            "contract": random.choice(np.array(["Month-to-month", "Two year"], dtype=object), rows),
            "tenure": tenure,
            "monthly_charges": charges,
            "total_charges": charges * tenure,
        }
    )
    columns = small_scorer().model.complete(columns_of(frame, CONTRACT.kinds))
    truth = small_scorer().model.probability(columns)
    own = pd.DataFrame(
        {
            "customer_id": [f"c{row:04d}" for row in range(rows)],
            "transaction_ts": pd.Timestamp("2024-01-01", tz="UTC"),
            "label": (random.random(rows) < truth).astype(np.int8),
            "split": np.where(np.arange(rows) < holdout * rows, "holdout", "train"),
            "true_probability": truth,
        }
    )
    return TrainingSet(own, columns, "customer_id")


def study(**changes: Any) -> str:
    given: dict[str, Any] = {
        "training_set": SNAPSHOT.ref,
        "contract": CONTRACT,
        "model": ModelSettings(),
        "tuning": TuningSettings(),
        "money": MoneySettings(),
        "seed": 1,
    }
    return study_name(**given | changes)


SAME = study()
PROFIT = TuningSettings(objective="profit")
OTHER_MONEY = MoneySettings(incentive_cost=5)


@pytest.mark.parametrize(
    "changes",
    [
        {"training_set": SNAPSHOT.ref.model_copy(update={"content_id": "d2" * 32})},
        {"contract": CONTRACT.model_copy(update={"features": ()})},
        {"contract": CONTRACT.model_copy(update={"feature_digest": "f1"})},
        {"model": ModelSettings(folds=4)},
        {"model": ModelSettings(boosting=BoostingParams(gamma=0.1))},
        {"tuning": PROFIT},
        {"seed": 2},
    ],
    ids="+".join,
)
def test_whatever_a_trials_value_depends_on_makes_another_study(changes: dict[str, Any]) -> None:
    assert study(**changes) != SAME


def test_other_economics_make_another_study_where_profit_is_searched_for() -> None:
    assert study(tuning=PROFIT, money=OTHER_MONEY) != study(tuning=PROFIT)
    assert study(money=OTHER_MONEY) == SAME


def test_other_feature_functions_of_the_user_are_another_contract(tmp_path: Path) -> None:
    module, path = tmp_path / "own.py", tmp_path / "own.yaml"
    module.write_text("def half(visits):\n    return visits / 2\n")
    path.write_text(
        "{name: own, description: d, entity_key: id, columns: {visits: {type: integer, description: visits}},\n"
        "label: {column: left, positive: a, negative: b, window_days: 1}, feature_module: own.py,\n"
        "features: [{name: few, compute: half, inputs: [visits], description: few, on_demand: true}]}\n"
    )
    before = DatasetContract.load(path)
    assert DatasetContract.load(path) == before
    module.write_text("def half(visits):\n    return visits * 0.5 + 1\n")
    assert DatasetContract.load(path).feature_digest != before.feature_digest


def test_a_larger_budget_goes_on_with_the_study_there_is() -> None:
    larger = TuningSettings(max_trials=99, min_trials=3, min_rows=1, timeout_seconds=9.0, parallel_trials=2, mode="on")
    assert study(tuning=larger) == SAME


def test_where_and_when_the_data_was_written_makes_no_other_study() -> None:
    elsewhere = SNAPSHOT.ref.model_copy(update={"uri": "/elsewhere", "version": 99})
    assert study(training_set=elsewhere) == SAME
    assert SAME.startswith("gym_simulated-")


FAST = ModelSettings(boosting=BoostingParams(max_rounds=8), candidates=("boosting",), folds=2)


def toy_set(rows: int = 240) -> TrainingSet:
    data = toy.customers(rows)
    split = np.where(np.arange(rows) % 4 == 0, "holdout", "train")
    own = pd.DataFrame({"customer_id": data.entity, "label": data.label, "split": split})
    return TrainingSet(own, data.columns, "customer_id")


@pytest.mark.parametrize(("objective", "better"), [("log_loss", min), ("profit", max)])
def test_a_search_reports_its_first_folds_and_then_each_trial_with_the_best_value(objective: str, better: Any) -> None:
    reported: list[tuple[int, int, str]] = []
    settings = TuningSettings.model_validate({"mode": "on", "max_trials": 3, "objective": objective})
    result = search(
        toy_set(),
        toy.CONTRACT,
        FAST,
        settings,
        MoneySettings(),
        seed=1,
        storage=InMemoryStudies().storage(),
        study="s",
        threads=1,
        progress=lambda done, most, message: reported.append((done, most, message)),
    )
    folds = FAST.folds
    assert reported[:folds] == [(0, 3, f"fold {fold} of {folds}") for fold in range(1, folds + 1)]
    assert [(done, most) for done, most, _ in reported[folds:]] == [(1, 3), (2, 3), (3, 3)]
    values = [trial.value for trial in result.trials if trial.value is not None]
    assert reported[-1][2] == f"best {objective.replace('_', ' ')} {better(values):,.5f}"


def test_the_holdout_has_no_part_in_the_search() -> None:
    def found(training: TrainingSet) -> list[float | None]:
        settings = TuningSettings(mode="on", max_trials=1)
        result = search(
            training,
            toy.CONTRACT,
            FAST,
            settings,
            MoneySettings(),
            seed=1,
            storage=InMemoryStudies().storage(),
            study="s",
            threads=1,
            progress=lambda *_: None,
        )
        return [trial.value for trial in result.trials]

    honest = toy_set()
    held = (honest.rows["split"] == "holdout").to_numpy()
    lies = honest.rows.assign(label=np.where(held, 1 - honest.rows["label"], honest.rows["label"]))
    assert found(TrainingSet(lies, honest.columns, "customer_id")) == found(honest)


def test_the_verdict_is_that_of_the_holdout_alone() -> None:
    whole = training_set()
    verdict = evaluate_holdout(
        replace(small_scorer().model, thresholds={"f1": 0.4}),
        whole,
        CONTRACT,
        money=MoneySettings(),
        settings=EvaluationSettings(resamples=100),
        seed=1,
    )
    held = whole.rows[whole.rows["split"] == "holdout"]
    assert verdict.campaign_date is not None
    assert verdict.campaign_date.customers == 200
    assert (verdict.rows, verdict.churners) == (200, int(held["label"].sum()))
    assert verdict.metrics["mean_probability"].point == pytest.approx(held["true_probability"].mean())
    assert {part.column for part in verdict.slices} == {"contract"}
    assert verdict.thresholds["f1"] == 0.4
    assert verdict.reachable is not None
    assert verdict.reachable.roc_auc.share == pytest.approx(1.0)


BY_REVENUE = MoneySettings.model_validate({"customer_value": {"amount": 200, "margin": 0.5, "months": 10}})


def test_a_customer_is_worth_the_same_to_everybody_or_by_revenue() -> None:
    training = training_set(6)
    assert customer_values(training, CONTRACT, MoneySettings()).tolist() == [200.0] * 6
    revenue = training.columns["monthly_charges"].astype(float)
    assert customer_values(training, CONTRACT, BY_REVENUE) == pytest.approx(revenue * 5)


def test_customers_cannot_be_valued_by_a_revenue_the_contract_does_not_name() -> None:
    without = CONTRACT.model_copy(update={"monthly_revenue": None})
    with pytest.raises(ConfigError, match="contract names none: name its column there as `monthly_revenue`"):
        customer_values(training_set(6), without, BY_REVENUE)


def test_the_package_decides_by_the_same_economics() -> None:
    found = scoring_settings(CONTRACT, BY_REVENUE, ReasonSettings(top=1))
    assert (found.money, found.monthly_revenue, found.reasons.top) == (BY_REVENUE, "monthly_charges", 1)


def test_the_example_holds_the_raw_columns_of_a_few_customers() -> None:
    training = training_set()
    table = pa.Table.from_pandas(training.rows.assign(**training.columns), preserve_index=False)
    example = example_of(table, CONTRACT)
    assert list(example.columns) == ["contract", "tenure", "monthly_charges", "total_charges"]
    assert example["tenure"].tolist() == training.columns["tenure"][:5].tolist()
    assert small_scorer().score(example)["probability"].notna().all()


def test_a_version_says_in_two_sentences_what_it_is() -> None:
    text = describe(TRAINING, evaluation(), SNAPSHOT)
    auc = evaluation().metrics["roc_auc"].point
    assert text.startswith(
        "Churn model (additive + boosting) of the dataset gym_simulated, trained on 4,800 rows of 2,400 customers. "
        f"On 600 customers of the holdout: ROC AUC {auc:.3f} ("
    )
    profit = METRICS["profit_per_customer"].interval(evaluation().metrics["profit_per_customer"], "USD")
    assert text.endswith(f", profit per customer and month {profit}.")
