"""Hyper-parameter search with Optuna: resumable after a kill; it reports what the search gained."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from ..core.codebase import closure, library_versions, source_digest
from ..core.errors import ConfigError
from ..core.frozen import Frozen
from ..data.contract import DatasetContract
from ..data.training_set import TrainingData, TrainingSet, customer_values
from ..evaluation.ranking import logit_losses
from ..model.frame import FloatArray
from ..model.model import sigmoid
from ..model.money import MoneySettings, expected_value, treatment_pays
from ..ports.studies import Trial
from ..ports.tables import TableRef
from .blending import Difference, paired_difference
from .boosting import BoostingParams, fit_folds
from .preparation import Prepared, prepare
from .train import ModelSettings

if TYPE_CHECKING:
    import optuna

__all__ = ["Judge", "Trial", "TuningResult", "TuningSettings", "search", "searched", "study_name", "suggest", "tune"]

_FIXED = "fixed"
_FINISHED = ("COMPLETE", "PRUNED")
_RANDOM_TRIALS = 6
_NOISE = 2.0
ProfitOfRows = Callable[[FloatArray], FloatArray]
"""Takes the out-of-fold churn probabilities of the training rows and returns what acting on each earns, in money."""

_RANGES: Mapping[str, tuple[float, float, bool]] = {
    "max_depth": (2, 6, False),
    "learning_rate": (0.03, 0.2, True),
    "min_child_weight": (1.0, 40.0, True),
    "subsample": (0.5, 1.0, False),
    "colsample_bytree": (0.25, 1.0, False),
    "reg_lambda": (0.1, 50.0, True),
    "gamma": (0.0, 3.0, False),
}
"""Smallest and largest value of each parameter, and whether it is drawn on a logarithmic scale."""


class TuningSettings(Frozen):
    """Whether, how long and for what to search."""

    mode: Literal["auto", "on", "off"] = Field(
        default="auto", description="auto stops when the gain stays within its noise; on spends the whole budget."
    )
    max_trials: int = Field(default=20, ge=1, le=1000, description="Trials of the study, resumed ones included.")
    min_trials: int = Field(default=8, ge=2, description="Trials before auto may stop for want of a gain.")
    min_rows: int = Field(default=1000, ge=0, description="With fewer training rows auto does not search.")
    timeout_seconds: float = Field(default=300.0, gt=0, description="No trial starts later than this.")
    objective: Literal["log_loss", "profit"] = Field(default="log_loss", description="What the best trial is best at.")
    parallel_trials: int = Field(default=1, ge=1, le=16, description="Trials side by side; 1 repeats exactly.")


class TuningResult(Frozen):
    """What the search found.

    Attributes:
        trials: Every finished trial of the study, in order.
        best: The complete trial with the best value, None where nothing was searched.
        boosting: The parameters to train with: those of `best`, or the fixed ones.
        objective: What `best` is best at.
        gain: How much better `best` is than the fixed configuration, per row, never negative.
        gain_se: Standard error of `gain`, paired by row, over customers.
        seconds: Wall time of this search.
        reason: In words, what the search bought and why it stopped.
    """

    trials: tuple[Trial, ...] = ()
    best: Trial | None = None
    boosting: BoostingParams
    objective: Literal["log_loss", "profit"]
    gain: float = 0.0
    gain_se: float = 0.0
    seconds: float = 0.0
    reason: str


def tune(
    data: TrainingData,
    contract: DatasetContract,
    model: ModelSettings,
    settings: TuningSettings,
    *,
    seed: int,
    storage: Any,
    study: str,
    threads: int = 2,
    on_trial: Callable[[Trial], None] | None = None,
    on_fold: Callable[[int], None] | None = None,
    profit: ProfitOfRows | None = None,
) -> TuningResult:
    """Search for the parameters of the boosted trees, on the folds that training uses.

    A trial's value is that of the trees alone or of their mean with the additive model, whichever is better. The fixed
    configuration is the first trial, so `best` is never worse. A study that was killed goes on where it stopped and,
    with one trial at a time, draws what it would have drawn.

    Args:
        data: The training side only.
        contract: What the columns mean.
        model: The settings of training; `model.boosting` is the fixed configuration.
        settings: How to search.
        seed: Seed of folds, trees and search.
        storage: Optuna's storage of all studies, from the port `Studies`.
        study: Name of the study. It must carry the data, code and configuration: trials under it are taken as they are.
        threads: Folds grown side by side where trials are not.
        on_trial: Called after each trial, from the thread that ran it.
        on_fold: Called with the folds that are done of the fixed configuration, the first trial.
        profit: Needed for the objective `profit`.

    Raises:
        ConfigError: the objective is profit, and `profit` is not given.
        NotEnoughData: as `train` does.
    """
    reason = _no_search(data, model, settings)
    if reason:
        return TuningResult(boosting=model.boosting, objective=settings.objective, reason=reason)
    if settings.objective == "profit" and profit is None:
        raise ConfigError("tuning.objective is profit, but nothing values the rows: use log_loss.")
    ready = prepare(data, contract, model.folds, seed)
    additive = None
    if "additive" in model.candidates:
        from .additive import fit_additive

        rows = ready.encoded, ready.model.categories, ready.label, ready.fold
        additive = fit_additive(*rows, customer=ready.customer, seed=seed, weight=ready.weight).oof
    budget = model.explanation_budget
    judge = Judge(ready, additive, seed, threads, budget, profit if settings.objective == "profit" else None)
    with _quiet():
        return _Search(judge, model.boosting, settings, seed, storage, study, on_trial, on_fold).run()


def _no_search(data: TrainingData, model: ModelSettings, settings: TuningSettings) -> str:
    """Return why there is nothing to search, or an empty string."""
    if settings.mode == "off":
        return "Tuning is off: the fixed configuration is used."
    if "boosting" not in model.candidates:
        return "Tuning has nothing to tune: boosting is not among model.candidates."
    if settings.mode == "auto" and len(data.label) < settings.min_rows:
        return (
            f"Tuning was skipped: on {len(data.label)} rows its gain could not be told from noise "
            f"(tuning.min_rows is {settings.min_rows})."
        )
    return ""


@dataclass
class _Search:
    """One process's part in a study."""

    judge: Judge
    fixed: BoostingParams
    settings: TuningSettings
    seed: int
    storage: Any
    name: str
    on_trial: Callable[[Trial], None] | None
    on_fold: Callable[[int], None] | None

    def run(self) -> TuningResult:
        started = time.monotonic()
        deadline = started + self.settings.timeout_seconds
        workers = self.settings.parallel_trials
        with ThreadPoolExecutor(workers) as pool:
            reasons = list(pool.map(lambda _: self._work(deadline), range(workers)))
        return self._result(self._study(), time.monotonic() - started, reasons[0])

    def _work(self, deadline: float) -> str:
        """Run trials until there is a reason to stop, and return it."""
        study = self._study()
        while not (reason := self._reason_to_stop(study, deadline)):
            finished = _finished(study)
            study.sampler = self._sampler(len(finished))
            waiting = any(trial.state.name == "WAITING" for trial in study.get_trials(deepcopy=False))
            if not any(trial.user_attrs.get(_FIXED) for trial in finished) and not waiting:
                study.enqueue_trial(searched(self.fixed), user_attrs={_FIXED: True})
            study.optimize(self._objective, n_trials=1, callbacks=[self._report])
        return reason

    def _objective(self, trial: optuna.Trial) -> float:
        import optuna

        params = suggest(trial, self.fixed)

        def after_fold(index: int, loss: float) -> None:
            if self.on_fold is not None and _FIXED in trial.user_attrs:
                self.on_fold(index + 1)
            trial.report(loss if self.judge.profit is None else -loss, index)
            if trial.should_prune():
                raise optuna.TrialPruned

        score = float(np.average(self.judge.scores(params, after_fold), weights=self.judge.ready.weight))
        return score if self.judge.profit is not None else -score

    def _report(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if self.on_trial is not None:
            self.on_trial(_trial(trial))

    def _reason_to_stop(self, study: optuna.Study, deadline: float) -> str:
        finished = _finished(study)
        if len(finished) >= self.settings.max_trials:
            return f"all {self.settings.max_trials} trials of the budget are done"
        if finished and time.monotonic() > deadline:
            return f"the {self.settings.timeout_seconds:g} seconds of the budget are over"
        if self.settings.mode == "auto" and len(finished) >= self.settings.min_trials:
            gain = self.judge.gain(self._best_params(study), self.fixed)
            if gain.mean <= _NOISE * gain.se:
                return f"after {len(finished)} trials the gain was within its noise"
        return ""

    def _result(self, study: optuna.Study, seconds: float, stopped: str) -> TuningResult:
        trials = tuple(_trial(trial) for trial in study.get_trials(deepcopy=False) if trial.state.is_finished())
        boosting = self._best_params(study)
        gain, objective = self.judge.gain(boosting, self.fixed), self.settings.objective
        unit = "log loss" if objective == "log_loss" else "money a row"
        spent = f"{len(trials)} trials and {seconds:.0f} seconds of this run. It stopped because {stopped}."
        return TuningResult(
            trials=trials,
            best=_trial(study.best_trial),
            boosting=boosting,
            objective=objective,
            gain=gain.mean,
            gain_se=gain.se,
            seconds=seconds,
            reason=f"{_bought(gain, unit)}, with {spent}",
        )

    def _best_params(self, study: optuna.Study) -> BoostingParams:
        return self.fixed.model_copy(update=study.best_trial.params)

    def _sampler(self, finished: int) -> optuna.samplers.BaseSampler:
        """Return the sampler of the next trial; its draws depend on the seed and on finished trials alone."""
        import optuna

        seed = int.from_bytes(sha256(f"{self.seed}:{finished}".encode()).digest()[:4], "big")
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=_RANDOM_TRIALS, constant_liar=self.settings.parallel_trials > 1
        )

    def _study(self) -> optuna.Study:
        import optuna

        return optuna.create_study(
            storage=self.storage,
            study_name=self.name,
            direction="minimize" if self.judge.profit is None else "maximize",
            pruner=optuna.pruners.WilcoxonPruner(p_threshold=0.1),
            load_if_exists=True,
        )


def _bought(gain: Difference, unit: str) -> str:
    if gain.mean <= 0:
        return "Tuning bought nothing: no trial beat the fixed configuration"
    pays = "more than" if gain.mean > _NOISE * gain.se else "within"
    return f"Tuning bought {gain.mean:.4f} ± {gain.se:.4f} of {unit}, {pays} two standard errors"


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name in _FINISHED]


def _trial(recorded: optuna.trial.FrozenTrial) -> Trial:
    return Trial(
        number=recorded.number,
        state=recorded.state.name,
        value=recorded.value if recorded.state.name == "COMPLETE" else None,
        params=recorded.params,
        seconds=recorded.duration.total_seconds() if recorded.duration is not None else 0.0,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's own log and its notes on experimental classes out of the user's way."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(level)


def _go_on(index: int, loss: float) -> None:
    """Never give up."""


@dataclass
class Judge:
    """Scores configurations of the trees on the same folds; what was scored once is remembered.

    Attributes:
        ready: The training rows.
        additive: Out-of-fold log-odds of the additive model, shape `(n_rows,)`, or None where it is no candidate.
        seed: Seed of the trees.
        threads: Folds grown side by side.
        budget: Microseconds a row that exact contributions may cost at most.
        profit: What acting on probabilities earns, or None to judge by log loss.
    """

    ready: Prepared
    additive: FloatArray | None
    seed: int
    threads: int
    budget: float
    profit: ProfitOfRows | None
    cache: dict[BoostingParams, tuple[FloatArray, list[float]]] = field(default_factory=dict)

    def scores(self, params: BoostingParams, after_fold: Callable[[int, float], None] = _go_on) -> FloatArray:
        """Return each row's score, greater is better: money, or minus the log loss; shape `(n_rows,)`.

        It is that of the trees alone or of their mean with the additive model, whichever has less log loss.

        Args:
            params: The configuration.
            after_fold: Called with each fold's index and its least log loss; it may raise to give up.
        """
        if params in self.cache:
            scores, losses = self.cache[params]
            for index, loss in enumerate(losses):
                after_fold(index, loss)
            return scores
        losses = []

        def record_loss(index: int, loss: float) -> None:
            losses.append(loss)
            after_fold(index, loss)

        trees = fit_folds(
            self.ready.matrices, params, self.seed, budget=self.budget, threads=self.threads, after_fold=record_loss
        ).oof
        choices = [trees] if self.additive is None else [trees, (trees + self.additive) / 2]
        label, weight = self.ready.label, self.ready.weight
        logit = min(choices, key=lambda choice: float(np.average(logit_losses(label, choice), weights=weight)))
        scores = -logit_losses(label, logit) if self.profit is None else self.profit(sigmoid(logit))
        self.cache[params] = scores, losses
        return scores

    def gain(self, params: BoostingParams, fixed: BoostingParams) -> Difference:
        """Return how much better `params` scores than `fixed`, with its standard error over customers."""
        return paired_difference(self.scores(params), self.scores(fixed), self.ready.customer, self.ready.weight)


def searched(params: BoostingParams) -> dict[str, float | int]:
    """Return the parameters that a search varies."""
    return {name: getattr(params, name) for name in _RANGES}


def suggest(trial: Any, fixed: BoostingParams) -> BoostingParams:
    """Draw a configuration with an `optuna.Trial` from the ranges, widened where `fixed` lies outside them."""
    drawn: dict[str, float | int] = {}
    for name, fixed_value in searched(fixed).items():
        smallest, largest, logarithmic = _RANGES[name]
        low, high = min(smallest, fixed_value), max(largest, fixed_value)
        if isinstance(fixed_value, int):
            drawn[name] = trial.suggest_int(name, int(low), int(high))
        else:
            drawn[name] = trial.suggest_float(name, low, high, log=logarithmic and low > 0)
    return fixed.model_copy(update=drawn)


def study_name(
    training_set: TableRef,
    contract: DatasetContract,
    model: ModelSettings,
    tuning: TuningSettings,
    money: MoneySettings,
    *,
    seed: int,
) -> str:
    """Return a name that carries all that a trial's value depends on: data, contract, settings, seed, code, libraries.

    The budget is no part of it, so that a larger one goes on from the trials there are. Neither are the economics,
    unless it is profit that the search maximises.
    """
    whole = "|".join(
        [
            training_set.content_id,
            contract.model_dump_json(),
            model.model_dump_json(),
            tuning.objective,
            money.model_dump_json() if tuning.objective == "profit" else "",
            str(seed),
            source_digest(closure("churn.training.search", "churn.model.money")),
            library_versions(),
        ]
    )
    return f"{training_set.dataset}-{sha256(whole.encode()).hexdigest()[:16]}"


def search(
    training: TrainingSet,
    contract: DatasetContract,
    model: ModelSettings,
    tuning: TuningSettings,
    money: MoneySettings,
    *,
    seed: int,
    storage: Any,
    study: str,
    threads: int,
    progress: Callable[[int, int, str], None],
) -> TuningResult:
    """Search for better trees on the training side; `progress` takes trials done, trials at most, a message."""
    side = training.side("train")
    value = customer_values(side, contract, money)
    label = side.data.label.astype(np.float64)
    best: list[float] = []

    def on_trial(trial: Trial) -> None:
        if trial.value is not None:
            better = min if tuning.objective == "log_loss" else max
            best[:] = [better([trial.value, *best])]
        unit = tuning.objective.replace("_", " ")
        progress(trial.number + 1, tuning.max_trials, f"best {unit} {best[0]:,.5f}" if best else "")

    def on_fold(done: int) -> None:
        progress(0, tuning.max_trials, f"fold {done} of {model.folds}")

    def profit(probability: FloatArray) -> FloatArray:
        return np.where(treatment_pays(probability, value, money), expected_value(label, value, money), 0.0)

    return tune(
        side.data,
        contract,
        model,
        tuning,
        seed=seed,
        storage=storage,
        study=study,
        threads=threads,
        on_trial=on_trial,
        on_fold=on_fold,
        profit=profit,
    )
