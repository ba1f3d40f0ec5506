"""The commands beside the pipelines, and what mistyped ones are told."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest
import yaml

from tests.e2e.project import ROOT, Project

pytestmark = pytest.mark.timeout(120)

PIPELINES = ("features", "training")


@pytest.fixture(scope="module")
def project(new_user: Callable[..., Project]) -> Project:
    return new_user("typing", fresh=True)


@pytest.fixture
def state(project: Project) -> str:
    return f"--set=profile.state={project.state}"


def test_help_takes_less_than_a_second_and_names_what_there_is(project: Project) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    helped = project.run_cold("--help").succeeded()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
    for name in (*PIPELINES, "doctor", "data", "dataset", "config", "ui", "--stack", "--set", "--no-cache", "--debug"):
        assert name in helped.out


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("--pipeline inference", "has no @Champion to score with"),
        ("explain --customer 1", "has no @Champion to score with"),
        ("--pipeline deployment", "has no @Challenger"),
        ("audit", "Neither the ledger nor the registry knows a model"),
    ],
)
def test_without_a_model_that_is_told_before_anything_is_imported_or_left(
    project: Project, tmp_path: Path, line: str, why: str
) -> None:
    alone = project.with_environment(HOME=str(tmp_path))  # a deployment looks for ZenML's settings there
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    refused = alone.run_cold(*line.split(), f"--set=profile.state={tmp_path / 'state'}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert why in refused.paragraph
    assert f"--set profile.state={tmp_path / 'state'}`" in refused.paragraph, "the command that it names can be typed"
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2, "a pipeline that starts takes seven"
    assert not (tmp_path / "state").exists()


def test_no_command_at_all_shows_the_help(project: Project) -> None:
    assert project.run().succeeded().out == project.run("--help").out


def test_a_pipeline_that_there_is_not_is_refused_with_those_there_are(project: Project) -> None:
    refused = project.run("--pipeline", "trainig")
    assert refused.code == 2
    assert "invalid choice: 'trainig'" in refused.err
    assert all(name in refused.err for name in PIPELINES)
    assert "did you mean 'training'?" in refused.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--stack", "locl"],
            "There is no stack 'locl'; configs/ has: databricks, hybrid, local; did you mean 'local'?",
        ),
        (["--set", "tuning.max_trails=3"], "did you mean 'max_trials'?"),
        (["--set", "sede=3"], "did you mean 'seed'?"),
        (["--set", "seed"], "is not of the form key.path=value"),
        (["--set", "seed=many"], "seed"),
        (["--set", "money={"], "is not valid YAML"),
        (["--config", "none.yaml"], "none.yaml"),
        (["--config", "malformed.yaml"], "malformed.yaml is not valid YAML at line 3"),
        (["--config", "unknown.yaml"], "did you mean 'validation'?"),
        (["--dataset", "telko"], "did you mean 'telco'?"),
    ],
)
def test_a_mistake_in_the_settings_is_told_with_its_remedy(project: Project, arguments: list[str], told: str) -> None:
    (project.work / "malformed.yaml").write_text("seed: 1\nmoney: [\n")
    (project.work / "unknown.yaml").write_text("validations: {max_quarantine_share: 0.1}\n")
    assert told in project.run("data", "describe", *arguments).paragraph


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (["--set=sede=3"], "did you mean 'seed'?"),
        (["--set=seed=true"], "`seed`: a number is expected, got True"),
        (["--dataset=telco"], "Nothing was delivered to the data set 'telco' yet"),
        (["--dataset=telco", "--data=none.csv"], "There is no data at"),
        (["--dataset=telco", "--data=other.csv"], "lacks 20 column(s)"),
        (["--dataset=telco", "--data=empty.csv"], "is empty"),
        (["--data=other.csv"], "are simulated"),
        (["--dataset=malformed.yaml"], "is not valid YAML"),
    ],
)
def test_a_pipeline_with_a_mistake_that_can_be_seen_at_once_leaves_nothing_behind(
    project: Project, mistake: list[str], told: str
) -> None:
    (project.work / "other.csv").write_text("a,b\n1,2\n")
    (project.work / "empty.csv").touch()
    (project.work / "malformed.yaml").write_text("name: [\n")
    assert told in project.run("--pipeline", "training", f"--set=profile.state={project.state}", *mistake).paragraph
    assert not project.state.exists()
    assert not (project.home / ".config" / "zenml").exists()


def test_settings_of_zenml_that_cannot_be_used_are_told_with_the_way_forward(project: Project, state: str) -> None:
    folder = project.work / "settings"
    folder.mkdir(exist_ok=True)
    for content, why in (("a: [", "while parsing"), ("- a", "holds no keys"), ("\xff", "decode")):
        (folder / "config.yaml").write_text(content, encoding="latin-1")
        refused = project.with_environment(ZENML_CONFIG_PATH=str(folder)).run("--pipeline", "features", state)
        for part in (f"{folder}/config.yaml, cannot be read (", why, "move it away"):
            assert part in refused.paragraph
    found = project.with_environment(ZENML_CONFIG_PATH=str(folder)).run("doctor", state)
    assert (found.code, "✗ zenml: store" in found.out) == (2, True)


def test_a_home_that_cannot_be_made_is_told_with_the_way_forward(project: Project, state: str) -> None:
    refused = project.with_environment(HOME="/dev/null/home").run("--pipeline", "features", state)
    assert "set HOME or ZENML_CONFIG_PATH" in refused.paragraph


def test_data_that_is_not_there_is_told(project: Project) -> None:
    refused = project.run("data", "describe", "--dataset", "telco", "--data", "customers.csv")
    assert f"There is no data at {project.work / 'customers.csv'}: check `--data`." in refused.paragraph


def test_debug_shows_the_traceback(project: Project) -> None:
    refused = project.run("config", "show", "--debug", "--set", "sede=3")
    assert refused.code == 2
    assert "Traceback" in refused.err
    assert refused.err.rstrip().endswith("did you mean 'seed'?")


def test_simulated_customers_are_written_and_described(project: Project, state: str, tmp_path: Path) -> None:
    path = tmp_path / "customers.parquet"
    size = ["--set=simulation.customers=50", "--set=simulation.months=4"]
    simulated = project.run("data", "simulate", "--out", path, state, *size).succeeded()
    assert f"200 simulated rows of telco_simulated: {path}" in simulated.out
    assert pyarrow.parquet.read_metadata(path).num_rows == 200
    described = project.run("data", "describe", "--dataset", "telco", "--data", path, state).succeeded()
    assert "200 rows keep the contract, 0 would go to quarantine." in described.out


def test_without_a_network_a_download_says_what_to_do(project: Project, state: str) -> None:
    refused = project.run("data", "fetch", "telco", state)
    assert "does not answer" in refused.paragraph
    assert "Or train on simulated customers" in refused.paragraph
    assert "did you mean 'telco'?" in project.run("data", "fetch", "telko", state).paragraph


def test_a_drafted_contract_says_when_a_role_cannot_be_guessed(project: Project, tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    table.write_text("person_id,shoe_size\n1,42\n2,43\n")
    assert "--label" in project.run("dataset", "infer", table).paragraph


def test_the_settings_in_force_are_shown_as_they_would_be_read(project: Project, state: str) -> None:
    shown = project.run("config", "show", state, "--set", "seed=7").succeeded()
    settings = yaml.safe_load(shown.out)
    assert (settings["seed"], settings["profile"]["state"]) == (7, str(project.state))
    assert settings["profile"]["mlflow"]["tracking_uri"] == f"sqlite:///{project.state}/mlflow.db"


def test_the_schema_describes_every_key(project: Project) -> None:
    schema = json.loads(project.run("config", "schema").succeeded().out)
    assert set(schema["properties"]) >= set(yaml.safe_load((ROOT / "configs" / "base.yaml").read_text()))
    assert schema["additionalProperties"] is False


def test_the_doctor_finds_a_machine_on_which_nothing_ran_yet_fit(project: Project, state: str) -> None:
    told = project.run("doctor", state)
    assert told.code == 0, told.out
    assert told.err == ""
    assert told.out.rstrip().endswith("A pipeline can run.")
    assert not project.state.exists()


def test_the_doctor_says_what_keeps_a_pipeline_from_running(project: Project, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = project.run("doctor", f"--set=profile.state={tmp_path / 'file' / 'state'}")
    assert told.code == 2
    assert "keep a pipeline from running" in told.out
    assert "✗ state" in told.out
