"""The end of a run: what came out, where it lies, where the time went, what to type next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest

from churn.core.estimate import Estimate
from churn.data.validation import RuleResult, ValidationReport
from churn.evaluation.evaluate import Evaluation
from churn.evaluation.headline import headline
from churn.gate.report import Check
from churn.lifecycle.deployment import Deployment
from churn.lifecycle.registration import Registration
from churn.lifecycle.release import Release
from churn.settings import Configuration, read_configuration
from cli.console import plain_console
from cli.summary import summarise
from tests.fakes.data.batches import summary_of
from tests.fakes.data.campaigns import campaign
from tests.fakes.data.findings import REGISTRATION, SNAPSHOT, VALIDATION, evaluation
from tests.fakes.data.gate_reports import RELEASE, gate_report

CONFIGS = Path(__file__).parents[3] / "configs"


@dataclass
class Artifact:
    """What a step stored."""

    data: object

    def load(self) -> object:
        return self.data


@dataclass
class Step:
    """What a step of a run left, by name."""

    outputs: dict[str, list[Artifact]]


@dataclass
class Run:
    """A pipeline run as far as a summary looks at it."""

    steps: dict[str, Step] = field(default_factory=dict)
    name: str = "training-2025_06_01-12_00_00"


def run_of(**outputs: Mapping[str, object]) -> Run:
    return Run(
        {step: Step({name: [Artifact(data)] for name, data in named.items()}) for step, named in outputs.items()}
    )


def configuration(state: str = "/state") -> Configuration:
    return read_configuration(CONFIGS, overrides=[f"profile.state='{state}'"])


def said(pipeline: str, run: Run, *, state: str = "/state") -> str:
    output = StringIO()
    fake: Any = run
    result = summarise(
        plain_console(output),
        pipeline,
        fake,
        *configuration(state),
        options=" --dataset members.yaml",
    )
    assert result["exit"] == 0
    return output.getvalue()


def trained(version: Registration = REGISTRATION, verdict: Evaluation | None = None, state: str = "/state") -> str:
    verdict = verdict or evaluation()
    run = run_of(evaluate={"evaluation": verdict}, register={"registration": version})
    return said("training", run, state=state)


def test_the_metrics_are_shown_with_their_intervals() -> None:
    text = trained()
    auc, profit = evaluation().metrics["roc_auc"], evaluation().metrics["profit_per_customer"]
    assert f"Holdout: 600 customers, {evaluation().churners} of whom churned" in text
    assert re.search(rf"ROC AUC +{auc.point:.3f} +{auc.lower:.3f} to {auc.upper:.3f} ", text)
    assert re.search(
        rf"profit per customer and month +{profit.point:.2f} USD +{profit.lower:.2f} to {profit.upper:.2f} ", text
    )
    assert "95% interval" in text


def test_what_the_model_is_worth_stands_in_one_sentence_and_one_line() -> None:
    assert headline(evaluation()) in trained().splitlines()


def test_a_metric_that_could_not_be_measured_has_no_row() -> None:
    known = {name: found for name, found in evaluation().metrics.items() if name != "empc"}
    assert "EMPC" in trained()
    assert "EMPC" not in trained(verdict=evaluation().model_copy(update={"metrics": known}))


def test_a_zero_has_no_sign() -> None:
    nearly = Estimate(point=-0.0001, lower=-0.0002, upper=0.0001, se=0.0001)
    verdict = evaluation().model_copy(update={"metrics": evaluation().metrics | {"profit_per_customer": nearly}})
    assert re.search(r"profit per customer and month +0\.00 USD +0\.00 to 0\.00 ", trained(verdict=verdict))


@pytest.mark.parametrize(
    ("unchanged", "state"),
    [(False, "new"), (True, "unchanged: the same data, settings and code gave the same model")],
)
def test_the_version_is_named_and_said_to_be_new_or_unchanged(unchanged: bool, state: str) -> None:
    version = REGISTRATION.model_copy(update={"unchanged": unchanged})
    assert f"churn_gym_simulated version 4 is @Challenger ({state})" in trained(version).splitlines()


@pytest.mark.parametrize("state", ["/state", "/a very long folder name" * 6, "/[red]x[/red]/[/y]"])
def test_the_report_stands_on_one_line_whatever_its_folder(state: str) -> None:
    assert f"Report  {state}/reports/training-2025_06_01-12_00_00.html" in trained(state=state).splitlines()


def test_the_next_command_is_the_dashboards() -> None:
    assert "Next    python run.py ui " in trained()


def test_the_features_pipeline_tells_rows_table_and_what_comes_next() -> None:
    run = run_of(ingest={"validation": VALIDATION}, build_features={"features": SNAPSHOT})
    lines = said("features", run).splitlines()
    assert lines[1:] == [
        "960 of 1,000 rows accepted, 30 in quarantine.",
        "Table   /tables/gym, version 7, 4 rows",
        "Next    python run.py --pipeline training --dataset members.yaml   (a model from them)",
    ]


def scored(**batch: Any) -> tuple[int, list[str]]:
    output = StringIO()
    run = run_of(score={"batch": summary_of(**batch)}, plan={"campaign": campaign()})
    result = summarise(plain_console(output), "inference", cast(Any, run), *configuration())
    return result["exit"], output.getvalue().splitlines()


def test_a_batch_is_told_with_what_it_is_worth_and_what_did_not_fit() -> None:
    counts = {"unseen": {"contract": 39}, "missing": {"tenure": 3}}
    code, lines = scored(rejected={"the row has a time": 2}, quarantined=2, rows=40, **counts)
    assert lines[1].startswith("30 customers scored by churn_toy version 3, 2 rows set aside: ")
    assert "  the row has a time: 2 of 40 customers (5.0%) do not; set aside" in lines
    assert "  contract: 39 of 40 customers (97.5%) have a value that training did not know; scored as missing" in lines
    assert "  tenure: 3 of 40 customers (7.5%) have no value, and in training everybody had one" in lines
    assert code == 0, "5 % is allowed"


def intake(quarantined: int) -> ValidationReport:
    rules = (
        RuleResult(column="plan", rule="is one of a", checked=40, broken=4, examples=("'b'",), set_aside=False),
        RuleResult(column="fee", rule="is a finite number", checked=40, broken=1, examples=("'x'",), set_aside=False),
        RuleResult(
            column="left", rule="is 'Y', 'N' or not known yet", checked=40, broken=2, examples=("'?'",), set_aside=False
        ),
        RuleResult(column="id", rule="is never missing", checked=40, broken=quarantined, examples=("''",)),
    )
    counts = {"rows": 40, "accepted": 40 - quarantined, "quarantined": quarantined, "copies": 0}
    limit = {"max_quarantine_share": 0.05, "ignored_columns": ()}
    return ValidationReport.model_validate({"source": "a.csv", "rules": rules, "scoring": True, **counts, **limit})


@pytest.mark.slow
def test_delivered_rows_that_were_set_aside_above_the_limit_are_warned_of_with_an_exit_code() -> None:
    code, lines = scored(intake=intake(3), unseen={"plan": 4}, rows=40)
    assert "  id is never missing: 3 of 40 delivered rows (7.5%) do not; set aside" in lines
    assert "  fee is a finite number: 1 of 40 delivered rows (2.5%) do not, such as 'x'; scored as missing" in lines
    assert "  left is 'Y', 'N' or not known yet: 2 of 40 delivered rows (5.0%) do not, such as '?'; not kept" in lines
    assert not [line for line in lines if "plan is one of" in line], "the customers with unknown plans are counted"
    warning = "Warning: 7.5% of the rows were set aside, and validation.max_quarantine_share allows 5.0%"
    assert [line for line in lines if line.startswith(warning)]
    assert code == 5
    allowed, among_others = scored(intake=intake(2), unseen={"plan": 4}, rows=4000)
    assert allowed == 0
    assert "  plan is one of a: 4 of 40 delivered rows (10.0%) do not, such as 'b'; scored as missing" in among_others


CHECKS = (
    Check(name="size", verdict="pass", value=0.8204, threshold=200.0, sentence="The package has 0.8 MB."),
    Check(name="recipe", verdict="fail", value=0.5, threshold=0.05, sentence="It is not proven better."),
)


def deployed(
    state: str, checks: tuple[Check, ...], *, verbose: bool = False, release: Release | None = None, **outcome: Any
) -> tuple[int, list[str]]:
    report = gate_report().model_copy(update={"checks": checks})
    ended = Deployment(model="churn_gym", version=7, champion=6, state=state, sentence="That is that.", **outcome)  # type: ignore[arg-type]
    release = release or Release(deployment=ended, state="skipped")
    run = run_of(evaluation={"gate_report": report}, promotion={"deployment": ended}, release={"release": release})
    output, fake = StringIO(), cast(Any, run)
    result = summarise(
        plain_console(output), "deployment", fake, *configuration(), options=" --stack cloud", verbose=verbose
    )
    assert (result["verdict"], result["version"], result["message"]) == (state, 7, "That is that.")
    return result["exit"], [line.rstrip() for line in output.getvalue().splitlines()]


@pytest.mark.slow
def test_a_refusal_names_the_check_and_its_reason_and_is_an_exit_code_of_its_own() -> None:
    code, lines = deployed("refused", CHECKS)
    assert code == 3
    assert lines[1] == "REFUSED  Version 5 is refused: recipe failed."
    assert lines[2].startswith(
        "Rule    It passes if on the same folds the recipe is better (superiority), and no metric"
    )
    assert lines[3:6] == [
        "✗ recipe: p 0.500 | p below 0.05",
        "    It is not proven better.",
        "  and 1 more that passed: on the page, or here with --verbose",
    ]
    assert "Live    version 6" in lines


def test_every_check_is_told_with_what_it_means_where_that_is_asked_for() -> None:
    _, lines = deployed("refused", CHECKS, verbose=True)
    assert lines[5:7] == ["✓ package size: 0.8 MB | at most 200.0 MB", "    The package has 0.8 MB."]
    assert not [line for line in lines if "--verbose" in line]


def test_a_version_that_waits_is_told_with_the_command_that_approves_it_and_has_an_exit_code() -> None:
    code, lines = deployed("waiting", CHECKS[:1])
    assert code == 4
    assert 'Next    python run.py approve --version 7 --reason "…" --stack cloud   (or reject)' in lines


def test_a_release_says_what_answers_and_how_to_let_the_version_answer_where_nothing_does() -> None:
    _, lines = deployed("promoted", CHECKS[:1], release=RELEASE)
    assert f"Serves  {RELEASE.sentence}" in lines
    serve = "Next    python run.py serve --stack cloud   (answers requests with it)"
    assert serve not in lines
    _, lines = deployed("promoted", CHECKS[:1], release=RELEASE.model_copy(update={"address": None}))
    assert serve in lines


@pytest.mark.parametrize("state", ["promoted", "unchanged"])
def test_a_promotion_ends_with_what_is_live_and_its_notes(state: str) -> None:
    code, lines = deployed(state, CHECKS[:1], notes=("The mirror did not answer.",))
    assert code == 0
    assert {"That is that.", "The mirror did not answer."} <= set(lines)
    assert "Next    python run.py models --stack cloud   (what is live, and what was)" in lines


def test_what_came_out_is_there_for_other_programs_too() -> None:
    batch, planned = summary_of(), campaign()
    trained_run = run_of(evaluate={"evaluation": evaluation()}, register={"registration": REGISTRATION})
    scored_run = run_of(score={"batch": batch}, plan={"campaign": planned})
    built_run = run_of(ingest={"validation": VALIDATION}, build_features={"features": SNAPSHOT})
    page = Path("/state/reports/training-2025_06_01-12_00_00.html")
    expected = {
        "training": {"version": 4, "verdict": "registered", "exit": 0, "report": page},
        "inference": {"version": 3, "verdict": "scored", "exit": 0, "report": page, "batch_id": batch.batch_id},
        "features": {"version": None, "verdict": "accepted", "exit": 0, "report": None},
    }
    for pipeline, run in (("training", trained_run), ("inference", scored_run), ("features", built_run)):
        result = summarise(plain_console(StringIO()), pipeline, cast(Any, run), *configuration())
        assert result.items() >= expected[pipeline].items()
        assert result["message"].endswith(".")
