"""Training: every candidate on the same folds, the blend that out-of-fold loss asks for, calibration, thresholds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from ..core.errors import NotEnoughData
from ..core.frozen import Frozen
from ..data.contract import DatasetContract
from ..data.training_set import TrainingData, effective_rows
from ..evaluation.ranking import logit_losses
from ..model.frame import FloatArray
from ..model.model import ChurnModel, sigmoid
from .additive import AdditiveFit, fit_additive
from .blending import Blend, BlendScore, choose_blend, mean_logit, paired_difference
from .boosting import BoostedFolds, BoostingParams, fit_folds, refit
from .calibration import Calibration, best_f1_threshold, calibrate
from .folds import customer_codes
from .preparation import Prepared, prepare
from .symmetric import SymmetricFolds, fit_symmetric_folds, grow_symmetric

__all__ = ["Candidate", "Doubling", "ModelSettings", "TrainingData", "TrainingReport", "TrainingResult", "train"]

Candidate = Literal["additive", "boosting", "deep_boosting", "symmetric"]
_XGBOOST: tuple[Candidate, ...] = ("boosting", "deep_boosting")
Fit = AdditiveFit | BoostedFolds | SymmetricFolds
_DEFAULT: tuple[Candidate, ...] = ("additive", "boosting")


class ModelSettings(Frozen):
    """How models are trained."""

    folds: int = Field(default=5, ge=2, le=20, description="Folds by customer, the same for every candidate.")
    candidates: tuple[Candidate, ...] = Field(
        default=("additive", "boosting", "deep_boosting", "symmetric"),
        min_length=1,
        description="What may enter the blend; symmetric trees only where a blend with deeper trees beats the default.",
    )
    boosting: BoostingParams = Field(default=BoostingParams(), description="The trees that tuning improves on.")
    deep_boosting: BoostingParams = Field(
        default=BoostingParams(
            max_depth=6, learning_rate=0.1, min_child_weight=1, subsample=0.8, colsample_bytree=0.8, reg_lambda=1
        ),
        description="Deeper trees, used where interactions of many features pay.",
    )
    max_rows: int = Field(
        default=200_000, ge=1000, description="Of more training rows, whole customers are drawn at random."
    )
    explanation_budget: float = Field(
        default=300.0,
        gt=0,
        description="Microseconds of CPU a row that exact reasons may cost at most, by the cost model of the trees.",
    )

    @field_validator("candidates")
    @classmethod
    def _each_once(cls, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        if len(set(candidates)) < len(candidates):
            raise ValueError("each candidate may be named once")
        return candidates

    @property
    def default_blend(self) -> Blend:
        """The blend that needs no proof: additive model and boosting, as far as they are candidates."""
        return tuple(name for name in self.candidates if name in _DEFAULT) or self.candidates[:1]

    def trees(self, name: Candidate) -> BoostingParams:
        """Return how the trees of a candidate grow."""
        return self.boosting if name == "boosting" else self.deep_boosting


class Doubling(Frozen):
    """What the last doubling of the training rows bought, on the rows of half the customers.

    Attributes:
        rows: Rows that both fits were asked about, and that the smaller one learned from, out of fold.
        gain: Log loss a row that twice as many customers to learn from save.
        gain_se: Standard error of `gain` over customers.
    """

    rows: int
    gain: float
    gain_se: float


class TrainingReport(Frozen):
    """What training tried, chose and measured, all of it out of fold.

    Attributes:
        rows: Rows that were learned from.
        available: Rows that there were to learn from.
        doubling: What the last doubling of the rows bought, where there were more than were learned from.
        customers: Customers they belong to.
        churn_rate: Share of rows with label 1, each counted as often as the rows that it stands for.
        effective_rows: How many rows of equal weight count as much; None where each row stands for itself alone.
        blends: Every blend of candidates, least log loss first, with its standard error over customers.
        chosen: The candidates whose mean log-odds the model is.
        calibration: Scores before and after, and whether a line was applied.
        thresholds: Probabilities from which a customer counts as a churner: `f1`, where F1 is greatest.
        fitted: What cross-validation chose: rounds of the ensembles and microseconds a row that exact contributions of
            one ensemble cost, penalty and curvature of the additive model.
        seconds: Wall time of each part.
        cpu_seconds: CPU time of each part, all threads together.
    """

    rows: int
    available: int = 0
    doubling: Doubling | None = None
    customers: int
    churn_rate: float
    effective_rows: float | None = None
    blends: tuple[BlendScore, ...]
    chosen: Blend
    calibration: Calibration
    thresholds: dict[str, float]
    fitted: dict[str, float]
    seconds: dict[str, float] = Field(default_factory=dict)
    cpu_seconds: dict[str, float] = Field(default_factory=dict)


@dataclass(frozen=True)
class TrainingResult:
    """The model, its out-of-fold probabilities of shape `(n_rows,)`, and the report of how it came about."""

    model: ChurnModel
    oof_probability: FloatArray
    report: TrainingReport


def train(
    data: TrainingData,
    contract: DatasetContract,
    settings: ModelSettings,
    *,
    seed: int,
    threads: int = 2,
    available: int = 0,
) -> TrainingResult:
    """Train every candidate and return the calibrated blend; the same input and seed give the same bits.

    Args:
        data: The training side only; the holdout has no part in anything here.
        contract: What the columns mean.
        settings: How to train.
        seed: Seed of folds and sampling.
        threads: Folds fitted side by side; it does not change the result.
        available: Rows that `data` was drawn from, if there were more.

    Raises:
        ContractError: a column is not there, or holds text in place of numbers.
        NotEnoughData: too few rows, one class, too few customers of a class, or no column that varies.
    """
    watch = _Watch()
    with watch.part("prepare"):
        ready = prepare(data, contract, settings.folds, seed)
    fits: dict[Candidate, Fit] = {}
    for name in sorted(settings.candidates, key=lambda name: name == "symmetric"):
        if name == "symmetric" and not _deeper_trees_pay(ready, fits, settings):
            continue
        with watch.part(name):
            fits[name] = _fit(name, ready, settings, seed, threads)
    with watch.part("choose"):
        result = _conclude(ready, fits, settings, available)
    if available > len(data.label):
        with watch.part("doubling"):
            report = _with_doubling(result.report, data, contract, settings, fits, seed=seed, threads=threads)
            result = replace(result, report=report)
    with watch.part("refit"):
        result = replace(result, model=_assemble(ready, result, fits, settings, seed))
    report = result.report.model_copy(update={"seconds": watch.seconds, "cpu_seconds": watch.cpu_seconds})
    return replace(result, report=report)


def _deeper_trees_pay(ready: Prepared, fits: Mapping[Candidate, Fit], settings: ModelSettings) -> bool:
    """Return whether a blend with deeper trees beats the default one, or there are no deeper trees to ask."""
    if "deep_boosting" not in fits:
        return True
    return _choose(ready, fits, settings)[0] != settings.default_blend


def _choose(
    ready: Prepared, fits: Mapping[Candidate, Fit], settings: ModelSettings
) -> tuple[Blend, tuple[BlendScore, ...]]:
    oof: dict[str, FloatArray] = {name: fit.oof for name, fit in fits.items()}
    return choose_blend(oof, ready.label, ready.customer, settings.default_blend, apart=_XGBOOST, weight=ready.weight)


def _conclude(
    ready: Prepared, fits: Mapping[Candidate, Fit], settings: ModelSettings, available: int
) -> TrainingResult:
    """Choose the blend, calibrate it and find its threshold; the model has no parts yet."""
    oof: dict[str, FloatArray] = {name: fit.oof for name, fit in fits.items()}
    chosen, blends = _choose(ready, fits, settings)
    logit = mean_logit(oof, chosen)
    calibration = calibrate(logit, ready.label, ready.fold, ready.customer, ready.weight)
    probability = sigmoid(calibration.slope * logit + calibration.intercept)
    report = TrainingReport(
        rows=len(ready.label),
        available=max(available, len(ready.label)),
        customers=int(ready.customer.max()) + 1,
        churn_rate=float(np.average(ready.label, weights=ready.weight)),
        effective_rows=None if ready.weight is None else effective_rows(ready.weight),
        blends=blends,
        chosen=chosen,
        calibration=calibration,
        thresholds={"f1": best_f1_threshold(probability, ready.label, ready.weight)},
        fitted=_fitted(fits),
    )
    # Without the times, which would make every model another one.
    unsaid = {"blends", "thresholds", "seconds", "cpu_seconds", *(["effective_rows"] if ready.weight is None else [])}
    details = report.model_dump(mode="json", exclude=unsaid)
    return TrainingResult(replace(ready.model, details=details, thresholds=report.thresholds), probability, report)


def _with_doubling(
    report: TrainingReport,
    data: TrainingData,
    contract: DatasetContract,
    settings: ModelSettings,
    fits: Mapping[Candidate, Fit],
    *,
    seed: int,
    threads: int,
) -> TrainingReport:
    """Return the report with what half the customers to learn from would have cost the chosen blend."""
    customer = customer_codes(data.entity)
    is_drawn = np.random.default_rng(seed).permutation(int(customer.max()) + 1) % 2 == 0
    rows = np.flatnonzero(is_drawn[customer])
    columns = {name: values[rows] for name, values in data.columns.items()}
    weight = None if data.weight is None else data.weight[rows]
    part = TrainingData(columns, data.label[rows], data.entity[rows], weight)
    try:
        half = prepare(part, contract, settings.folds, seed)
    except NotEnoughData:
        return report
    chosen = [name for name in fits if name in report.chosen]
    oof: dict[str, FloatArray] = {name: _fit(name, half, settings, seed, threads).oof for name in chosen}
    whole: dict[str, FloatArray] = {name: fits[name].oof[rows] for name in chosen}
    fewer, more = (logit_losses(half.label, mean_logit(logits, report.chosen)) for logits in (oof, whole))
    gain = paired_difference(fewer, more, half.customer, half.weight)
    doubling = Doubling(rows=len(rows), gain=gain.mean, gain_se=gain.se)
    return report.model_copy(update={"doubling": doubling})


def _fit(name: Candidate, ready: Prepared, settings: ModelSettings, seed: int, threads: int) -> Fit:
    if name == "additive":
        rows = ready.encoded, ready.model.categories, ready.label, ready.fold
        return fit_additive(*rows, customer=ready.customer, seed=seed, weight=ready.weight)
    if name == "symmetric":
        rows = ready.encoded, ready.model.categories, ready.label, ready.fold
        return fit_symmetric_folds(*rows, seed=seed, threads=threads, weight=ready.weight)
    params = settings.trees(name)
    return fit_folds(ready.matrices, params, seed, budget=settings.explanation_budget, threads=threads)


def _assemble(
    ready: Prepared,
    result: TrainingResult,
    fits: Mapping[Candidate, Fit],
    settings: ModelSettings,
    seed: int,
) -> ChurnModel:
    """Return the model of the chosen parts, each learned from all rows; mean and calibration become their weights."""
    calibration = result.report.calibration
    weight = calibration.slope / len(result.report.chosen)
    model, budget = replace(result.model, intercept=calibration.intercept), settings.explanation_budget
    chosen = {name: fit for name, fit in fits.items() if name in result.report.chosen}
    for fit in chosen.values():
        if isinstance(fit, AdditiveFit):
            model = replace(model, additive=fit.model.scaled(weight))
        elif isinstance(fit, SymmetricFolds):
            rows = ready.encoded, ready.model.categories, ready.label
            trees = grow_symmetric(*rows, rounds=fit.rounds, seed=seed, weight=ready.weight).scaled(weight)
            model, budget = replace(model, symmetric=trees), budget - trees.explanation_cost
    for name, fit in chosen.items():
        if isinstance(fit, BoostedFolds):
            booster = refit(ready.matrices, settings.trees(name), fit, seed, budget=budget)
            model = replace(model, booster=booster, tree_weight=weight)
    return model


def _fitted(fits: Mapping[Candidate, Fit]) -> dict[str, float]:
    fitted: dict[str, float] = {}
    for name, fit in fits.items():
        if isinstance(fit, BoostedFolds):
            fitted |= {f"{name}_rounds": fit.rounds, f"{name}_explanation_us": round(fit.explanation_cost, 1)}
        elif isinstance(fit, SymmetricFolds):
            fitted["symmetric_rounds"] = fit.rounds
        else:
            fitted |= {"additive_penalty": fit.penalty, "additive_curvature": fit.curvature}
    return fitted


class _Watch:
    """Wall and CPU seconds of named parts of the work."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds[name] = time.perf_counter() - wall
        self.cpu_seconds[name] = time.process_time() - cpu
