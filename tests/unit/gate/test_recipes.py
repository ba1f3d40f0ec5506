"""A version's recipe: what is kept of it, what makes it another one, and how two are compared on a table."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from churn.core.errors import ContractError, NotEnoughData
from churn.data.contract import DatasetContract
from churn.data.labels import sides_of
from churn.evaluation.significance import corrected_resampled_t
from churn.gate.recipes import Learner, compare_learners, compare_recipes, training_side
from churn.gate.report import RecipeComparison, RecipeMetric
from churn.gate.settings import GateSettings
from churn.model.model import sigmoid
from churn.training.boosting import BoostingParams
from churn.training.folds import customer_codes, customer_folds
from churn.training.preparation import prepare
from churn.training.recipe import Recipe
from churn.training.search import TuningSettings
from churn.training.train import ModelSettings, TrainingData
from tests.fakes.data.customers import CONTRACT, customers
from tests.fakes.data.predictions import predictions

pytestmark = pytest.mark.slow

FAST = ModelSettings(candidates=("boosting",), folds=2, boosting=BoostingParams(max_rounds=15))
QUICK = GateSettings(folds=2, repeats=1)


def recipe(contract: DatasetContract = CONTRACT, model: ModelSettings = FAST, **boosting: Any) -> Recipe:
    searched = model.boosting.model_copy(update=boosting)
    return Recipe.of(contract, model, TuningSettings(), searched)


def contract_with(**changes: Any) -> DatasetContract:
    return DatasetContract.model_validate(CONTRACT.model_dump(mode="json") | changes)


def table(rows: int = 600, **columns: Any) -> pa.Table:
    """The joined training table of the toy customers, with its stored feature."""
    data: TrainingData = customers(rows)
    frame = pd.DataFrame(dict(data.columns))
    frame["customer_id"], frame["label"] = data.entity, data.label
    for name in ("transaction_ts", "feature_ts", "label_ts"):
        frame[name] = pd.Timestamp("2024-01-01", tz="UTC")
    frame["split"] = sides_of(data.entity, 0.2, "churn")
    return pa.Table.from_pandas(frame.assign(**columns), preserve_index=False)


def compared(champion: Recipe, challenger: Recipe, rows: pa.Table) -> RecipeComparison:
    return compare_recipes(champion, challenger, rows, settings=QUICK, seed=1, threads=1, progress=lambda *_: None)


def test_a_recipe_survives_being_written_down() -> None:
    kept = recipe(max_depth=4)
    assert Recipe.model_validate_json(kept.model_dump_json()) == kept
    assert Recipe.model_validate_json(kept.model_dump_json()).digest == kept.digest


@pytest.mark.parametrize(
    "other",
    [
        recipe(model=FAST.model_copy(update={"folds": 3})),
        recipe(contract_with(columns={n: c for n, c in CONTRACT.model_dump()["columns"].items() if n != "noise"})),
        recipe(contract_with(features=[])),
        recipe(contract_with(label=CONTRACT.label.model_dump() | {"window_days": 60})),
        recipe(contract_with(feature_digest="0" * 64)),
        Recipe.of(CONTRACT, FAST, TuningSettings(objective="profit"), FAST.boosting),
    ],
    ids=["settings", "columns", "features", "outcome", "feature functions", "search"],
)
def test_another_way_of_making_a_model_is_another_recipe(other: Recipe) -> None:
    assert other.digest != recipe().digest


@pytest.mark.parametrize(
    "same",
    [
        recipe(max_depth=5),
        recipe(contract_with(description="Words.", slices=["plan"], monthly_revenue="charges")),
        recipe(
            contract_with(
                columns={
                    n: c | {"description": "words"} for n, c in CONTRACT.model_dump(mode="json")["columns"].items()
                }
            )
        ),
        Recipe.of(CONTRACT, FAST, TuningSettings(timeout_seconds=5, parallel_trials=2), FAST.boosting),
    ],
    ids=["what the search chose", "words and reports", "descriptions", "how long to search"],
)
def test_what_no_fit_depends_on_leaves_the_recipe_the_same(same: Recipe) -> None:
    assert same.digest == recipe().digest


def own_features(folder: Path, source: str) -> DatasetContract:
    module = folder / "mine.py"
    module.write_text(source, encoding="utf-8")
    spec = {"name": "twice", "compute": "double", "inputs": ["tenure"], "description": "twice the tenure"}
    return contract_with(features=[spec], feature_module=str(module))


def test_feature_functions_travel_with_the_recipe_and_their_path_does_not(tmp_path: Path) -> None:
    kept = recipe(own_features(tmp_path, "def double(values):\n    return 2 * values\n"))
    assert str(tmp_path) not in kept.model_dump_json()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    restored = kept.restore_contract(elsewhere)
    assert restored.functions["double"](np.array([3.0])).tolist() == [6.0]
    assert restored.model_copy(update={"feature_module": None}) == contract_with(
        features=kept.contract["features"], feature_module=None
    )


def test_a_contract_without_functions_of_its_own_writes_nothing(tmp_path: Path) -> None:
    assert recipe().restore_contract(tmp_path) == CONTRACT
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_contract_is_refused(tmp_path: Path) -> None:
    broken = recipe().model_copy(update={"contract": {"name": "toy"}})
    with pytest.raises(ContractError, match="the recipe's contract: `description` is missing"):
        broken.restore_contract(tmp_path)


def test_a_feature_function_that_is_no_longer_there_is_named(tmp_path: Path) -> None:
    kept = recipe(own_features(tmp_path, "def double(values):\n    return 2 * values\n"))
    with pytest.raises(ContractError, match="'twice' is computed by 'double', which is neither built in"):
        kept.model_copy(update={"feature_source": None}).restore_contract(tmp_path)


def test_a_recipe_that_knows_less_is_found_worse() -> None:
    blind = recipe(contract_with(columns={"noise": {"type": "number", "description": "nothing"}}, features=[]))
    found = compared(recipe(), blind, table())
    for metric in found.metrics:
        assert metric.gain.point < -0.05
        assert metric.p_worse < 0.1
    assert found.rows == found.customers == int((sides_of(customers(600).entity, 0.2, "churn") == "train").sum())


def test_the_same_recipe_shows_no_difference_and_is_fitted_once() -> None:
    fits: list[int] = []
    again = Recipe.model_validate_json(recipe().model_dump_json())
    found = compare_recipes(
        recipe(), again, table(), settings=QUICK, seed=1, threads=1, progress=lambda done, *_: fits.append(done)
    )
    assert fits == [1]
    assert [metric.gain.point for metric in found.metrics] == [0, 0]


def test_the_same_recipe_with_other_searched_parameters_is_fitted_by_both() -> None:
    found = compared(recipe(), recipe(max_depth=5, learning_rate=0.3), table())
    assert all(metric.gain.point != 0 for metric in found.metrics)


def test_a_recipe_computes_its_features_from_raw_columns_whatever_is_stored() -> None:
    truthful, spoiled = (compared(recipe(), recipe(max_depth=3), rows) for rows in (table(), table(spent=7.0)))
    assert truthful == spoiled
    absent = compared(recipe(), recipe(max_depth=3), table().drop_columns(["spent"]))
    assert truthful == absent


def test_a_row_without_facts_has_no_features_either() -> None:
    rows = table()
    count = {"name": "plans", "compute": "count_equal", "inputs": ["plan"], "arguments": {"value": "pro"}}
    contract = contract_with(features=[count | {"description": "plans"}])
    times = rows["feature_ts"].to_pylist()
    side = training_side(
        rows.set_column(rows.column_names.index("feature_ts"), "feature_ts", [[None, *times[1:]]]), contract
    )
    assert rows["split"][0].as_py() == "train"
    assert np.isnan(side.columns["plans"][0])
    assert not np.isnan(side.columns["plans"][1:]).any()


def test_a_column_that_the_table_lacks_is_named_with_the_recipe_that_reads_it() -> None:
    rows = table().rename_columns([{"plan": "plans"}.get(name, name) for name in table().column_names])
    blind = recipe(contract_with(columns={"noise": {"type": "number", "description": "nothing"}}, features=[]))
    message = r"The champion's recipe .* lacks the column 'plan'; did you mean 'plans'\?: bring a source"
    with pytest.raises(ContractError, match=message):
        compared(recipe(), blind, rows)
    with pytest.raises(ContractError, match="The challenger's recipe cannot be made again"):
        compared(blind, recipe(), rows)


SAMPLE = predictions(1000, rows_each=2)
LABEL, ENTITY = SAMPLE.label.astype(np.int8), SAMPLE.entity.astype(object)


class Blurred:
    """Knows the truth but for a blur that differs from fit to fit, and remembers the seeds that it was given."""

    def __init__(self, blur: float, salt: int = 0) -> None:
        self.blur, self.salt = blur, salt
        self.seeds: list[int] = []
        self._lock = threading.Lock()

    def __call__(self, seed: int) -> np.ndarray:
        with self._lock:
            self.seeds.append(seed)
        truth = SAMPLE.truth
        noise = np.random.default_rng([seed, self.salt]).normal(0, self.blur, len(truth))
        return sigmoid(np.log(truth / (1 - truth)) + noise)


def learners_compared(champion: Learner, challenger: Learner, **changes: Any) -> RecipeComparison:
    options: dict[str, Any] = {"settings": GateSettings(), "seed": 3, "threads": 1, "progress": lambda *_: None}
    return compare_learners(champion, challenger, LABEL, ENTITY, **options | changes)


def metric(found: RecipeComparison, name: str) -> RecipeMetric:
    return next(each for each in found.metrics if each.name == name)


def test_the_better_learner_is_found_better_and_the_worse_one_worse() -> None:
    good, bad = Blurred(0.1), Blurred(1.5)
    for champion, challenger, better in ((bad, good, True), (good, bad, False)):
        found = learners_compared(champion, challenger).metrics
        assert found
        for each in found:
            assert (each.p_better if better else each.p_worse) < 0.01
            assert (each.gain.lower > 0) if better else (each.gain.upper < 0)


def test_learners_that_differ_by_chance_alone_are_rarely_told_apart() -> None:
    wins = [
        metric(learners_compared(Blurred(0.5), Blurred(0.5, salt=1), seed=100 * n), "log_loss").p_better
        for n in range(60)
    ]
    assert np.mean(np.array(wins) < 0.05) <= 0.07


def test_both_get_the_same_seeds_each_repeat_its_own() -> None:
    champion, challenger = Blurred(0.5), Blurred(0.2)
    learners_compared(champion, challenger, settings=GateSettings(folds=4, repeats=3))
    assert champion.seeds == challenger.seeds == [3, 4, 5]


def test_each_fold_of_customers_is_scored_by_itself() -> None:
    champion, challenger = Blurred(0.5), Blurred(0.2)
    found = metric(learners_compared(champion, challenger, settings=GateSettings(folds=4, repeats=1)), "log_loss")
    fold = customer_folds(customer_codes(ENTITY), LABEL, 4, 3)
    losses = [
        [-np.mean(np.log(np.where(LABEL == 1, p, 1 - p)[fold == index])) for index in range(4)]
        for p in (champion(3), challenger(3))
    ]
    np.testing.assert_allclose(found.folds, np.subtract(*losses))


def test_the_folds_of_a_recipe_are_those_that_it_is_scored_on() -> None:
    data = customers(600)
    fold = customer_folds(customer_codes(data.entity), data.label, 2, 1)
    np.testing.assert_array_equal(prepare(data, CONTRACT, 2, 1).fold, fold)


def test_the_test_is_corrected_for_the_share_of_rows_that_are_asked() -> None:
    found = metric(learners_compared(Blurred(0.8), Blurred(0.3)), "roc_auc")
    test = corrected_resampled_t(found.folds, test_share=0.25, alpha=0.05)
    assert len(found.folds) == 10
    assert found.gain == test.gain
    assert (found.p_better, found.p_worse, found.detectable) == (test.p_better, test.p_worse, test.detectable)
    assert found.challenger - found.champion == pytest.approx(found.gain.point)


def test_a_learner_against_itself_is_fitted_once_and_shows_no_difference() -> None:
    learner = Blurred(0.5)
    found = learners_compared(learner, learner)
    assert len(learner.seeds) == 2
    for each in found.metrics:
        assert (each.gain.point, each.gain.se, each.p_better, each.p_worse) == (0, 0, 0.5, 0.5)
        assert each.champion == each.challenger


def test_threads_change_nothing_but_the_time() -> None:
    alone, beside = (learners_compared(Blurred(0.5), Blurred(0.4), threads=threads) for threads in (1, 4))
    assert alone == beside


def test_progress_is_told_fit_by_fit() -> None:
    heard: list[tuple[int, int]] = []
    learners_compared(Blurred(0.5), Blurred(0.4), progress=lambda done, total, _: heard.append((done, total)))
    assert heard == [(done, 4) for done in range(1, 5)]


def test_what_was_compared_is_told() -> None:
    found = learners_compared(Blurred(0.5), Blurred(0.4))
    assert (found.rows, found.customers, found.folds, found.repeats) == (1000, 500, 5, 2)


def test_fewer_churners_than_folds_are_refused() -> None:
    few = np.zeros(1000, dtype=np.int8)
    few[:6] = 1  # three customers
    with pytest.raises(NotEnoughData, match="3 customers of the training rows churned"):
        compare_learners(
            Blurred(1), Blurred(1), few, ENTITY, settings=GateSettings(), seed=1, threads=1, progress=lambda *_: None
        )


def test_recipes_are_held_against_each_other_by_what_rows_stand_for() -> None:
    label, entity = SAMPLE_LABEL, np.array([f"c{number}" for number in range(400)], dtype=object)
    first = np.arange(400) < 40
    right, wrong = np.where(label == 1, 0.7, 0.3), np.where(label == 1, 0.3, 0.7)

    def found(weight: Any) -> float:
        comparison = compare_learners(
            lambda seed: np.where(first, wrong, right),
            lambda seed: np.where(first, right, wrong),
            label,
            entity,
            settings=QUICK,
            seed=1,
            threads=1,
            progress=lambda *_: None,
            weight=weight,
        )
        return comparison.metrics[0].gain.point

    assert found(None) < 0 < found(np.where(first, 100.0, 1.0))
    assert found(np.ones(400)) == found(None)


def test_a_table_of_rows_that_stand_for_others_is_learned_from_so() -> None:
    side = training_side(table(), CONTRACT)
    assert side.weight is None
    rows = table(untreated_weight=np.where(np.arange(600) % 3 == 0, 5.0, 1.0))
    weighted = training_side(rows, CONTRACT)
    assert weighted.weight is not None
    assert set(weighted.weight) == {1.0, 5.0}


SAMPLE_LABEL = (np.random.default_rng(7).random(400) < 0.4).astype(np.int8)
