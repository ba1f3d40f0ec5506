"""What the gate measures: both versions on the rows that neither was trained on, both recipes on the same folds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..core.errors import NotEnoughData
from ..data.contract import DatasetContract
from ..evaluation.evaluate import Evaluation, evaluate
from ..model.frame import FloatArray
from ..ports.registry import ModelVersion
from ..ports.tables import FeatureStore, TableRef
from .candidate import Candidate, contestant
from .comparison import compare
from .first import first_checks
from .inquiry import Inquiry
from .paired import PairedRows, Predictions
from .quality import quality_checks
from .recipes import compare_recipes
from .report import Comparison, Contestant, RecipeComparison, Relation
from .rows import JudgedRows, newer, read_rows, unseen_rows
from .settings import GateRules

__all__ = ["Case", "Evidence", "MatureRows", "alone", "mature_rows", "side_by_side"]

_SOURCES: tuple[Literal["labels"], Literal["features"]] = ("labels", "features")


@dataclass(frozen=True)
class Case:
    """What everything is asked about."""

    contract: DatasetContract
    rules: GateRules
    relation: Relation
    challenger: Contestant
    champion: Contestant | None


@dataclass(frozen=True)
class MatureRows:
    """All mature rows, as joined, those that neither model was trained on, the training side's churn, all customers."""

    ref: TableRef
    table: pa.Table
    unseen: JudgedRows
    churn_rate: float
    customers: int


@dataclass(frozen=True)
class Evidence:
    """What was measured, as far as it could be."""

    challenger: Evaluation | None = None
    champion: Evaluation | None = None
    holdout: Comparison | None = None
    newest: Comparison | None = None
    recipes: RecipeComparison | None = None


def mature_rows(
    store: FeatureStore, case: Case, versions: tuple[ModelVersion, ModelVersion | None], now: dt.datetime
) -> MatureRows:
    """Join the outcomes that are known now with the features of their time."""
    labels, features = (store.latest(case.contract.table(name).name) for name in _SOURCES)
    ref = store.point_in_time_join(labels, features, case.contract.table("evaluation"), known_by=now)
    table = store.read(ref)
    known = [version for version in versions if version is not None]
    rows = read_rows(table, case.contract, case.rules.money)
    unseen = unseen_rows(
        rows,
        [contestant(version) for version in known],
        [version.tags.get("split", "") for version in known],
        case.rules.split,
    )
    unseen.require(case.rules.gate.min_churners)
    churn_rate = float(np.mean(rows.training.side("train").data.label))
    return MatureRows(ref, table, unseen, churn_rate, len(np.unique(rows.training.data.entity)))


def alone(inquiry: Inquiry, case: Case, rows: MatureRows, new: Candidate) -> Evidence:
    """Hold the first champion against bars of its own."""
    unseen = rows.unseen
    scores = inquiry.part("scores", lambda: new.probability(unseen.customers))
    if scores is None:
        return Evidence()
    evaluation = inquiry.part("evaluation", lambda: _evaluated(case, unseen, scores, new))
    if evaluation is not None:
        inquiry.checks += first_checks(
            evaluation, unseen.label, scores, unseen.training.data.entity,
            churn_rate=rows.churn_rate, settings=case.rules.gate,
        )  # fmt: skip
    return Evidence(challenger=evaluation)


def side_by_side(inquiry: Inquiry, case: Case, rows: MatureRows, new: Candidate, old: Candidate) -> Evidence:
    """Hold both versions against each other on the same rows, and both recipes on the same folds."""
    rules, unseen = case.rules, rows.unseen
    scores = inquiry.part("scores", lambda: new.probability(unseen.customers))
    before = inquiry.part("champion_scores", lambda: old.probability(unseen.customers))
    if scores is None or before is None:
        return Evidence()
    evaluation = inquiry.part("evaluation", lambda: _evaluated(case, unseen, scores, new))
    champion = inquiry.part("champion_evaluation", lambda: _evaluated(case, unseen, before, old))
    paired = _paired(case, rows, Predictions(before, old.thresholds["f1"]), Predictions(scores, new.thresholds["f1"]))
    judge = partial(compare, money=rules.money, settings=rules.gate, seed=rules.seed)
    holdout = inquiry.part("holdout", lambda: judge(paired, name="holdout"))
    newest = inquiry.part("newest", lambda: _on_the_newest(case, unseen, paired, judge))
    recipes = None
    if case.relation == "recipe":
        recipes = inquiry.part(
            "recipes",
            lambda: compare_recipes(
                old.recipe, new.recipe, rows.table,
                settings=rules.gate, seed=rules.seed, threads=rules.threads,
                tell=inquiry.within("both recipes refitted"),
            ),
        )  # fmt: skip
    if holdout is not None and evaluation is not None:
        inquiry.checks += quality_checks(
            case.relation, holdout=holdout, newest=newest, recipes=recipes, evaluation=evaluation,
            settings=rules.gate, currency=rules.money.currency,
        )  # fmt: skip
    return Evidence(evaluation, champion, holdout, newest, recipes)


def _evaluated(case: Case, rows: JudgedRows, scores: FloatArray, model: Candidate) -> Evaluation:
    rules = case.rules
    return evaluate(
        rows.label,
        scores,
        rows.training.data.entity,
        thresholds=model.thresholds,
        money=rules.money,
        value=rows.value,
        slices=_slices(case, rows),
        settings=rules.evaluation,
        seed=rules.seed,
    )


def _paired(case: Case, rows: MatureRows, champion: Predictions, challenger: Predictions) -> PairedRows:
    unseen = rows.unseen
    return PairedRows(
        label=unseen.label,
        entity=unseen.training.data.entity,
        event_time=unseen.event_time,
        value=unseen.value,
        champion=champion,
        challenger=challenger,
        slices=_slices(case, unseen),
        base=rows.customers,
    )


def _on_the_newest(
    case: Case, unseen: JudgedRows, paired: PairedRows, judge: Callable[..., Comparison]
) -> Comparison | None:
    """Compare on the rows that the champion is too old to know; None where they are too few to say anything."""
    mask = newer(unseen, [] if case.champion is None else [case.champion])
    try:
        unseen.where(mask).require(case.rules.gate.min_churners)
    except NotEnoughData:
        return None
    return judge(paired.where(mask), name="newest")


def _slices(case: Case, rows: JudgedRows) -> Mapping[str, npt.NDArray[np.generic]]:
    return {name: rows.training.columns[name] for name in case.contract.slices}
