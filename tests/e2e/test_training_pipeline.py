"""The training pipeline as a user types it: what a run leaves, and what the next one makes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from adapters.mlflow.load import load_package
from churn.ports.registry import CHALLENGER, MODEL_DIGEST
from tests.e2e.project import Callers, Project, Ran

if TYPE_CHECKING:
    from mlflow.entities import Run

pytestmark = pytest.mark.timeout(300)

MODEL = "churn_telco_simulated"
STEPS = ["ingest", "build_features", "build_training_set", "tune", "train", "evaluate", "register", "write_report"]
CACHEABLE = {"tune", "train", "evaluate"}
PICKLES = (".pkl", ".pickle", ".joblib", ".cloudpickle", ".pt", ".npy", ".npz")


@pytest.fixture(scope="module")
def project(new_user: Callable[..., Project]) -> Project:
    return new_user("training")


@pytest.fixture(scope="module")
def first(project: Project) -> Ran:
    return project.train().succeeded()


@pytest.fixture(scope="module")
def again(project: Project, first: Ran) -> Ran:
    return project.train().succeeded()


@pytest.fixture(scope="module")
def uncached(project: Project, again: Ran) -> Ran:
    return project.train(no_cache=True).succeeded()


@pytest.fixture(scope="module")
def zenml(project: Project, uncached: Ran) -> dict[str, Any]:
    return project.zenml()


@pytest.fixture(scope="module")
def runs(project: Project, first: Ran) -> list[Run]:
    """What MLflow knows after one pipeline run, oldest first."""
    experiment = project.mlflow.get_experiment_by_name(MODEL)
    return list(project.mlflow.search_runs([experiment.experiment_id], order_by=["start_time ASC"]))


@pytest.fixture(scope="module")
def parent(runs: list[Run]) -> Run:
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    return parent


def what_it_loads(page: str) -> Iterator[str]:
    """Yield every address that a browser would fetch to show a page."""
    loaded: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            given = dict(attributes)
            names = ["src", "srcset", "data", "poster", "background"]
            names += ["href", "xlink:href"] if tag in {"link", "use", "image", "script", "base"} else []
            loaded.extend(str(given[name]) for name in names if name in given)

    Reader().feed(page)
    yield from (address for address in loaded if not address.startswith(("data:", "#")))
    yield from (
        address for address in re.findall(r"url\(\s*['\"]?([^)'\"]+)", page) if not address.startswith(("data:", "#"))
    )
    yield from re.findall(r"@import[^;]+|\b(?:fetch|import)\([^)]+\)|XMLHttpRequest", page)


def test_a_run_ends_with_a_summary_and_the_next_command(project: Project, first: Ran) -> None:
    assert list(first.steps) == STEPS
    assert first.cached == set()
    trials = [line.partition("  best log loss ") for line in first.steps["tune"]]
    assert [done for done, loss, _ in trials if loss] == ["1/2", "2/2"]
    assert f"{MODEL} version 1 is @Challenger (new)" in first.out
    assert first.report.parent == project.state / "reports"
    assert "Next    python run.py ui" in first.out
    assert re.search(
        r"^Time +.*\d+ s: start [\d.]+, ingest [\d.]+, .*register [\d.]+(, write_report [\d.]+)?, between steps [\d.]+",
        first.out,
        re.M,
    )


def test_it_leaves_nothing_elsewhere_and_calls_nobody(project: Project, first: Ran, callers: Callers) -> None:
    assert list(project.work.iterdir()) == []
    assert list(project.temporary.iterdir()) == []
    assert {path.name for path in project.home.parent.iterdir()} == {"home", "state", "tmp", "work"}
    assert callers.called == []


def test_every_trial_is_a_run_nested_in_the_pipelines_run(runs: list[Run], parent: Run) -> None:
    trials = {run.info.run_name: run for run in runs if run is not parent}
    assert set(trials) == {"trial 0", "trial 1"}
    assert {run.data.tags["mlflow.parentRunId"] for run in trials.values()} == {parent.info.run_id}
    assert {run.info.status for run in trials.values()} <= {"FINISHED", "KILLED"}
    assert set(trials["trial 0"].data.params) == set(trials["trial 1"].data.params) > {"max_depth", "learning_rate"}
    assert trials["trial 0"].data.metrics["log_loss"] > 0


def test_the_pipelines_run_holds_parameters_metrics_data_charts_and_the_report(
    project: Project, parent: Run, first: Ran
) -> None:
    assert parent.info.status == "FINISHED"
    assert parent.data.params["seed"] == "42"
    assert parent.data.params["money.incentive_cost"] == "10.0"
    estimate, interval = first.metrics["ROC AUC"]
    assert f"{parent.data.metrics['roc_auc']:.3f}" == estimate
    assert len(parent.data.metrics) <= 12
    every = json.loads(Path(project.mlflow.download_artifacts(parent.info.run_id, "metrics.json")).read_text())
    assert f"{every['roc_auc.lower']:.3f} to {every['roc_auc.upper']:.3f}" == interval
    assert f"ROC AUC | {estimate}" in parent.data.tags["mlflow.note.content"]
    (given,) = parent.inputs.dataset_inputs
    table = project.tables("telco_simulated")["churn_training"]
    tags = {tag.key: tag.value for tag in given.tags}
    assert (tags["digest"], tags["version"]) == (table.content_id, str(table.version))
    assert json.loads(given.dataset.source)["path"] == table.uri
    files = project.mlflow.list_artifacts(parent.info.run_id)
    assert {file.path for file in files} == {"charts", "metrics.json", "report.html"}
    charts = {Path(file.path).stem for file in project.mlflow.list_artifacts(parent.info.run_id, "charts")}
    assert charts >= {"roc", "precision_recall", "reliability", "profit", "lift", "importance", "tuning"}


def test_the_version_is_complete(project: Project, first: Ran, parent: Run, tmp_path: Path) -> None:
    version = project.registry.by_alias(MODEL, CHALLENGER)
    assert version is not None
    assert (version.version, version.run_id) == (1, parent.info.run_id)
    assert "ROC AUC " + first.metrics["ROC AUC"][0] in version.description
    table = project.tables("telco_simulated")["churn_training"]
    assert version.tags["data_digest"] == table.content_id
    assert version.tags["metric_roc_auc"] == first.metrics["ROC AUC"][0]
    assert {"git_commit", "config_digest", "seed", "threshold_f1", "threshold_profit"} <= set(version.tags)
    package = load_package(project.registry.download(MODEL, 1, tmp_path), expected_digest=version.tags[MODEL_DIGEST])
    assert package.metadata["data_digest"] == table.content_id


def test_nobody_else_may_read_what_a_run_leaves(project: Project, first: Ran) -> None:
    left = [project.state, *project.state.rglob("*")]
    assert len(left) > 100
    assert [path for path in left if path.stat().st_mode & 0o077] == []


def test_no_file_is_a_pickle(project: Project, first: Ran) -> None:
    files = [
        path for folder in ("artifacts", "mlflow") for path in (project.state / folder).rglob("*") if path.is_file()
    ]
    assert {path.suffix for path in files} >= {".json", ".ubj", ".html", ".svg"}
    for path in files:
        start = path.read_bytes()[:2]
        assert not (start[:1] == b"\x80" and start[1:] in (b"\x02", b"\x03", b"\x04", b"\x05")), path
        assert path.suffix not in PICKLES


def test_the_report_opens_offline_and_says_what_the_screen_said(first: Ran) -> None:
    page = first.report.read_text(encoding="utf-8")
    assert list(what_it_loads(page)) == []
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    for name in ("ROC AUC", "average precision", "log loss", "Brier score", "profit per customer and month"):
        estimate, interval = first.metrics[name]
        low, high = interval.split(" to ")
        assert f"{estimate.removesuffix(' USD')} ({low} to {high})" in text
    assert next(line for line in first.out.splitlines() if "reating the " in line) in text


def test_the_same_command_again_says_unchanged_and_repeats_no_step_that_may_be_skipped(
    project: Project, again: Ran
) -> None:
    assert again.cached == CACHEABLE
    assert f"{MODEL} version 1 is @Challenger (unchanged" in again.out
    assert again.report.is_file()


def test_without_the_cache_every_step_runs_and_the_model_is_the_same_bit_for_bit(uncached: Ran) -> None:
    assert uncached.cached == set()
    assert f"{MODEL} version 1 is @Challenger (unchanged" in uncached.out


def test_zenml_recorded_which_steps_ran(zenml: dict[str, Any]) -> None:
    runs = [run["steps"] for run in zenml["runs"]]
    cached = [{name for name, status in steps.items() if status == "cached"} for steps in runs]
    assert cached == [set(), CACHEABLE, set()]
    assert {run["status"] for run in zenml["runs"]} == {"completed"}
    assert all(list(steps) == STEPS for steps in runs)


def test_every_artifact_has_a_picture_in_the_dashboard(zenml: dict[str, Any]) -> None:
    outputs = zenml["runs"][0]["outputs"]
    assert len(outputs) == 14
    assert outputs.pop("write_report.summary") == ["markdown"]
    assert outputs.pop("write_report.report") == ["html"]
    assert {name: pictures for name, pictures in outputs.items() if pictures != ["markdown", "html"]} == {}
    assert zenml["runs"][0]["name"].startswith("training-telco_simulated-")
    assert zenml["runs"][0]["tags"] == ["challenger v1"]
    assert zenml["runs"][0]["page"].endswith(f"/reports/{zenml['runs'][0]['name']}.html"), "linked from the run"


def test_zenmls_model_version_mirrors_the_registrys(project: Project, zenml: dict[str, Any]) -> None:
    (version,) = project.registry.versions(MODEL)
    (mirror,) = zenml["models"][MODEL].values()
    assert mirror["stage"] == "staging"
    assert mirror["metadata"]["mlflow_version"] == "1"
    assert mirror["metadata"][MODEL_DIGEST] == version.tags[MODEL_DIGEST]
    assert set(mirror["artifacts"]) == {"training_set", "tuning", "model", "training", "evaluation", "explanation"}


def test_the_users_own_zenml_stacks_stay_as_they_were(zenml: dict[str, Any]) -> None:
    assert zenml["active_stack"] == "laptop"
    (own,) = {run["stack"] for run in zenml["runs"]}
    assert set(zenml["stacks"]) == {"default", "laptop", own}
    laptop, files = zenml["stacks"]["laptop"], zenml["stacks"]["laptop"]["artifact_store"]
    assert set(laptop) == {"orchestrator", "artifact_store"}
    assert (files["name"], Path(files["configuration"]["path"]).name) == ("notebooks", "notebooks")
    assert {component["name"] for component in zenml["stacks"]["default"].values()} == {"default"}
