"""What a version must be, by itself: as registered, described, answering the same alone and in a batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from churn.gate.inputs import JudgedVersion
from churn.gate.report import Check
from churn.gate.settings import GateSettings
from churn.gate.soundness import CpuTimer, latency_check, soundness_checks
from churn.model.scorer import ReasonSettings
from churn.ports.registry import ModelVersion
from tests.fakes.data.case import CONTRACT, changed, loaded_version, raw_rows

pytestmark = pytest.mark.slow

CUSTOMERS = raw_rows(40).drop(columns=["customer_id", "churn"])
NAMES = {
    "digest",
    "description",
    "signature",
    "model_card",
    "lineage",
    "contract",
    "predictions",
    "reasons",
    "latency",
    "size",
}


@pytest.fixture(scope="module")
def good() -> JudgedVersion:
    return loaded_version(1)


def checks(given: JudgedVersion, settings: GateSettings | None = None, **reasons: Any) -> dict[str, Check]:
    found = soundness_checks(given, CONTRACT, CUSTOMERS, settings or GateSettings(), ReasonSettings(**reasons))
    return {check.name: check for check in found}


def failed(given: JudgedVersion, settings: GateSettings | None = None) -> set[str]:
    return {name for name, check in checks(given, settings).items() if not check.passed}


def with_version(given: JudgedVersion, **changes: Any) -> JudgedVersion:
    fields = {**given.version.__dict__, **changes}
    return changed(given, version=ModelVersion(**fields))


def without_tag(given: JudgedVersion, name: str) -> JudgedVersion:
    return with_version(given, tags={tag: value for tag, value in given.version.tags.items() if tag != name})


def scoring(given: JudgedVersion, change: Callable[[pd.DataFrame], pd.DataFrame]) -> JudgedVersion:
    def score(customers: pd.DataFrame, *, explain: bool = True) -> pd.DataFrame:
        return change(given.score(customers, explain=explain))

    return changed(given, score=score)


def test_a_version_from_the_training_pipeline_is_sound(good: JudgedVersion) -> None:
    found = checks(good)
    assert set(found) == NAMES
    assert [check.sentence for check in found.values() if not check.passed] == []


@pytest.mark.parametrize(
    ("tag", "check"),
    [
        ("model_digest", "digest"),
        ("metric_roc_auc", "model_card"),
        ("threshold_f1", "model_card"),
        ("git_commit", "lineage"),
        ("data_digest", "lineage"),
        ("trained_until", "lineage"),
    ],
)
def test_a_tag_that_is_missing_fails_its_check(good: JudgedVersion, tag: str, check: str) -> None:
    assert failed(without_tag(good, tag)) == {check}


@pytest.mark.parametrize("tag", ["trained_until", "data_digest", "recipe_digest"])
def test_a_tag_that_says_other_than_the_package_is_a_failed_lineage(good: JudgedVersion, tag: str) -> None:
    honest = changed(good, metadata={**good.metadata, tag: good.version.tags[tag]})
    assert checks(honest)["lineage"].passed
    forged = with_version(honest, tags={**good.version.tags, tag: "2020-01-01T00:00:00+00:00"})
    found = checks(forged)["lineage"]
    assert not found.passed
    assert f"The tag `{tag}` was changed in the registry: it says '2020-01-01" in found.sentence


def test_a_version_without_its_run_has_no_lineage(good: JudgedVersion) -> None:
    assert "run" in checks(with_version(good, run_id=None))["lineage"].sentence


def test_a_description_of_four_words_says_too_little(good: JudgedVersion) -> None:
    assert failed(with_version(good, description="A model of churn.")) == {"description"}
    assert failed(with_version(good, description="A good model of churn.")) == set()


def test_a_version_without_card_or_signature_is_refused(good: JudgedVersion) -> None:
    assert failed(changed(good, card=" \n", inputs=())) == {"model_card", "signature"}


def test_a_package_above_the_budget_is_refused(good: JudgedVersion) -> None:
    budget = GateSettings(max_megabytes=1.0)
    assert failed(changed(good, size=1_000_000), budget) == set()
    assert failed(changed(good, size=1_000_001), budget) == {"size"}


def test_a_slow_model_is_refused(good: JudgedVersion) -> None:
    assert failed(good, GateSettings(max_single_ms=1e-6)) == {"latency"}
    assert failed(good, GateSettings(max_seconds_per_1000=1e-9)) == {"latency"}


class Machine:
    """Clocks that a scoring version moves on: CPU seconds of each call in turn, and how much longer it took."""

    def __init__(self, *seconds: float, wait: float = 0.0) -> None:
        self.seconds, self.wait = list(seconds), wait
        self.cpu = self.wall = 0.0
        self.calls = 0

    def score(self, customers: pd.DataFrame) -> pd.DataFrame:
        took = self.seconds[min(self.calls, len(self.seconds) - 1)] * len(customers) / 1000
        self.calls += 1
        self.cpu += took
        self.wall += took * (1 + self.wait)
        return customers


LIMITS = GateSettings(max_seconds_per_1000=5, max_single_ms=1000)


def latency(good: JudgedVersion, machine: Machine, champion: JudgedVersion | None = None) -> Check:
    timer = CpuTimer(cpu=lambda: machine.cpu, wall=lambda: machine.wall)
    return latency_check(changed(good, score=machine.score), champion, pd.concat([CUSTOMERS] * 25), LIMITS, timer)


@pytest.mark.parametrize(
    ("seconds", "wait", "verdict"),
    [
        ([4.9], 0, "pass"),
        ([5.0], 3, "pass"),
        ([5.1], 0, "fail"),
        ([9, 9, 9, 4.9], 0, "pass"),
        ([9, 5.1, 5.1, 5.1, 5.1], 0, "fail"),
        ([9, 9, 9, 5.1, 9], 0, "unmeasured"),
        ([5.1], 0.3, "unmeasured"),
        ([5.1], 0.2, "fail"),
    ],
    ids=["fast", "at the limit", "slow", "once fast", "slow first", "unsteady", "waiting", "hardly waiting"],
)
def test_the_fastest_of_several_calls_decides_unless_the_machine_is_busy(
    good: JudgedVersion, seconds: list[float], wait: float, verdict: str
) -> None:
    check = latency(good, Machine(*seconds, wait=wait))
    assert check.verdict == verdict
    assert check.threshold == "5 CPU s, 1000 CPU ms"
    if verdict == "unmeasured":
        assert "Run the gate again when less runs beside it." in check.sentence


@pytest.mark.parametrize(("champion", "verdict"), [(6.0, "fail"), (6.4, "pass")])
def test_a_version_above_the_limit_may_be_as_slow_as_the_champion_in_the_same_process(
    good: JudgedVersion, champion: float, verdict: str
) -> None:
    machine = Machine(7.0)

    def score(customers: pd.DataFrame) -> pd.DataFrame:
        machine.cpu += champion * len(customers) / 1000
        return customers

    check = latency(good, machine, changed(good, score=score))
    assert check.verdict == verdict


def test_waiting_for_other_programs_takes_no_cpu_time(good: JudgedVersion) -> None:
    def score(customers: pd.DataFrame) -> pd.DataFrame:
        time.sleep(0.05)
        return customers

    settings = GateSettings(max_seconds_per_1000=0.5, max_single_ms=20)
    check = latency_check(changed(good, score=score), None, CUSTOMERS, settings)
    assert check.verdict == "pass"


def test_customers_are_scored_once_for_every_check_that_needs_it(good: JudgedVersion) -> None:
    batches: list[int] = []

    def score(customers: pd.DataFrame, *, explain: bool = True) -> pd.DataFrame:
        batches.append(len(customers))
        return good.score(customers, explain=explain)

    checks(changed(good, score=score), GateSettings(max_seconds_per_1000=1e6, max_single_ms=1e6))
    assert batches.count(len(CUSTOMERS)) <= 1 + 5  # for predictions and reasons, then repeats of the measurement


def test_a_row_that_scores_otherwise_alone_is_found(good: JudgedVersion) -> None:
    def by_batch(scored: pd.DataFrame) -> pd.DataFrame:
        return scored.assign(probability=scored["probability"] * (0.9 if len(scored) == 1 else 1.0))

    assert failed(scoring(good, by_batch)) == {"predictions"}


@pytest.mark.parametrize(("column", "value"), [("probability", 1.5), ("decision", "perhaps"), ("expected_value", None)])
def test_answers_that_are_none_are_found(good: JudgedVersion, column: str, value: object) -> None:
    def spoilt(scored: pd.DataFrame) -> pd.DataFrame:
        return scored.assign(**{column: value})

    assert not checks(scoring(good, spoilt))["predictions"].passed


def test_probabilities_that_are_missing_are_an_error(good: JudgedVersion) -> None:
    found = checks(scoring(good, lambda scored: scored.assign(probability=float("nan"))))
    assert found["predictions"].verdict == "error"


def test_reasons_in_other_words_than_the_contracts_are_found(good: JudgedVersion) -> None:
    def gibberish(scored: pd.DataFrame) -> pd.DataFrame:
        return scored.assign(reasons=[["f17: 3 (+0.2)"]] * len(scored))

    found = checks(scoring(good, gibberish))["reasons"]
    assert found.verdict == "fail"
    assert "'f17: 3 (+0.2)'" in found.sentence


def test_no_reason_at_all_is_refused_unless_none_is_asked_for(good: JudgedVersion) -> None:
    silent = scoring(good, lambda scored: scored.assign(reasons=[[]] * len(scored)))
    assert not checks(silent)["reasons"].passed
    assert checks(silent, top=0)["reasons"].passed


def test_another_contract_that_still_holds_what_the_model_reads_is_compatible(good: JudgedVersion) -> None:
    assert checks(with_version(good, tags={**good.version.tags, "contract_digest": "old"}))["contract"].passed


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"columns": {"gone": {"type": "number"}}}, "the column gone is gone"),
        ({"columns": {"tenure": {"type": "categorical"}}}, "the type of tenure changed"),
        ({"entity_key": "account"}, "entity_key changed"),
    ],
)
def test_a_contract_that_the_model_cannot_live_with_is_named(
    good: JudgedVersion, change: dict[str, Any], told: str
) -> None:
    recipe = dict(good.metadata["recipe"])
    contract = dict(recipe["contract"])
    columns = {
        **contract["columns"],
        **{n: {**contract["columns"]["tenure"], **c} for n, c in change.pop("columns", {}).items()},
    }
    recipe["contract"] = {**contract, "columns": columns, **change}
    other = changed(
        with_version(good, tags={**good.version.tags, "contract_digest": "old"}), metadata={"recipe": recipe}
    )
    assert told in checks(other)["contract"].sentence
    assert checks(other)["contract"].verdict == "fail"


def test_a_package_that_does_not_say_how_it_was_made_is_an_error(good: JudgedVersion) -> None:
    found = checks(changed(good, metadata={}))
    assert found["reasons"].verdict == "error"
    assert "train it again" in found["reasons"].sentence
