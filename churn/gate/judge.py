"""The gate: every check of a challenger, in order; an exception in any part of it is a failed check."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import pandas as pd
import pyarrow.compute as pc

from ..core.errors import ChurnError, NotEnoughData, NotFound
from ..data.contract import DatasetContract
from ..data.tables import SPLIT
from ..data.training_set import drawn_rows, effective_rows
from ..evaluation.evaluate import Evaluation, evaluate
from ..evaluation.headline import rows_in_words
from ..evaluation.holdout import Holdout
from ..model.frame import FloatArray
from ..model.model import ChurnModel
from ..ports.registry import ModelVersion
from ..ports.tables import FeatureStore
from .comparison import PairedRows, VersionScores, compare
from .first_model import first_model_checks
from .inputs import EvaluationRows, JudgedVersion, Load, MatureRows, mature_rows, newer_than
from .quality import SAME_MODEL, code_check, no_difference, quality_checks
from .recipes import Remake, compare_recipes, predictor_digest
from .report import Check, Checks, Comparison, GateReport, Progress, RecipeComparison, Relation, VersionSummary
from .settings import GateRules
from .soundness import soundness_checks

__all__ = ["judge", "relation_of"]

_SAMPLE = 1_000
"""Customers on whom predictions, reasons and latency are checked."""


@dataclass(frozen=True)
class _Case:
    """What all parts of one gate share."""

    store: FeatureStore
    contract: DatasetContract
    rules: GateRules
    relation: Relation
    challenger: VersionSummary
    champion: VersionSummary | None


@dataclass(frozen=True)
class _Evidence:
    """What was measured; None where it was not asked for or could not be."""

    challenger: Evaluation | None = None
    champion: Evaluation | None = None
    holdout: Comparison | None = None
    newest: Comparison | None = None
    recipes: RecipeComparison | None = None


def judge(
    challenger: ModelVersion,
    champion: ModelVersion | None,
    *,
    store: FeatureStore,
    load: Load,
    contract: DatasetContract,
    rules: GateRules,
    remake: Remake,
    progress: Progress,
    now: dt.datetime,
) -> GateReport:
    """Run every check of a challenger and return the report; an exception anywhere is a failed check.

    Both versions are fetched by their registered digests and score the same rows: mature at `now`, and known to the
    training of neither. Nothing is read from what a training run measured.

    Args:
        challenger: The version that wants to go live.
        champion: The version that is live; None where none is.
        store: The dataset's tables.
        load: Fetches and loads a version.
        contract: The dataset's contract as it is now.
        rules: What it is judged by.
        remake: Makes the champion again from its recipe; called where code or libraries of the versions differ.
        progress: Called as each part begins.
        now: The time until which outcomes may be known (UTC).
    """
    checks = Checks(progress)
    case = _case(checks, challenger, champion, store=store, contract=contract, rules=rules)
    new = checks.part("loads", lambda: load(challenger))
    old = None if champion is None else checks.part("champion_loads", lambda: load(champion))
    pairs = ((challenger, case.challenger), (champion, case.champion))
    versions = [(version, summary) for version, summary in pairs if version is not None and summary is not None]
    rows = checks.part("rows", lambda: mature_rows(store, contract, rules, versions, now))
    if new is not None and old is not None and case.relation == "recipe":
        case = replace(case, relation=_relation_by_recipes(checks, case, new, old, remake))
    evidence = _Evidence() if new is None or rows is None else _evidence(checks, case, rows, new, old)
    return _report(checks, case, rows, evidence, model=challenger.name, now=now)


def relation_of(
    challenger: VersionSummary, champion: VersionSummary | None, *, same_configuration: bool = False
) -> Relation:
    """Return what the challenger is to the champion, as far as tags and the configuration of the recipes tell."""
    if champion is None:
        return "first"
    if challenger.digest == champion.digest:
        return "identical"
    until, before = challenger.trained_until, champion.trained_until
    newer = until is not None and before is not None and until >= before
    is_refresh = same_configuration and newer and challenger.data_digest != champion.data_digest
    return "refresh" if is_refresh else "recipe"


def _relation_by_recipes(
    checks: Checks, case: _Case, new: JudgedVersion, old: JudgedVersion, remake: Remake
) -> Relation:
    """Return what the challenger is to the champion by their recipes and by the code that made them."""
    same = checks.part(
        "recipes_read", lambda: (new.recipe.same_code(old.recipe), new.recipe.same_configuration(old.recipe))
    )
    if same is None:
        return "recipe"
    same_code, same_configuration = same
    if not same_code:
        check = checks.part("code", lambda: code_check(_code_change(old, remake), case.rules.gate))
        if check is not None:
            checks.extend("code", lambda: [check])
        if check is None or check.value != SAME_MODEL:
            return "code"
    return relation_of(case.challenger, case.champion, same_configuration=same_configuration)


def _code_change(champion: JudgedVersion, remake: Remake) -> str | None:
    """Return why the code of today makes another model of the champion's recipe, or nobody can tell; else None."""
    try:
        if champion.model_folder is None:
            raise NotFound("its files are not there to compare with")
        registered = predictor_digest(ChurnModel.load(champion.model_folder))
        return None if remake(champion.recipe) == registered else "made again, it is another model"
    except ChurnError as error:
        return f"it cannot be made again ({str(error).rstrip('.')})"


def _case(
    checks: Checks,
    challenger: ModelVersion,
    champion: ModelVersion | None,
    *,
    store: FeatureStore,
    contract: DatasetContract,
    rules: GateRules,
) -> _Case:
    """Return what the tags of both versions say; tags that cannot be read are a failed check."""
    new = checks.part("tags", lambda: VersionSummary.of(challenger)) or VersionSummary.without_tags(challenger)
    old = None
    if champion is not None:
        summary = checks.part("champion_tags", lambda: VersionSummary.of(champion))
        old = summary or VersionSummary.without_tags(champion)
    return _Case(store, contract, rules, relation_of(new, old), new, old)


def _evidence(
    checks: Checks, case: _Case, rows: MatureRows, new: JudgedVersion, old: JudgedVersion | None
) -> _Evidence:
    """Run the checks that need the challenger and the rows."""
    checks.extend("rows", lambda: [_rows_check(rows)])
    sample = (case.contract, rows.unseen.customers.head(_SAMPLE), case.rules.gate, case.rules.reasons)
    checks.extend("soundness", lambda: soundness_checks(new, *sample, champion=old))
    if case.champion is None:
        return _alone(checks, case, rows, new)
    if case.relation == "identical":
        itself = case.champion.version == case.challenger.version
        checks.extend("difference", lambda: [no_difference(itself=itself)])
    elif old is not None:
        return _side_by_side(checks, case, rows, new, old)
    return _Evidence()


def _alone(checks: Checks, case: _Case, rows: MatureRows, new: JudgedVersion) -> _Evidence:
    """Hold a first champion against absolute bars."""
    rules, unseen = case.rules, rows.unseen
    scores = checks.part("scores", lambda: new.probability(unseen.customers))
    if scores is None:
        return _Evidence()
    evaluation = checks.part("evaluation", lambda: _evaluated(case, unseen, scores, new))
    if evaluation is not None:
        first = partial(first_model_checks, churn_rate=rows.churn_rate, customers=rows.customers, seed=rules.seed)
        checks.extend(
            "first_model", lambda: first(evaluation, _holdout(case, unseen, scores, new), settings=rules.gate)
        )
    return _Evidence(challenger=evaluation)


def _side_by_side(checks: Checks, case: _Case, rows: MatureRows, new: JudgedVersion, old: JudgedVersion) -> _Evidence:
    """Compare both versions on the same rows and, where the recipes differ, both recipes on the same folds."""
    unseen = rows.unseen
    scores = checks.part("scores", lambda: new.probability(unseen.customers))
    before = checks.part("champion_scores", lambda: old.probability(unseen.customers))
    if scores is None or before is None:
        return _Evidence()
    evidence = _Evidence(
        challenger=checks.part("evaluation", lambda: _evaluated(case, unseen, scores, new)),
        champion=checks.part("champion_evaluation", lambda: _evaluated(case, unseen, before, old)),
    )
    paired = checks.part(
        "paired_rows",
        lambda: _paired(case, rows, VersionScores(before, old.f1_threshold), VersionScores(scores, new.f1_threshold)),
    )
    if paired is not None:
        holdout = checks.part("holdout", lambda: _compared(case, paired, "holdout"))
        newest = checks.part("newest", lambda: _on_the_newest(case, unseen, paired))
        evidence = replace(evidence, holdout=holdout, newest=newest)
    if case.relation == "recipe":
        evidence = replace(evidence, recipes=checks.part("recipes", lambda: _recipes(checks, case, rows, new, old)))
    checks.extend("quality", lambda: _quality_checks(case, evidence))
    return evidence


def _recipes(checks: Checks, case: _Case, rows: MatureRows, new: JudgedVersion, old: JudgedVersion) -> RecipeComparison:
    rules = case.rules
    limit, train = rules.gate.max_recipe_rows, pc.field(SPLIT) == "train"
    return compare_recipes(
        old.recipe,
        new.recipe,
        drawn_rows(case.store, rows.ref, case.contract, train, limit=limit, seed=rules.seed)[0],
        settings=rules.gate,
        seed=rules.seed,
        threads=rules.threads,
        progress=checks.progress_within("both recipes refitted"),
    )


def _quality_checks(case: _Case, evidence: _Evidence) -> tuple[Check, ...]:
    """Return the checks of quality; none where a part that they need has failed, which refuses the version already."""
    if evidence.holdout is None or evidence.challenger is None:
        return ()
    return quality_checks(
        case.relation,
        holdout=evidence.holdout,
        newest=evidence.newest,
        recipes=evidence.recipes,
        evaluation=evidence.challenger,
        settings=case.rules.gate,
        currency=case.rules.money.currency,
    )


def _evaluated(case: _Case, rows: EvaluationRows, scores: FloatArray, version: JudgedVersion) -> Evaluation:
    return evaluate(
        rows.label,
        scores,
        rows.entity,
        thresholds=version.thresholds,
        money=case.rules.money,
        value=rows.value,
        slices=rows.slices(case.contract),
        settings=case.rules.evaluation,
        seed=case.rules.seed,
        weight=rows.weight,
        event_time=rows.event_time,
    )


def _holdout(case: _Case, rows: EvaluationRows, scores: FloatArray, version: JudgedVersion) -> Holdout:
    return Holdout.of(
        rows.label,
        scores,
        rows.entity,
        thresholds={"f1": version.f1_threshold},
        money=case.rules.money,
        value=rows.value,
        weight=rows.weight,
    )


def _paired(case: _Case, rows: MatureRows, champion: VersionScores, challenger: VersionScores) -> PairedRows:
    unseen = rows.unseen
    return PairedRows(
        label=unseen.label,
        entity=unseen.entity,
        event_time=unseen.event_time,
        value=unseen.value,
        champion=champion,
        challenger=challenger,
        slices=unseen.slices(case.contract),
        base=rows.customers,
        weight=unseen.weight,
    )


def _compared(case: _Case, paired: PairedRows, name: Literal["holdout", "newest"]) -> Comparison:
    return compare(paired, case.rules.money, case.rules.gate, name=name, seed=case.rules.seed)


def _on_the_newest(case: _Case, unseen: EvaluationRows, paired: PairedRows) -> Comparison | None:
    """Compare on the rows that are newer than the champion's training; None where they are too few."""
    mask = newer_than(unseen, [] if case.champion is None else [case.champion])
    try:
        unseen.where(mask).require(case.rules.gate.min_churners)
    except NotEnoughData:
        return None
    return _compared(case, paired.where(mask), "newest")


def _rows_check(mature: MatureRows) -> Check:
    rows, available = mature.unseen, mature.available
    drawn = f"; drawn by customer from {available:,} rows" if available > len(rows.value) else ""
    left_out = ""
    if mature.untreated is not None:
        worth = "" if rows.weight is None else f"; these count as much as {effective_rows(rows.weight):,.0f} rows of "
        worth += "equal weight" if worth else ""
        left_out = f" Outcomes of contacted customers are left out{worth}. {mature.untreated.cost}".rstrip()
    entity, churned = pd.Series(rows.entity), rows.label == 1
    scored = rows_in_words(len(rows.value), entity.nunique(), int(churned.sum()), entity[churned].nunique())
    return Check(
        name="rows",
        verdict="pass",
        value=f"{entity.nunique():,} customers",
        sentence=f"Judged on {scored}{drawn}; no model was trained on them.{left_out}",
    )


def _report(
    checks: Checks, case: _Case, rows: MatureRows | None, evidence: _Evidence, *, model: str, now: dt.datetime
) -> GateReport:
    """Return the report; what cannot be reported is left out of it, and the check `report` says why."""
    tables = {} if rows is None else {rows.ref.name: f"version {rows.ref.version}, {rows.ref.content_id[:12]}"}
    plain = partial(
        GateReport,
        model=model,
        at=now,
        settings=case.rules.gate,
        currency=case.rules.money.currency,
        relation=case.relation,
        seconds=checks.seconds,
    )

    def whole() -> GateReport:
        champion = case.champion and case.champion.model_copy(update={"evaluation": evidence.champion})
        return plain(
            challenger=case.challenger.model_copy(update={"evaluation": evidence.challenger}),
            champion=champion,
            checks=tuple(checks.results),
            holdout=evidence.holdout,
            newest=evidence.newest,
            recipes=evidence.recipes,
            evaluated_on=tables,
            untreated=None if rows is None else rows.untreated,
        )

    report = checks.part("report", whole)
    return report or plain(challenger=case.challenger, champion=case.champion, checks=tuple(checks.results))
