"""The gate as a whole, on real models of made-up customers."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from churn.core.errors import NotFound, StoreError
from churn.gate.inputs import JudgedVersion
from churn.gate.judge import judge, relation_of
from churn.gate.recipes import predictor_digest, remade_digest
from churn.gate.report import TRAINED_UNTIL, Check, Checks, GateReport, VersionSummary
from churn.model.model import ChurnModel
from churn.model.scorer import Scorer
from churn.ports.registry import MODEL_DIGEST, ModelVersion
from churn.ports.tables import FeatureStore
from churn.training.recipe import Recipe, TrainingTable
from churn.training.train import ModelSettings
from tests.fakes.data.case import CONTRACT, NOW, Shelf, changed, filled_store, loaded_version, raw_rows, settings, store

pytestmark = pytest.mark.slow

BLIND = ModelSettings(
    candidates=("boosting",), folds=3, boosting={"max_depth": 1, "learning_rate": 0.02, "max_rounds": 5}
)  # type: ignore[arg-type]


def never(recipe: Recipe) -> str:
    raise AssertionError("The champion is made again only where code differs.")


def gate(
    challenger: JudgedVersion,
    champion: JudgedVersion | None = None,
    *,
    tables: FeatureStore | None = None,
    shelf: Shelf | None = None,
    overrides: tuple[str, ...] = (),
    **changes: Any,
) -> GateReport:
    given = [each for each in (challenger, champion) if each is not None]
    return judge(
        challenger.version,
        champion.version if champion else None,
        store=tables or store(),
        load=shelf or Shelf(*given),
        contract=CONTRACT,
        rules=settings(*overrides).gate_rules(1),
        **{"progress": lambda *_: None, "remake": never, "now": NOW, **changes},
    )


def verdicts(report: GateReport) -> dict[str, str]:
    return {check.name: check.verdict for check in report.checks if not check.passed}


@pytest.fixture(scope="module")
def good() -> JudgedVersion:
    return loaded_version(2)


@pytest.fixture(scope="module")
def blind() -> JudgedVersion:
    return loaded_version(1, model=BLIND)


@pytest.fixture(scope="module")
def better(good: JudgedVersion, blind: JudgedVersion) -> GateReport:
    return gate(good, blind)


def test_a_better_model_passes_every_check(better: GateReport) -> None:
    assert verdicts(better) == {}
    assert better.passed
    assert better.relation == "recipe"
    asked = {check.name for check in better.checks}
    assert asked >= {"digest", "rows", "recipe", "log_loss", "roc_auc", "profit", "f1", "calibration", "slices"}


def test_both_models_are_scored_on_the_same_rows_that_neither_was_trained_on(better: GateReport) -> None:
    assert better.holdout is not None
    assert better.challenger.evaluation is not None
    assert better.champion is not None
    assert better.champion.evaluation is not None
    rows = {better.holdout.rows, better.challenger.evaluation.rows, better.champion.evaluation.rows}
    assert len(rows) == 1
    assert 400 < rows.pop() < 800, "a fifth of 3,000"


def test_of_many_rows_those_of_customers_drawn_at_random_are_judged_and_the_check_says_so(
    good: JudgedVersion,
) -> None:
    report = gate(good, tables=filled_store(raw_rows(8_000)), overrides=("evaluation.max_rows=1000",))
    assert report.challenger.evaluation is not None
    assert 900 < report.challenger.evaluation.rows <= 1_000
    sentence = next(check.sentence for check in report.checks if check.name == "rows")
    assert re.search(
        r"Judged on (9\d\d|1,000) customer.* of whom churned; drawn by customer from 1,\d\d\d rows; no", sentence
    )


def test_the_worse_model_is_refused_in_both_questions(good: JudgedVersion, blind: JudgedVersion) -> None:
    report = gate(changed(blind, version=version_of(blind, 3)), good)
    assert {"recipe", "log_loss", "roc_auc"} <= set(verdicts(report))


def version_of(given: JudgedVersion, number: int, **tags: str) -> ModelVersion:
    old = given.version
    return ModelVersion(old.name, number, old.run_id, old.description, {**old.tags, **tags})


def test_the_first_champion_must_beat_treating_nobody_everybody_and_the_average(good: JudgedVersion) -> None:
    report = gate(good)
    assert report.relation == "first"
    assert verdicts(report) == {}
    names = [check.name for check in report.checks]
    assert len([name for name in names if name.startswith("better_than_")]) >= 3


def test_a_model_that_knows_nothing_cannot_be_the_first_champion(good: JudgedVersion) -> None:
    def coin(customers: pd.DataFrame, *, explain: bool = True) -> pd.DataFrame:
        scored = good.score(customers, explain=explain)
        drawn = 0.2 + 0.1 * (pd.util.hash_pandas_object(customers, index=False) % 1000 / 1000).to_numpy()
        return scored.assign(probability=drawn)

    report = gate(changed(good, score=coin))
    assert not report.passed
    assert [name for name in verdicts(report) if name.startswith("better_than_")]


def test_the_same_model_again_is_no_difference_and_is_not_promoted(good: JudgedVersion) -> None:
    digest = good.version.tags[MODEL_DIGEST]
    report = gate(changed(good, version=version_of(good, 3)), good)
    assert report.challenger.digest == digest
    assert (report.relation, verdicts(report)) == ("identical", {"difference": "fail"})
    assert "No difference" in report.checks[-1].sentence
    assert report.holdout is None


def test_a_challenger_that_cannot_be_loaded_is_refused(good: JudgedVersion, blind: JudgedVersion) -> None:
    report = gate(good, blind, shelf=Shelf(blind))
    assert verdicts(report) == {"loads": "error"}
    assert "its files are damaged" in report.checks[0].sentence


def test_a_champion_that_cannot_be_loaded_refuses_the_challenger(good: JudgedVersion, blind: JudgedVersion) -> None:
    report = gate(good, blind, shelf=Shelf(good))
    assert verdicts(report) == {"champion_loads": "error"}
    assert not report.passed


def test_outcomes_that_are_not_mature_judge_nobody(good: JudgedVersion) -> None:
    report = gate(good, now=dt.datetime(2024, 1, 15, tzinfo=dt.UTC))
    assert verdicts(report) == {"rows": "error"}
    assert "No outcome of 'toy' may be learned from yet" in report.checks[-1].sentence


def test_a_holdout_without_churners_judges_nobody(good: JudgedVersion) -> None:
    report = gate(good, tables=filled_store(raw_rows(500).assign(churn="No")))
    assert verdicts(report) == {"rows": "error"}
    assert "0 customers of the holdout rows churned, and 30 are needed" in report.checks[-1].sentence


def test_tables_that_are_not_there_judge_nobody(good: JudgedVersion) -> None:
    class Unreachable(type(store())):  # type: ignore[misc]
        def latest(self, name: str) -> Any:
            raise StoreError("The tables do not answer.")

    report = gate(good, tables=Unreachable("toy"))
    assert verdicts(report) == {"rows": "error"}


def test_models_of_different_splits_are_not_compared(good: JudgedVersion, blind: JudgedVersion) -> None:
    other = changed(blind, version=version_of(blind, 1, split="0.3 by salt"))
    report = gate(good, other)
    assert verdicts(report) == {"rows": "error"}
    assert "part of this holdout was in its training" in report.checks[-1].sentence


def test_a_challenger_that_fails_while_it_scores_is_refused(good: JudgedVersion, blind: JudgedVersion) -> None:
    def broken(customers: pd.DataFrame, *, explain: bool = True) -> pd.DataFrame:
        raise ZeroDivisionError("division by zero")

    report = gate(changed(good, score=broken), blind)
    assert set(verdicts(report)) == {"predictions", "reasons", "latency", "scores"}
    assert set(verdicts(report).values()) == {"error"}


def test_a_champion_of_columns_that_the_table_lacks_refuses(good: JudgedVersion, blind: JudgedVersion) -> None:
    frame = raw_rows(1500).rename(columns={"noise": "sound"})
    with pytest.raises(Exception, match="noise"):
        filled_store(frame)

    def needs_more(customers: pd.DataFrame, *, explain: bool = True) -> pd.DataFrame:
        return blind.score(customers.rename(columns={"noise": "sound"}), explain=explain)

    report = gate(good, changed(blind, score=needs_more))
    assert verdicts(report) == {"champion_scores": "error"}
    assert "noise" in report.checks[-1].sentence


@pytest.mark.parametrize("number", [1, 2], ids=["of the champion", "of the challenger"])
@pytest.mark.parametrize("until", ["yesterday", "2024-01-01T00:00:00", "2024-01-01"])
def test_a_tag_that_is_no_time_with_a_zone_is_a_failed_check(
    good: JudgedVersion, blind: JudgedVersion, number: int, until: str
) -> None:
    old, new = (
        changed(given, version=version_of(given, index, **({TRAINED_UNTIL: until} if index == number else {})))
        for index, given in ((1, blind), (2, good))
    )
    report = gate(new, old)
    assert verdicts(report) == {"champion_tags" if number == 1 else "tags": "error"}
    assert f"{until!r}, which is not a time with a zone" in report.checks[0].sentence


def test_a_package_without_its_threshold_is_a_failed_check(good: JudgedVersion, blind: JudgedVersion) -> None:
    report = gate(changed(good, thresholds={}), blind)
    assert verdicts(report) == {"paired_rows": "error"}
    assert "The package of version 2 has no threshold `f1`: train it again." in report.checks[-1].sentence
    first = gate(changed(good, thresholds={}))
    assert verdicts(first) == {"first_model": "error"}


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("it broke")


class Broken:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("it broke")


SPOILT: dict[str, dict[str, Any]] = {
    "no scores": {"score": broken},
    "empty scores": {"score": lambda *_, **__: pd.DataFrame()},
    "no thresholds": {"thresholds": Broken()},
    "a threshold in words": {"thresholds": {"f1": "high"}},
    "no metadata": {"metadata": Broken()},
    "an unreadable recipe": {"metadata": {"recipe": "unreadable"}},
    "no inputs": {"inputs": None},
    "no card": {"card": None},
    "an endless size": {"size": float("nan")},
    "a size in words": {"size": "large"},
}


@pytest.mark.parametrize("name", SPOILT)
def test_an_exception_in_any_part_of_a_challenger_is_a_failed_check(good: JudgedVersion, name: str) -> None:
    report = gate(changed(good, **SPOILT[name]))
    assert "error" in set(verdicts(report).values())


@pytest.mark.parametrize("name", list(SPOILT)[:6])
def test_an_exception_in_any_part_of_a_champion_is_a_failed_check(
    good: JudgedVersion, blind: JudgedVersion, name: str
) -> None:
    report = gate(good, changed(blind, **SPOILT[name]))
    assert "error" in set(verdicts(report).values())


@pytest.mark.parametrize("field", ["description", "created_at", "tags"])
def test_an_exception_in_any_field_of_the_registry_is_a_failed_check(good: JudgedVersion, field: str) -> None:
    version = dataclasses.replace(good.version, **{field: {"description": 5, "created_at": "soon", "tags": {}}[field]})
    report = gate(changed(good, version=version))
    assert not report.passed
    assert "error" in set(verdicts(report).values())


def test_an_exception_in_the_tables_or_the_progress_is_a_failed_check(good: JudgedVersion) -> None:
    for method in ("latest", "read", "point_in_time_join"):
        tables = type("Tables", (type(store()),), {method: broken})("toy")
        assert verdicts(gate(good, tables=tables)) == {"rows": "error"}
    report = gate(good, progress=broken)
    assert not report.passed
    assert "it broke" in report.checks[0].sentence


def test_a_report_that_cannot_be_written_is_refused(good: JudgedVersion) -> None:
    evaluation = changed(good, thresholds={**good.thresholds, "odd": object()})
    report = gate(evaluation)
    assert verdicts(report) == {"evaluation": "error"}
    checks = Checks(lambda *_: None)
    assert checks.part("report", broken) is None
    assert [(check.name, check.verdict) for check in checks.results] == [("report", "error")]


def test_nothing_but_a_busy_machine_leaves_a_version_unmeasured(better: GateReport) -> None:
    def with_verdicts(*verdicts: Any) -> GateReport:
        added = tuple(Check(name="latency", verdict=verdict, sentence="It is so.") for verdict in verdicts)
        return better.model_copy(update={"checks": added})

    assert with_verdicts("pass", "unmeasured").verdict == "unmeasured"
    assert not with_verdicts("pass", "unmeasured").passed
    assert with_verdicts("unmeasured", "fail").verdict == "fail"
    assert with_verdicts("unmeasured", "error", "fail").verdict == "error"
    assert with_verdicts().verdict == "error"
    assert "is not judged: latency could not be measured" in with_verdicts("pass", "unmeasured").summary


def summary(digest: str, data: str, until: str | None) -> VersionSummary:
    time = dt.datetime.fromisoformat(f"{until}T00:00:00+00:00") if until else None
    return VersionSummary(version=1, digest=digest, description="", data_digest=data, trained_until=time)


@pytest.mark.parametrize(
    ("challenger", "same", "expected"),
    [
        (("m1", "d1", "2024-01-01"), True, "identical"),
        (("m2", "d2", "2024-02-01"), True, "refresh"),
        (("m2", "d2", "2024-01-01"), True, "refresh"),
        (("m2", "d1", "2024-01-01"), True, "recipe"),
        (("m2", "d2", "2023-12-01"), True, "recipe"),
        (("m2", "d2", "2024-02-01"), False, "recipe"),
        (("m2", "d2", None), True, "recipe"),
    ],
)
def test_what_a_challenger_is_to_the_champion(
    challenger: tuple[str, str, str | None], same: bool, expected: str
) -> None:
    champion = summary("m1", "d1", "2024-01-01")
    assert relation_of(summary(*challenger), champion, same_configuration=same) == expected
    assert relation_of(champion, None) == "first"


def by_other_code(given: JudgedVersion, folder: Path, **version: str) -> JudgedVersion:
    """The version as if other code had made it, with its files in `folder`."""
    recipe = {**given.metadata["recipe"], "code": "0" * 64, "seed": 1}
    model_of(given).save(folder / "model")
    return changed(given, metadata={"recipe": recipe}, model_folder=folder / "model")


def model_of(given: JudgedVersion) -> ChurnModel:
    scorer: Scorer = given.score.__self__  # type: ignore[attr-defined]
    return scorer.model


@pytest.fixture(scope="module")
def newer(good: JudgedVersion) -> JudgedVersion:
    """The champion's recipe with another seed, on newer data."""
    other = loaded_version(3, seed=2)
    return changed(other, version=version_of(other, 3, data_digest="d1"))


def test_the_same_model_from_todays_code_makes_a_plain_refresh(
    good: JudgedVersion, newer: JudgedVersion, tmp_path: Path
) -> None:
    old, same = by_other_code(good, tmp_path), predictor_digest(model_of(good))
    made: list[Recipe] = []
    report = gate(newer, old, remake=lambda recipe: made.append(recipe) or same)  # type: ignore[func-returns-value]
    assert made == [old.recipe]
    assert report.relation == "refresh"
    (check,) = [each for each in report.checks if each.name == "code"]
    assert (check.verdict, check.value) == ("pass", "same model")


@pytest.mark.parametrize(
    ("rule", "refused"),
    [("non-inferiority", set()), ("superiority", {"better_log_loss"}), ("refuse", {"code"})],
)
def test_code_that_makes_another_model_is_told_and_the_versions_are_judged_alone(
    good: JudgedVersion, newer: JudgedVersion, tmp_path: Path, rule: str, refused: set[str]
) -> None:
    rules = ("gate.margins.log_loss=0.05", "gate.margins.roc_auc=0.05", f"gate.code_change={rule}")
    old = by_other_code(good, tmp_path)
    report = gate(newer, old, remake=lambda _: "another", overrides=rules)
    assert report.relation == "code"
    assert report.recipes is None
    assert set(verdicts(report)) == refused
    (check,) = [each for each in report.checks if each.name == "code"]
    assert "changed the champion's recipe: made again, it is another model" in check.sentence


def test_a_champion_that_cannot_be_made_again_is_another_recipe(
    good: JudgedVersion, newer: JudgedVersion, tmp_path: Path
) -> None:
    def gone(recipe: Recipe) -> str:
        raise NotFound("Version 3 of churn_training is gone.")

    reports = [
        gate(newer, by_other_code(good, tmp_path), remake=gone),
        gate(newer, changed(by_other_code(good, tmp_path / "b"), model_folder=None), remake=gone),
    ]
    for report, reason in zip(reports, ("churn_training is gone", "its files are not there"), strict=True):
        assert report.relation == "code"
        sentence = next(check.sentence for check in report.checks if check.name == "code")
        assert "it cannot be made again (" in sentence
        assert reason in sentence


def test_an_exception_in_the_remake_is_a_failed_check(
    good: JudgedVersion, newer: JudgedVersion, tmp_path: Path
) -> None:
    report = gate(newer, by_other_code(good, tmp_path), remake=broken)
    assert verdicts(report)["code"] == "error"


def test_a_recipe_is_made_again_bit_for_bit_on_its_own_table(good: JudgedVersion) -> None:
    rows = store()
    labels, features = (rows.latest(CONTRACT.table(name).name) for name in ("labels", "features"))
    ref = rows.point_in_time_join(labels, features, CONTRACT.table("training"), known_by=NOW)
    recipe = good.recipe.model_copy(update={"seed": 1, "training_table": TrainingTable.of(ref)})
    assert remade_digest(recipe, rows, threads=1) == predictor_digest(model_of(good))
    assert remade_digest(recipe.model_copy(update={"seed": 2}), rows, threads=1) != predictor_digest(model_of(good))
    gone = recipe.training_table.model_copy(update={"version": 99})  # type: ignore[union-attr]
    with pytest.raises(NotFound, match="99"):
        remade_digest(recipe.model_copy(update={"training_table": gone}), rows, threads=1)
    with pytest.raises(NotFound, match="Its seed or its training table is not on record"):
        remade_digest(recipe.model_copy(update={"seed": None}), rows, threads=1)
