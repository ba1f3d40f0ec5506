"""The gate as a whole, on real models of made-up customers."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
import pytest

from churn.core.errors import StoreError
from churn.gate.inputs import LoadedVersion
from churn.gate.judge import judge, relation_of
from churn.gate.report import GateReport, VersionSummary
from churn.ports.registry import MODEL_DIGEST, ModelVersion
from churn.ports.tables import FeatureStore
from churn.training.train import ModelSettings
from tests.fakes.data.case import CONTRACT, NOW, Shelf, changed, filled_store, loaded_version, raw_rows, settings, store

pytestmark = pytest.mark.slow

BLIND = ModelSettings(
    candidates=("boosting",), folds=3, boosting={"max_depth": 1, "learning_rate": 0.02, "max_rounds": 5}
)  # type: ignore[arg-type]


def gate(
    challenger: LoadedVersion,
    champion: LoadedVersion | None = None,
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
        progress=lambda *_: None,
        **{"now": NOW, **changes},
    )


def verdicts(report: GateReport) -> dict[str, str]:
    return {check.name: check.verdict for check in report.checks if not check.passed}


@pytest.fixture(scope="module")
def good() -> LoadedVersion:
    return loaded_version(2)


@pytest.fixture(scope="module")
def blind() -> LoadedVersion:
    return loaded_version(1, model=BLIND)


@pytest.fixture(scope="module")
def better(good: LoadedVersion, blind: LoadedVersion) -> GateReport:
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


def test_the_worse_model_is_refused_in_both_questions(good: LoadedVersion, blind: LoadedVersion) -> None:
    report = gate(changed(blind, version=version_of(blind, 3)), good)
    assert {"recipe", "log_loss", "roc_auc"} <= set(verdicts(report))


def version_of(given: LoadedVersion, number: int, **tags: str) -> ModelVersion:
    old = given.version
    return ModelVersion(old.name, number, old.run_id, old.description, {**old.tags, **tags})


def test_the_first_champion_must_beat_treating_nobody_everybody_and_the_average(good: LoadedVersion) -> None:
    report = gate(good)
    assert report.relation == "first"
    assert verdicts(report) == {}
    names = [check.name for check in report.checks]
    assert len([name for name in names if name.startswith("better_than_")]) >= 3


def test_a_model_that_knows_nothing_cannot_be_the_first_champion(good: LoadedVersion) -> None:
    def coin(customers: pd.DataFrame, *, explain: bool = True) -> pd.DataFrame:
        scored = good.score(customers, explain=explain)
        drawn = 0.2 + 0.1 * (pd.util.hash_pandas_object(customers, index=False) % 1000 / 1000).to_numpy()
        return scored.assign(probability=drawn)

    report = gate(changed(good, score=coin))
    assert not report.passed
    assert [name for name in verdicts(report) if name.startswith("better_than_")]


def test_the_same_model_again_is_no_difference_and_is_not_promoted(good: LoadedVersion) -> None:
    digest = good.version.tags[MODEL_DIGEST]
    report = gate(changed(good, version=version_of(good, 3)), good)
    assert report.challenger.digest == digest
    assert (report.relation, verdicts(report)) == ("identical", {"difference": "fail"})
    assert "No difference" in report.checks[-1].sentence
    assert report.holdout is None


def test_a_challenger_that_cannot_be_loaded_is_refused(good: LoadedVersion, blind: LoadedVersion) -> None:
    report = gate(good, blind, shelf=Shelf(blind))
    assert verdicts(report) == {"loads": "error"}
    assert "its files are damaged" in report.checks[0].sentence


def test_a_champion_that_cannot_be_loaded_refuses_the_challenger(good: LoadedVersion, blind: LoadedVersion) -> None:
    report = gate(good, blind, shelf=Shelf(good))
    assert verdicts(report) == {"champion_loads": "error"}
    assert not report.passed


def test_outcomes_that_are_not_mature_judge_nobody(good: LoadedVersion) -> None:
    report = gate(good, now=dt.datetime(2024, 1, 15, tzinfo=dt.UTC))
    assert verdicts(report) == {"rows": "error"}
    assert "No outcome of 'toy' may be learned from yet" in report.checks[-1].sentence


def test_a_holdout_without_churners_judges_nobody(good: LoadedVersion) -> None:
    report = gate(good, tables=filled_store(raw_rows(500).assign(churn="No")))
    assert verdicts(report) == {"rows": "error"}
    assert "0 customers of the holdout rows churned, and 30 are needed" in report.checks[-1].sentence


def test_tables_that_are_not_there_judge_nobody(good: LoadedVersion) -> None:
    class Unreachable(type(store())):  # type: ignore[misc]
        def latest(self, name: str) -> Any:
            raise StoreError("The tables do not answer.")

    report = gate(good, tables=Unreachable("toy"))
    assert verdicts(report) == {"rows": "error"}


def test_models_of_different_splits_are_not_compared(good: LoadedVersion, blind: LoadedVersion) -> None:
    other = changed(blind, version=version_of(blind, 1, split="0.3 by salt"))
    report = gate(good, other)
    assert verdicts(report) == {"rows": "error"}
    assert "part of this holdout was in its training" in report.checks[-1].sentence


def test_a_challenger_that_fails_while_it_scores_is_refused(good: LoadedVersion, blind: LoadedVersion) -> None:
    def broken(customers: pd.DataFrame, *, explain: bool = True) -> pd.DataFrame:
        raise ZeroDivisionError("division by zero")

    report = gate(changed(good, score=broken), blind)
    assert set(verdicts(report)) == {"predictions", "reasons", "latency", "scores"}
    assert set(verdicts(report).values()) == {"error"}


def test_a_champion_of_columns_that_the_table_lacks_refuses(good: LoadedVersion, blind: LoadedVersion) -> None:
    frame = raw_rows(1500).rename(columns={"noise": "sound"})
    with pytest.raises(Exception, match="noise"):
        filled_store(frame)

    def needs_more(customers: pd.DataFrame, *, explain: bool = True) -> pd.DataFrame:
        return blind.score(customers.rename(columns={"noise": "sound"}), explain=explain)

    report = gate(good, changed(blind, score=needs_more))
    assert verdicts(report) == {"champion_scores": "error"}
    assert "noise" in report.checks[-1].sentence


def summary(digest: str, recipe: str | None, data: str, until: str | None) -> VersionSummary:
    time = dt.datetime.fromisoformat(f"{until}T00:00:00+00:00") if until else None
    return VersionSummary(
        version=1, digest=digest, description="", recipe_digest=recipe, data_digest=data, trained_until=time
    )


@pytest.mark.parametrize(
    ("challenger", "expected"),
    [
        (("m1", "r1", "d1", "2024-01-01"), "identical"),
        (("m2", "r1", "d2", "2024-02-01"), "refresh"),
        (("m2", "r1", "d2", "2024-01-01"), "refresh"),
        (("m2", "r1", "d1", "2024-01-01"), "recipe"),
        (("m2", "r1", "d2", "2023-12-01"), "recipe"),
        (("m2", "r2", "d2", "2024-02-01"), "recipe"),
        (("m2", None, "d2", "2024-02-01"), "recipe"),
        (("m2", "r1", "d2", None), "recipe"),
    ],
)
def test_what_a_challenger_is_to_the_champion(
    challenger: tuple[str, str | None, str, str | None], expected: str
) -> None:
    champion = summary("m1", "r1", "d1", "2024-01-01")
    assert relation_of(summary(*challenger), champion) == expected
    assert relation_of(champion, None) == "first"
