"""A search, a gate and an approval where a simpler rule goes wrong; `benchmarks/demo.py` shows simpler rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from churn.approval.context import ApprovalContext
from churn.approval.decide import approve, decide, record_gate
from churn.approval.promote import promote, rollback
from churn.approval.settings import ApprovalSettings
from churn.core.errors import DecisionRefused, StoreError
from churn.gate.comparison import PairedRows, VersionScores, compare
from churn.gate.inputs import JudgedVersion
from churn.gate.quality import quality_checks, recipe_check
from churn.gate.recipes import compare_learners
from churn.gate.report import Check, Comparison, GateReport, VersionSummary, run_check
from churn.gate.settings import GateSettings
from churn.gate.soundness import soundness_checks
from churn.lifecycle.deployment import request_of
from churn.lifecycle.registration import register_challenger
from churn.model.money import CostMatrix, MoneySettings
from churn.model.scorer import ReasonSettings
from churn.ports.ledger import Verdict
from churn.ports.registry import CHALLENGER, CHAMPION, MODEL_DIGEST, PREVIOUS_CHAMPION, ModelVersion
from churn.training.boosting import BoostingParams
from churn.training.search import TuningSettings, study_name, tune
from churn.training.train import ModelSettings
from tests.fakes.data.customers import CONTRACT, customers
from tests.fakes.data.deciding import Clock
from tests.fakes.data.findings import SNAPSHOT
from tests.fakes.data.gate_reports import evaluation, gate_report
from tests.fakes.data.predictions import Predictions, predictions
from tests.fakes.data.scorers import customers as applicants
from tests.fakes.data.scorers import small_scorer
from tests.fakes.ports.ledger import InMemoryLedger
from tests.fakes.ports.registry import InMemoryModelRegistry
from tests.fakes.ports.stages import InMemoryStages
from tests.fakes.ports.studies import InMemoryStudies

NAME = "churn_telco"
MODEL = ModelSettings(folds=3, boosting=BoostingParams(max_rounds=20), candidates=("boosting",))
MONEY = MoneySettings()
QUICK = GateSettings(resamples=200)
YES = Check(name="profit", verdict="pass", sentence="It earns more.")


def search(storage: Any, study: str, trials: int, seed: int = 5) -> list[float]:
    """Return the scores of the trials of a search, more is better, that of the chosen one first."""
    settings = TuningSettings(mode="on", max_trials=trials)
    found = tune(customers(300, seed), CONTRACT, MODEL, settings, seed=5, storage=storage, study=study, threads=1)
    assert found.best is not None
    return [-value for value in (found.best.value, *(trial.value for trial in found.trials)) if value is not None]


def test_the_best_trial_is_the_best_and_not_the_worst() -> None:
    chosen, *all_scores = search(InMemoryStudies().storage(), "study", 6)
    assert chosen == max(all_scores) > min(all_scores)


def test_a_trial_on_other_data_is_no_trial() -> None:
    newer = SNAPSHOT.model_copy(update={"ref": SNAPSHOT.ref.model_copy(update={"content_id": "d2" * 32})})
    studies = [study_name(each.ref, CONTRACT, MODEL, TuningSettings(), MONEY, seed=5) for each in (SNAPSHOT, newer)]
    ours = InMemoryStudies().storage()
    before, after = (search(ours, study, 2, seed) for study, seed in zip(studies, (5, 6), strict=True))
    assert len(after) == len(before) == 1 + 2


def compared(sample: Predictions, champion: npt.NDArray[np.float64], challenger: npt.NDArray[np.float64]) -> Comparison:
    """Return both models on the same rows."""
    when = pd.Series(pd.date_range("2025-01-01", periods=len(sample.label), freq="min", tz="UTC"))
    worth = np.full(len(sample.label), 200.0)
    scores = VersionScores(champion, 0.33), VersionScores(challenger, 0.33)
    rows = PairedRows(sample.label, sample.entity, when, worth, *scores, slices={})
    return compare(rows, MONEY, QUICK, name="holdout", seed=1)


def asked(rows: Comparison) -> dict[str, Verdict]:
    """Return what the version question answers, by check."""
    checks = quality_checks(
        "refresh",
        holdout=rows,
        newest=None,
        recipes=None,
        evaluation=evaluation(0.4),
        settings=QUICK,
        currency="USD",
    )
    return {check.name: check.verdict for check in checks}


def no_worse(rows: Comparison) -> bool:
    """Return whether the fitted version is found no worse."""
    answers = asked(rows)
    return {answers[name] for name in ("log_loss", "roc_auc", "profit")} == {"pass"}


def test_a_missed_churner_costs() -> None:
    sample = predictions(1409)
    nobody = np.zeros(1409, dtype=int)
    matrix = CostMatrix()
    assert matrix.profit(sample.label, nobody).sum() < 0 < matrix.profit(sample.label, sample.label).sum()
    assert asked(compared(sample, sample.probability, np.full(1409, 0.01)))["profit"] == "fail"


@pytest.mark.parametrize("trouble", [StoreError("The registry is locked."), PermissionError("no"), KeyError("f1")])
def test_an_exception_refuses(trouble: Exception) -> None:
    def champion_f1() -> float:
        raise trouble

    def ask() -> Check:
        return YES.model_copy(update={"value": champion_f1()})

    check = run_check("f1", ask)
    assert (check.verdict, str(trouble) in check.sentence) == ("error", True)
    assert not gate_report(checks=(YES, check)).passed


def test_a_comparison_on_rows_that_nobody_wrote_refuses() -> None:
    sample = predictions(1409)

    def ask() -> Check:
        none = Predictions(*(getattr(sample, name)[:0] for name in ("label", "probability", "truth", "entity")))
        compared(none, none.probability, none.probability)
        return YES

    check = run_check("profit", ask)
    assert check.verdict == "error"
    assert not gate_report(checks=(YES, check)).passed


def test_both_models_are_judged_on_the_same_rows() -> None:
    passed = 0
    for seed in range(40):
        champion, worse = (predictions(700, seed=seed, noise=noise) for noise in (0.3, 0.6))
        passed += no_worse(compared(champion, champion.probability, worse.probability))
    assert passed == 0


def test_an_equal_model_is_no_reason_for_a_change() -> None:
    better = 0
    for seed in range(30):
        sample = predictions(700, seed=seed)
        better += recipe_better(sample, blurred(sample, seed), blurred(sample, 1000 + seed))
    assert better <= 1


def blurred(sample: Predictions, seed: int) -> npt.NDArray[np.float64]:
    """Return a model's view of the true risks; two seeds are two models that are equally good."""
    risk = np.log(sample.truth / (1 - sample.truth))
    return np.asarray(1 / (1 + np.exp(-risk - np.random.default_rng(seed).normal(0, 0.4, len(risk)))))


def recipe_better(sample: Predictions, champion: npt.NDArray[np.float64], challenger: npt.NDArray[np.float64]) -> bool:
    """Return whether the recipe question is answered by yes."""
    found = compare_learners(
        lambda _: champion,
        lambda _: challenger,
        sample.label.astype(np.int8),
        sample.entity.astype(object),
        settings=QUICK,
        seed=1,
        threads=1,
        progress=lambda *_: None,
    )
    return recipe_check(found, QUICK).passed


def test_a_champion_is_compared_under_drift() -> None:
    stale, fresh = (predictions(1409, seed=2, noise=noise) for noise in (4.0, 0.6))
    rows = compared(fresh, stale.probability, fresh.probability)
    assert no_worse(rows)
    assert next(metric for metric in rows.metrics if metric.name == "profit_per_customer").gain.lower > 0


class Office:
    """A registry with its ledger, and the decisions that a test needs."""

    def __init__(self, folder: Path, policy: str = "manual", runs: int = 12) -> None:
        (folder / "MLmodel").write_text("flavors: {}\n", encoding="utf-8")
        self.package = folder
        self.registry = InMemoryModelRegistry({f"run-{number}" for number in range(1, runs + 1)})
        settings = ApprovalSettings.model_validate({"policy": policy})
        self.context = ApprovalContext(
            self.registry, InMemoryLedger(), InMemoryStages(), NAME, settings, Clock(), lambda *_: None
        )

    def register(self, number: int) -> ModelVersion:
        digest = f"{number}f" * 20
        register_challenger(
            self.registry,
            NAME,
            self.package,
            digest=digest,
            description=f"Run {number}.",
            tags={},
            run_id=f"run-{number}",
            whole=lambda _: True,
        )
        return self.challenger

    @property
    def challenger(self) -> ModelVersion:
        version = self.registry.by_alias(NAME, CHALLENGER)
        assert version is not None
        return version

    def by_alias(self, alias: str) -> int | None:
        version = self.registry.by_alias(NAME, alias)
        return version and version.version

    def judged(self, version: ModelVersion, *checks: Check) -> GateReport:
        report = gate_report(
            model=NAME,
            challenger=_contestant(version),
            champion=_contestant(self.registry.by_alias(NAME, CHAMPION)),
            checks=checks or (YES,),
        )
        record_gate(self.context, report, who="Ada")
        return report

    def live(self, number: int) -> None:
        version = self.register(number)
        self.judged(version)
        decide(self.context, version.version, who="Ada")
        approve(self.context, version.version, who="Grace", why="It earns more.")
        promote(self.context, version.version, who="Ada")


def _contestant(version: ModelVersion | None) -> VersionSummary | None:
    if version is None:
        return None
    return VersionSummary(version=version.version, digest=version.tags[MODEL_DIGEST], description=version.description)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_approval_comes_before_promotion(office: Office) -> None:
    office.live(1)
    office.judged(office.register(2))
    assert decide(office.context, 2, who="Ada").state == "pending"
    with pytest.raises(DecisionRefused, match="Version 2 of churn_telco is not approved, and version 1 stays"):
        promote(office.context, 2, who="Ada")
    assert office.by_alias(CHAMPION) == 1
    approve(office.context, 2, who="Grace", why="It earns more.")
    promote(office.context, 2, who="Ada")
    assert office.by_alias(CHAMPION) == 2


def test_a_tag_that_anybody_can_set_approves_nothing(office: Office) -> None:
    office.live(1)
    version = office.register(2)
    office.judged(version, YES.model_copy(update={"verdict": "fail"}))
    decide(office.context, 2, who="Ada")
    office.registry.set_tags(NAME, 2, {"Approval_Check": "Approved"})
    assert office.context.status(2).state == "rejected"
    with pytest.raises(DecisionRefused, match="Version 2 of churn_telco is not approved"):
        promote(office.context, 2, who="Mallory")
    assert office.by_alias(CHAMPION) == 1


def test_the_champion_before_is_known_and_can_come_back(office: Office) -> None:
    for number in (1, 2, 3):
        office.live(number)
    assert office.by_alias(PREVIOUS_CHAMPION) == 2
    assert rollback(office.context, who="Grace", why="Complaints.").version == 2
    office.live(4)
    assert rollback(office.context, who="Grace", why="Complaints again.").version == 2
    assert [(live.version, live.who) for live in office.context.read().history][-1] == (2, "Grace")


def test_the_newest_run_is_registered_and_not_the_best_of_all_history(office: Office) -> None:
    office.register(1)
    office.register(2)
    assert office.challenger.run_id == "run-2"


class Job(InMemoryModelRegistry):
    """Starts a deployment job at the moment a version is registered, and remembers what the job sees."""

    seen: list[str]

    def register(self, *args: Any, **options: Any) -> ModelVersion:
        version = super().register(*args, **options)
        self.seen = [each.description for each in self.versions(NAME)]
        return version


def test_a_version_is_there_with_its_description_or_not_at_all(office: Office) -> None:
    office.registry = Job({"run-2"})
    office.register(2)
    assert office.registry.seen == ["Run 2."]


def test_the_version_that_was_asked_about_is_judged_and_not_the_one_under_the_alias(office: Office) -> None:
    office.register(1)
    office.judged(office.register(2))
    assert request_of(office.context, 1).challenger.version == 1
    assert office.context.status(1).gate is None
    gate = office.context.status(2).gate
    assert gate is not None
    assert gate.version == 2


def test_without_a_number_the_newest_candidate_is_judged(office: Office) -> None:
    for number in range(1, 11):
        office.register(number)
    assert request_of(office.context, None).challenger.version == 10


def test_a_model_card_of_another_run_is_none() -> None:
    scorer = small_scorer()
    version = ModelVersion(NAME, 2, "run-2", "A model without a card.")
    bare = JudgedVersion(version, {}, (), card="", size=1, score=scorer.score, thresholds={"f1": 0.3})
    checks = {each.name: each for each in soundness_checks(bare, CONTRACT, applicants(), QUICK, ReasonSettings())}
    assert checks["model_card"].verdict == "fail"
    assert "lacks its model card" in checks["model_card"].sentence
