"""Two learners on the same folds: what they are given, and what is concluded from it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from churn.core.errors import NotEnoughData
from churn.evaluation.significance import corrected_resampled_t
from churn.gate.refits import Learner, compare_learners
from churn.gate.report import RecipeComparison, RecipeMetric
from churn.gate.settings import GateSettings
from churn.model.model import sigmoid
from tests.fakes.data.predictions import predictions

SAMPLE = predictions(1000, rows_each=2)
LABEL, ENTITY = SAMPLE.label.astype(np.int8), SAMPLE.entity.astype(object)


class Blurred:
    """Knows the truth but for a blur that differs from fit to fit, and remembers what it was asked."""

    def __init__(self, blur: float, salt: int = 0) -> None:
        self.blur, self.salt = blur, salt
        self.asked: list[tuple[tuple[int, ...], tuple[int, ...], int]] = []
        self._lock = threading.Lock()

    def __call__(self, learn: np.ndarray, ask: np.ndarray, seed: int) -> np.ndarray:
        with self._lock:
            self.asked.append((tuple(learn.tolist()), tuple(ask.tolist()), seed))
        truth = SAMPLE.truth[ask]
        noise = np.random.default_rng([seed, self.salt]).normal(0, self.blur, len(ask))
        return sigmoid(np.log(truth / (1 - truth)) + noise)


def compared(champion: Learner, challenger: Learner, **changes: Any) -> RecipeComparison:
    options: dict[str, Any] = {"settings": GateSettings(), "seed": 3, "threads": 1, "tell": lambda *_: None}
    return compare_learners(champion, challenger, LABEL, ENTITY, **options | changes)


def metric(found: RecipeComparison, name: str) -> RecipeMetric:
    return next(each for each in found.metrics if each.name == name)


def test_the_better_learner_is_found_better_and_the_worse_one_worse() -> None:
    good, bad = Blurred(0.1), Blurred(1.5)
    for champion, challenger, better in ((bad, good, True), (good, bad, False)):
        for each in compared(champion, challenger).metrics:
            assert (each.p_better if better else each.p_worse) < 0.01
            assert (each.gain.lower > 0) if better else (each.gain.upper < 0)


def test_learners_that_differ_by_chance_alone_are_rarely_told_apart() -> None:
    wins = [metric(compared(Blurred(0.5), Blurred(0.5, salt=1), seed=100 * n), "log_loss").p_better for n in range(60)]
    assert np.mean(np.array(wins) < 0.05) <= 0.07


def test_both_get_the_same_folds_and_seeds_each_fold_its_own() -> None:
    champion, challenger = Blurred(0.5), Blurred(0.2)
    compared(champion, challenger)
    assert champion.asked == challenger.asked
    assert len({seed for *_, seed in champion.asked}) == 10


def test_every_row_is_asked_once_a_repeat_and_no_customer_is_on_both_sides() -> None:
    learner = Blurred(0.5)
    compared(learner, Blurred(0.2), settings=GateSettings(folds=4, repeats=3))
    assert len(learner.asked) == 12
    for learn, ask, _ in learner.asked:
        assert not set(ENTITY[list(learn)]) & set(ENTITY[list(ask)])
        assert sorted(learn + ask) == list(range(1000))
    for repeat in range(3):
        asked = [row for _, ask, _ in learner.asked[4 * repeat : 4 * repeat + 4] for row in ask]
        assert sorted(asked) == list(range(1000))
    assert learner.asked[0][1] != learner.asked[4][1]


def test_the_test_is_corrected_for_the_share_of_rows_that_are_asked() -> None:
    found = metric(compared(Blurred(0.8), Blurred(0.3)), "roc_auc")
    test = corrected_resampled_t(found.folds, test_share=0.25, alpha=0.05)
    assert len(found.folds) == 10
    assert found.gain == test.gain
    assert (found.p_better, found.p_worse, found.detectable) == (test.p_better, test.p_worse, test.detectable)
    assert found.challenger - found.champion == pytest.approx(found.gain.point)


def test_a_learner_against_itself_is_fitted_once_and_shows_no_difference() -> None:
    learner = Blurred(0.5)
    found = compared(learner, learner)
    assert len(learner.asked) == 10
    for each in found.metrics:
        assert (each.gain.point, each.gain.se, each.p_better, each.p_worse) == (0, 0, 0.5, 0.5)
        assert each.champion == each.challenger


def test_threads_change_nothing_but_the_time() -> None:
    alone, beside = (compared(Blurred(0.5), Blurred(0.4), threads=threads) for threads in (1, 4))
    assert alone == beside


def test_progress_is_told_fit_by_fit() -> None:
    heard: list[tuple[int, int]] = []
    compared(Blurred(0.5), Blurred(0.4), tell=lambda done, total, _: heard.append((done, total)))
    assert heard == [(done, 20) for done in range(1, 21)]


def test_what_was_compared_is_told() -> None:
    found = compared(Blurred(0.5), Blurred(0.4))
    assert (found.rows, found.customers, found.folds, found.repeats) == (1000, 500, 5, 2)


def test_fewer_churners_than_folds_are_refused() -> None:
    few = np.zeros(1000, dtype=np.int8)
    few[:6] = 1  # three customers
    with pytest.raises(NotEnoughData, match="Only 3 customers in the training rows churned"):
        compare_learners(
            Blurred(1), Blurred(1), few, ENTITY, settings=GateSettings(), seed=1, threads=1, tell=lambda *_: None
        )
