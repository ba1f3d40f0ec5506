"""Each fault of the Databricks churn demo's selection and gate beside what happens here, on the same data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from churn.approval.approval import approve, decide, record_gate, standing
from churn.approval.governance import Governance
from churn.approval.promotion import promote
from churn.approval.rollback import rollback
from churn.approval.settings import ApprovalSettings
from churn.core.errors import DecisionRefused, StoreError
from churn.gate.comparison import PairedRows, compare
from churn.gate.comparison import ScoredRows as Scores
from churn.gate.inputs import LoadedVersion
from churn.gate.quality import quality_checks, recipe_check
from churn.gate.recipes import compare_learners
from churn.gate.report import Check, Comparison, GateReport, VersionSummary, run_check
from churn.gate.settings import GateSettings
from churn.gate.soundness import soundness_checks
from churn.lifecycle.hearing import hearing_of
from churn.lifecycle.registration import register_challenger
from churn.model.money import CostMatrix, MoneySettings
from churn.model.scorer import ReasonSettings
from churn.ports.ledger import Verdict
from churn.ports.registry import CHALLENGER, CHAMPION, MODEL_DIGEST, PREVIOUS_CHAMPION, ModelVersion
from churn.training.boosting import BoostingParams
from churn.training.preparation import prepare
from churn.training.search import study_name, tune
from churn.training.train import ModelSettings
from churn.training.trials import Judge, TuningSettings, suggest
from tests.fakes.data import demo
from tests.fakes.data.customers import CONTRACT, customers
from tests.fakes.data.findings import SNAPSHOT
from tests.fakes.data.gate_reports import evaluation, gate_report
from tests.fakes.data.predictions import Predictions, predictions
from tests.fakes.data.scorers import customers as applicants
from tests.fakes.data.scorers import small_scorer
from tests.fakes.ports.ledger import InMemoryLedger
from tests.fakes.ports.registry import InMemoryModelRegistry
from tests.fakes.ports.stages import InMemoryStages

NAME = "churn_telco"
MODEL = ModelSettings(folds=3, boosting=BoostingParams(max_rounds=20), candidates=("boosting",))
MONEY = MoneySettings()
QUICK = GateSettings(resamples=200)
YES = Check(name="profit", verdict="pass", sentence="It earns more.")


def judge_of(seed: int) -> Judge:
    """Return what scores trees on made-up customers."""
    return Judge(prepare(customers(300, seed), CONTRACT, MODEL.folds, seed), None, seed, 1, None)


def score_of(judge: Judge) -> Callable[[Any], float]:
    """Return the objective of a search; more is better."""
    return lambda trial: float(np.mean(judge.scores(suggest(trial, MODEL.boosting))))


def search(storage: Path, study: str, trials: int, seed: int = 5) -> list[float]:
    """Search our way; return the scores of the trials, that of the chosen one first."""
    settings = TuningSettings(mode="on", max_trials=trials)
    found = tune(customers(300, seed), CONTRACT, MODEL, settings, seed=5, storage=storage, study=study, threads=1)
    assert found.best is not None
    return [-value for value in (found.best.value, *(trial.value for trial in found.trials)) if value is not None]


def test_the_best_trial_is_the_best_and_not_the_worst(tmp_path: Path) -> None:
    theirs = demo.search(score_of(judge_of(5)), 6, optuna.storages.InMemoryStorage(), seed=1)
    scores = [trial.value for trial in theirs.trials]
    assert theirs.best_trial.value == min(scores) < max(scores)
    chosen, *all_scores = search(tmp_path / "journal.log", "study", 6)
    assert chosen == max(all_scores) > min(all_scores)


def test_a_trial_on_other_data_is_no_trial(tmp_path: Path) -> None:
    storage = optuna.storages.InMemoryStorage()
    demo.search(score_of(judge_of(5)), 2, storage, seed=1)
    assert len(demo.search(score_of(judge_of(6)), 2, storage, seed=2).trials) == 4
    newer = SNAPSHOT.model_copy(update={"ref": SNAPSHOT.ref.model_copy(update={"digest": "d2" * 32})})
    studies = [study_name(each, CONTRACT, MODEL, TuningSettings(), MONEY, seed=5) for each in (SNAPSHOT, newer)]
    before, after = (
        search(tmp_path / "journal.log", study, 2, seed) for study, seed in zip(studies, (5, 6), strict=True)
    )
    assert len(after) == len(before) == 1 + 2


def compared(sample: Predictions, champion: npt.NDArray[np.float64], challenger: npt.NDArray[np.float64]) -> Comparison:
    """Return both models on the same rows."""
    when = pd.Series(pd.date_range("2025-01-01", periods=len(sample.label), freq="min", tz="UTC"))
    worth = np.full(len(sample.label), 200.0)
    scores = Scores(champion, 0.33), Scores(challenger, 0.33)
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
    treated, nobody = (sample.probability >= 0.5).astype(int), np.zeros(1409, dtype=int)
    assert demo.value_in_dollars(sample.label, nobody) > demo.value_in_dollars(sample.label, sample.label)
    table = pd.DataFrame({"churn": sample.label, "split": "validate"})
    assert demo.business_passed(table, {"Champion": treated, "Challenger": nobody})

    matrix = CostMatrix()
    assert matrix.profit(sample.label, nobody).sum() < 0 < matrix.profit(sample.label, sample.label).sum()
    assert asked(compared(sample, sample.probability, np.full(1409, 0.01)))["profit"] == "fail"


@pytest.mark.parametrize("trouble", [StoreError("The registry is locked."), PermissionError("no"), KeyError("f1")])
def test_an_exception_refuses(trouble: Exception) -> None:
    def champion_f1() -> float:
        raise trouble

    assert demo.f1_passed(0.01, champion_f1)

    def ask() -> Check:
        return YES.model_copy(update={"value": champion_f1()})

    check = run_check("f1", ask)
    assert (check.verdict, str(trouble) in check.sentence) == ("error", True)
    assert not gate_report(checks=(YES, check)).passed


def test_a_comparison_on_rows_that_nobody_wrote_refuses() -> None:
    sample = predictions(1409)
    table = demo.label_table(sample.label)
    assert set(table["split"]) == {"train", "test"}
    nobody = np.zeros(1409, dtype=int)
    assert demo.business_passed(table, {"Champion": sample.label, "Challenger": nobody})

    def ask() -> Check:
        none = Predictions(*(getattr(sample, name)[:0] for name in ("label", "probability", "truth", "entity")))
        compared(none, none.probability, none.probability)
        return YES

    check = run_check("profit", ask)
    assert check.verdict == "error"
    assert not gate_report(checks=(YES, check)).passed


def logged_f1(sample: Predictions) -> float:
    """Return the F1 that a training run logs on its own test split, at the habitual threshold."""
    return float(f1_score(sample.label, sample.probability >= 0.5))


def test_both_models_are_judged_on_the_same_rows() -> None:
    theirs = ours = 0
    for seed in range(40):
        champion, worse = (predictions(700, seed=seed, noise=noise) for noise in (0.3, 0.6))
        elsewhere = predictions(700, seed=1000 + seed, noise=0.6)
        theirs += demo.f1_passed(logged_f1(elsewhere), lambda champion=champion: logged_f1(champion))
        ours += no_worse(compared(champion, champion.probability, worse.probability))
    assert theirs >= 8
    assert ours == 0


def test_an_equal_model_is_no_reason_for_a_change() -> None:
    theirs = ours = 0
    for seed in range(30):
        sample, others = predictions(700, seed=seed), predictions(700, seed=1000 + seed)
        theirs += demo.f1_passed(logged_f1(others), lambda sample=sample: logged_f1(sample))
        ours += recipe_better(sample, blurred(sample, seed), blurred(sample, 1000 + seed))
    assert theirs >= 10
    assert ours <= 1


def blurred(sample: Predictions, seed: int) -> npt.NDArray[np.float64]:
    """Return a model's view of the true risks; two seeds are two models that are equally good."""
    risk = np.log(sample.truth / (1 - sample.truth))
    return np.asarray(1 / (1 + np.exp(-risk - np.random.default_rng(seed).normal(0, 0.4, len(risk)))))


def recipe_better(sample: Predictions, champion: npt.NDArray[np.float64], challenger: npt.NDArray[np.float64]) -> bool:
    """Return whether the recipe question is answered by yes."""
    found = compare_learners(
        lambda _, asked, __: champion[asked],
        lambda _, asked, __: challenger[asked],
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
    # What the champion's training run logged, at a time when churners were easy to tell.
    before = predictions(1409, seed=1, noise=0.0)
    certain = (before.truth > 0.3).astype(int)
    logged = Predictions(certain, before.truth, before.truth, before.entity)
    assert not demo.f1_passed(logged_f1(fresh), lambda: logged_f1(logged))
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
        self.governance = Governance(self.registry, InMemoryLedger(), InMemoryStages(), NAME, settings)

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
        )
        return self.challenger

    @property
    def challenger(self) -> ModelVersion:
        version = self.registry.by_alias(NAME, CHALLENGER)
        assert version is not None
        return version

    def named(self, alias: str) -> int | None:
        version = self.registry.by_alias(NAME, alias)
        return version and version.version

    def judged(self, version: ModelVersion, *checks: Check) -> GateReport:
        report = gate_report(
            model=NAME,
            challenger=_contestant(version),
            champion=_contestant(self.registry.by_alias(NAME, CHAMPION)),
            checks=checks or (YES,),
        )
        record_gate(self.governance, report, who="Ada")
        return report

    def live(self, number: int) -> None:
        version = self.register(number)
        self.judged(version)
        decide(self.governance, version.version, who="Ada")
        approve(self.governance, version.version, who="Grace", why="It earns more.")
        promote(self.governance, version.version, who="Ada")


def _contestant(version: ModelVersion | None) -> VersionSummary | None:
    if version is None:
        return None
    return VersionSummary(version=version.version, digest=version.tags[MODEL_DIGEST], description=version.description)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_approval_comes_before_promotion(office: Office) -> None:
    office.live(1)
    version = office.register(2)
    tags: dict[str, str] = {}
    promoted: list[str] = []
    demo.evaluation_task(tags, lambda: promoted.append("before anybody was asked"), passed=True)
    assert (tags["Approval_Check"], promoted) == ("Approved", ["before anybody was asked"])

    office.judged(version)
    assert decide(office.governance, 2, who="Ada").state == "pending"
    with pytest.raises(DecisionRefused, match="Version 2 of churn_telco is not approved, and version 1 stays"):
        promote(office.governance, 2, who="Ada")
    assert office.named(CHAMPION) == 1
    approve(office.governance, 2, who="Grace", why="It earns more.")
    promote(office.governance, 2, who="Ada")
    assert office.named(CHAMPION) == 2


def test_a_tag_that_anybody_can_set_approves_nothing(office: Office) -> None:
    office.live(1)
    version = office.register(2)
    office.judged(version, YES.model_copy(update={"verdict": "fail"}))
    decide(office.governance, 2, who="Ada")
    promoted: list[str] = []
    demo.approval_task({"Approval_Check": "Approved"}, lambda: promoted.append("without a gate"))
    assert promoted == ["without a gate"]

    office.registry.set_tags(NAME, 2, {"Approval_Check": "Approved"})
    assert standing(office.governance, 2).state == "rejected"
    with pytest.raises(DecisionRefused, match="Version 2 of churn_telco is not approved"):
        promote(office.governance, 2, who="Mallory")
    assert office.named(CHAMPION) == 1


def test_the_champion_before_is_known_and_can_come_back(office: Office) -> None:
    for number in (1, 2, 3):
        office.live(number)
    # The demo keeps no record of it; "the number before" would do here, and not after the next rollback.
    assert office.named(PREVIOUS_CHAMPION) == 2
    assert rollback(office.governance, who="Grace", why="Complaints.").version == 2
    office.live(4)
    assert rollback(office.governance, who="Grace", why="Complaints again.").version == 2
    assert [(live.version, live.who) for live in office.governance.look().history][-1] == (2, "Grace")


def test_the_newest_run_is_registered_and_not_the_best_of_all_history(office: Office) -> None:
    before_drift, after_drift = demo.Run("run-1", 0.64), demo.Run("run-2", 0.58)
    assert demo.best_run([before_drift, after_drift]) == before_drift
    office.register(1)
    office.register(2)
    assert office.challenger.run_id == after_drift.run_id


class Job(InMemoryModelRegistry):
    """Starts a deployment job at the moment a version is registered, and remembers what the job sees."""

    seen: list[str]

    def register(self, *args: Any, **options: Any) -> ModelVersion:
        version = super().register(*args, **options)
        self.seen = [each.description for each in self.versions(NAME)]
        return version


def test_a_version_is_there_with_its_description_or_not_at_all(office: Office) -> None:
    job = Job({"run-1"})
    demo.register(job, NAME, office.package, demo.Run("run-1", 0.6))
    assert job.seen == [""]
    office.registry = Job({"run-2"})
    office.register(2)
    assert office.registry.seen == ["Run 2."]


def test_the_version_that_was_asked_about_is_judged_and_not_the_one_under_the_alias(office: Office) -> None:
    sample = predictions(1409)
    table = pd.DataFrame({"churn": sample.label, "split": "validate"})
    champion, version_2 = (sample.probability >= 0.5).astype(int), (sample.probability >= 0.6).astype(int)
    version_1 = np.ones(1409, dtype=int)
    assert not demo.business_passed(table, {"Champion": champion, "Challenger": version_1})
    # Asked about version 1, the demo scores what @Challenger names.
    assert demo.business_passed(table, {"Champion": champion, "Challenger": version_2})

    office.register(1)
    office.judged(office.register(2))
    assert hearing_of(office.governance, 1).challenger.version == 1
    assert standing(office.governance, 1).gate is None
    gate = standing(office.governance, 2).gate
    assert gate is not None
    assert gate.version == 2


def test_without_a_number_the_newest_candidate_is_judged(office: Office) -> None:
    for number in range(1, 11):
        office.register(number)
    assert demo.newest_version(office.registry.versions(NAME)) == "9"
    assert hearing_of(office.governance, None).challenger.version == 10


def test_a_model_card_of_another_run_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "model_artifacts"
    assert demo.has_artifacts({"card.html": "<h1>The first model</h1>"}, folder)
    assert demo.has_artifacts({}, folder)
    scorer = small_scorer()
    version = ModelVersion(NAME, 2, "run-2", "A model without a card.")
    bare = LoadedVersion(version, {}, (), card="", size=1, score=scorer.score, thresholds={"f1": 0.3})
    checks = {each.name: each for each in soundness_checks(bare, CONTRACT, applicants(), QUICK, ReasonSettings())}
    assert checks["model_card"].verdict == "fail"
    assert "lacks its model card" in checks["model_card"].sentence
