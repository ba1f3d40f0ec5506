from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from churn.core.errors import ConfigError
from churn.training.boosting import BoostingParams
from churn.training.search import Trial, TuningResult, TuningSettings, searched, suggest, tune
from churn.training.train import ModelSettings
from tests.fakes.data.customers import CONTRACT, customers
from tests.fakes.ports.studies import InMemoryStudies

pytestmark = pytest.mark.slow

DATA = customers(300)
MODEL = ModelSettings(folds=3, boosting=BoostingParams(max_rounds=20), candidates=("additive", "boosting"))


def search(
    storage: Any, study: str = "study", data: Any = DATA, model: ModelSettings = MODEL, **options: Any
) -> TuningResult:
    """Search with few short trials on made-up customers; `options` are settings, or `on_trial` and `profit`."""
    extra = {name: options.pop(name) for name in ("on_trial", "profit") if name in options}
    settings = TuningSettings.model_validate({"mode": "on", "max_trials": 8, **options})
    return tune(data, CONTRACT, model, settings, seed=5, storage=storage, study=study, threads=1, **extra)


def outcomes(result: TuningResult) -> list[tuple[str, float | None, dict[str, float | int]]]:
    """Return what the trials tried and found, those of dead processes left out."""
    return [(trial.state, trial.value, trial.params) for trial in result.trials if trial.state != "FAIL"]


@pytest.fixture
def storage() -> Any:
    return InMemoryStudies().storage()


@pytest.fixture(scope="module")
def uninterrupted() -> TuningResult:
    return search(InMemoryStudies().storage())


def test_the_selected_trial_is_the_best_one(uninterrupted: TuningResult) -> None:
    assert uninterrupted.best is not None
    values = [trial.value for trial in uninterrupted.trials if trial.value is not None]
    assert len(values) > 1
    assert uninterrupted.best.value == min(values)
    assert searched(uninterrupted.boosting) == uninterrupted.best.params


def test_the_first_trial_is_the_fixed_configuration(uninterrupted: TuningResult) -> None:
    assert uninterrupted.trials[0].params == searched(MODEL.boosting)
    assert uninterrupted.trials[0].state == "COMPLETE"


def test_the_gain_is_that_of_the_best_over_the_fixed_configuration(uninterrupted: TuningResult) -> None:
    first, best = uninterrupted.trials[0].value, uninterrupted.best.value if uninterrupted.best else None
    assert first is not None
    assert best is not None
    assert uninterrupted.gain == pytest.approx(first - best)
    assert uninterrupted.gain_se > 0
    assert f"{uninterrupted.gain:.4f} ± {uninterrupted.gain_se:.4f} of log loss" in uninterrupted.reason
    assert uninterrupted.reason.endswith("It stopped because all 8 trials of the budget are done.")


def test_a_finished_study_is_taken_as_it_is(storage: Any, uninterrupted: TuningResult) -> None:
    first = search(storage)
    seen: list[Trial] = []
    again = search(storage, on_trial=seen.append)
    assert seen == []
    assert outcomes(again) == outcomes(first) == outcomes(uninterrupted)
    assert (again.boosting, again.gain, again.gain_se) == (first.boosting, first.gain, first.gain_se)


def test_another_study_in_the_same_storage_starts_anew(storage: Any) -> None:
    search(storage, "one", max_trials=2)
    assert len(search(storage, "two", max_trials=3).trials) == 3


def test_a_study_that_grows_goes_on_where_it_stopped(storage: Any, uninterrupted: TuningResult) -> None:
    for trials in (1, 3, 8):
        result = search(storage, max_trials=trials)
    assert outcomes(result) == outcomes(uninterrupted)


def test_every_trial_is_reported(storage: Any) -> None:
    seen: list[Trial] = []
    result = search(storage, max_trials=3, on_trial=seen.append)
    assert tuple(seen) == result.trials


def test_trials_side_by_side_finish_too(storage: Any) -> None:
    result = search(storage, parallel_trials=3, max_trials=6)
    assert 6 <= len(result.trials) <= 8
    assert result.gain >= 0


def test_profit_is_maximised(storage: Any) -> None:
    def profit(probability: np.ndarray) -> np.ndarray:
        return np.where(probability > 0.3, np.where(DATA.label == 1, 10.0, -4.0), 0.0)

    result = search(storage, objective="profit", profit=profit)
    assert result.best is not None
    assert result.best.value == max(trial.value for trial in result.trials if trial.value is not None)
    assert result.gain == pytest.approx(result.best.value - (result.trials[0].value or 0))


def test_profit_without_a_value_is_refused(storage: Any) -> None:
    with pytest.raises(ConfigError, match=r"tuning\.objective is profit, but nothing values the rows"):
        search(storage, objective="profit")


def test_auto_stops_where_the_gain_is_within_its_noise(storage: Any) -> None:
    random = np.random.default_rng(0)
    noise = customers(300)
    noise = type(noise)(noise.columns, random.permutation(noise.label), noise.entity)
    result = search(storage, data=noise, mode="auto", min_rows=0, min_trials=3)
    assert len(result.trials) == 3
    assert result.reason.endswith("It stopped because after 3 trials the gain was within its noise.")


def test_auto_goes_on_where_the_gain_is_beyond_its_noise(storage: Any) -> None:
    hopeless = MODEL.model_copy(update={"boosting": BoostingParams(max_rounds=20, learning_rate=0.001)})
    alone = hopeless.model_copy(update={"candidates": ("boosting",)})
    result = search(storage, model=alone, mode="auto", min_rows=0, min_trials=3)
    assert len(result.trials) == 8
    assert result.gain > 2 * result.gain_se


def test_the_time_budget_ends_the_search_after_the_fixed_configuration(storage: Any) -> None:
    result = search(storage, timeout_seconds=1e-6)
    assert len(result.trials) == 1
    assert result.boosting == MODEL.boosting
    assert "seconds of the budget are over" in result.reason


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"mode": "off"}, "Tuning is off: the fixed configuration is used."),
        ({"mode": "auto", "min_rows": 301}, "Tuning was skipped: on 300 rows"),
        ({"model": MODEL.model_copy(update={"candidates": ("additive",)})}, "boosting is not among model.candidates"),
    ],
)
def test_nothing_is_searched_where_it_cannot_pay(storage: Any, options: dict[str, Any], reason: str) -> None:
    result = search(storage, **options)
    assert reason in result.reason
    assert (result.trials, result.best, result.boosting) == ((), None, MODEL.boosting)


def test_ranges_are_widened_to_hold_the_fixed_configuration() -> None:
    import optuna

    fixed = BoostingParams(max_depth=9, learning_rate=0.9, gamma=7.0)
    trial = optuna.trial.FixedTrial(searched(fixed))
    assert suggest(trial, fixed) == fixed


def test_settings_are_strict() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        TuningSettings.model_validate({"trials": 3})
    with pytest.raises(ValidationError, match="max_trials"):
        TuningSettings(max_trials=0)
