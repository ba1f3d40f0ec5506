"""Training: every candidate on the same folds, the blend that out-of-fold loss asks for, calibration, thresholds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, field_validator

from ..core.frozen import Frozen
from ..data.contract import DatasetContract
from ..data.training_set import TrainingData
from ..model.frame import FloatArray
from ..model.model import ChurnModel, sigmoid
from .blending import Blend, BlendScore, choose_blend, mean_logit
from .boosting import BoostedFolds, BoostingParams, fit_folds, merge
from .calibration import Calibration, best_f1_threshold, calibrate
from .preparation import Prepared, prepare

if TYPE_CHECKING:
    from .logistic import AdditiveFit

__all__ = ["Candidate", "ModelSettings", "TrainingData", "TrainingReport", "TrainingResult", "train"]

Candidate = Literal["additive", "boosting", "deep_boosting"]
_DEFAULT: tuple[Candidate, ...] = ("additive", "boosting")


class ModelSettings(Frozen):
    """How models are trained."""

    folds: int = Field(default=5, ge=2, le=20, description="Folds by customer, the same for every candidate.")
    candidates: tuple[Candidate, ...] = Field(
        default=("additive", "boosting", "deep_boosting"), min_length=1, description="What may enter the blend."
    )
    boosting: BoostingParams = Field(default=BoostingParams(), description="The trees that tuning improves on.")
    deep_boosting: BoostingParams = Field(
        default=BoostingParams(
            max_depth=6, learning_rate=0.1, min_child_weight=1, subsample=0.8, colsample_bytree=0.8, reg_lambda=1
        ),
        description="Deeper trees, used where interactions of many features pay.",
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


class TrainingReport(Frozen):
    """What training tried, chose and measured, all of it out of fold.

    Attributes:
        rows: Training rows.
        customers: Customers they belong to.
        churn_rate: Share of rows with label 1.
        blends: Every blend of candidates, least log loss first, with its standard error over customers.
        chosen: The candidates whose mean log-odds the model is.
        calibration: Scores before and after, and whether a line was applied.
        thresholds: Probabilities from which a customer counts as a churner: `f1`, where F1 is greatest.
        fitted: What cross-validation chose: rounds of the ensembles, penalty and curvature of the additive model.
        seconds: Wall time of each part.
        cpu_seconds: CPU time of each part, all threads together.
    """

    rows: int
    customers: int
    churn_rate: float
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
    data: TrainingData, contract: DatasetContract, settings: ModelSettings, *, seed: int, threads: int = 2
) -> TrainingResult:
    """Train every candidate and return the calibrated blend; the same input and seed give the same bits.

    Args:
        data: The training side only; the holdout has no part in anything here.
        contract: What the columns mean.
        settings: How to train.
        seed: Seed of folds and sampling.
        threads: Folds fitted side by side; it does not change the result.

    Raises:
        ContractError: a column is not there, or holds text in place of numbers.
        NotEnoughData: too few rows, one class, too few customers of a class, or no column that varies.
    """
    watch = _Watch()
    with watch.part("prepare"):
        ready = prepare(data, contract, settings.folds, seed)
    fits: dict[str, AdditiveFit | BoostedFolds] = {}
    for name in settings.candidates:
        with watch.part(name):
            fits[name] = _fit(name, ready, settings, seed, threads)
    with watch.part("choose"):
        result = _conclude(ready, fits, settings.default_blend)
    report = result.report.model_copy(update={"seconds": watch.seconds, "cpu_seconds": watch.cpu_seconds})
    return replace(result, report=report)


def _conclude(ready: Prepared, fits: Mapping[str, AdditiveFit | BoostedFolds], default: Blend) -> TrainingResult:
    """Choose the blend, calibrate it, find its threshold and put the model together."""
    oof = {name: fit.oof for name, fit in fits.items()}
    chosen, blends = choose_blend(oof, ready.label, ready.customer, default)
    logit = mean_logit(oof, chosen)
    calibration = calibrate(logit, ready.label, ready.fold, ready.customer)
    probability = sigmoid(calibration.slope * logit + calibration.intercept)
    report = TrainingReport(
        rows=len(ready.label),
        customers=int(ready.customer.max()) + 1,
        churn_rate=float(np.mean(ready.label)),
        blends=blends,
        chosen=chosen,
        calibration=calibration,
        thresholds={"f1": best_f1_threshold(probability, ready.label)},
        fitted=_fitted(fits),
    )
    # Without the times, which would make every model another one.
    details = report.model_dump(mode="json", exclude={"blends", "thresholds", "seconds", "cpu_seconds"})
    model = _assemble(ready, [fits[name] for name in chosen], calibration)
    return TrainingResult(replace(model, details=details, thresholds=report.thresholds), probability, report)


def _fit(
    name: Candidate, ready: Prepared, settings: ModelSettings, seed: int, threads: int
) -> AdditiveFit | BoostedFolds:
    if name == "additive":
        from .logistic import fit_additive

        return fit_additive(
            ready.encoded, ready.model.categories, ready.label, ready.fold, customer=ready.customer, seed=seed
        )
    params = settings.boosting if name == "boosting" else settings.deep_boosting
    return fit_folds(ready.matrices, params, seed, threads=threads)


def _assemble(ready: Prepared, parts: Sequence[AdditiveFit | BoostedFolds], calibration: Calibration) -> ChurnModel:
    """Return the model whose log-odds are the calibrated mean of the parts; weights and line go into the parts."""
    weight = calibration.slope / len(parts)
    ensembles = [(part, weight) for part in parts if isinstance(part, BoostedFolds)]
    additive = next((part.model.scaled(weight) for part in parts if not isinstance(part, BoostedFolds)), None)
    booster, base = merge(ensembles) if ensembles else (None, 0.0)
    return replace(ready.model, intercept=calibration.intercept + base, additive=additive, booster=booster)


def _fitted(fits: Mapping[str, AdditiveFit | BoostedFolds]) -> dict[str, float]:
    fitted: dict[str, float] = {}
    for name, fit in fits.items():
        if isinstance(fit, BoostedFolds):
            fitted[f"{name}_rounds"] = fit.rounds
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
