"""The bundles have what `deployment-job create` sends, and are read by Databricks' own package without a workspace."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks.bundles.jobs import Job
from databricks.bundles.schemas import Schema
from databricks.bundles.volumes import Volume

from adapters.databricks.bundle import SHARED, target_resources
from adapters.databricks.deployment_job import DeploymentJob
from adapters.databricks.resources import resources
from adapters.platform import setup_stack
from churn.core.errors import ConfigError
from churn.profile import DatabricksSettings
from churn.settings import load_contract, read_configuration
from cli.bundle import PRODUCTION, TARGETS
from cli.context import CONFIGS
from cli.main import main
from cli.pipelines import graphs
from tools.check_bundle import faults

from .workspace import Workspace

CONTRACT = load_contract(CONFIGS, "telco")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, state: Path) -> Path:
    """The bundle as a user writes it."""
    out = tmp_path_factory.mktemp("bundle")
    typed = ["stack", "bundle", "--dataset", "telco", "--out", str(out), "--set", f"profile.state={state}"]
    assert main([*typed, "--set", "profile.databricks.readers=[analysts]"]) == 0
    return out


def read(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def resources_of(folder: Path, target: str, bundle: str = "churn-telco") -> dict[str, Any]:
    content: dict[str, Any] = read(folder / bundle / "resources" / f"{target}.yml")["targets"][target]["resources"]
    return content


def test_databricks_own_package_reads_every_resource_whole(folder: Path) -> None:
    assert faults(folder) == []


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("jobs", {"retries": 2}, "Unexpected field 'retries'"),
        ("schemas", {"catalogue": "x"}, "Unexpected field 'catalogue'"),
        ("volumes", {"volume_type": "OURS"}, "OURS"),
    ],
)
def test_a_fault_in_a_bundle_is_found(folder: Path, tmp_path: Path, kind: str, change: Any, message: str) -> None:
    bundles = tmp_path / "bundles"
    shutil.copytree(folder, bundles)
    dev = bundles / (SHARED if kind == "volumes" else "churn-telco") / "resources" / "dev.yml"
    whole = read(dev)
    next(iter(whole["targets"]["dev"]["resources"][kind].values())).update(change)
    dev.write_text(yaml.safe_dump(whole))
    (fault,) = faults(bundles)
    assert message in fault
    assert faults(tmp_path / "nothing") == [f"{tmp_path / 'nothing'}: no bundle is there"]


def test_bundles_of_two_data_sets_lie_side_by_side_and_make_nothing_twice(
    folder: Path, state: Path, tmp_path: Path
) -> None:
    bundles = tmp_path / "bundles"
    shutil.copytree(folder, bundles)
    shared = {path.name: path.read_text() for path in (bundles / SHARED / "resources").iterdir()}
    typed = ["stack", "bundle", "--dataset", "saas", "--out", str(bundles), "--set", f"profile.state={state}"]
    assert main([*typed, "--set", "profile.databricks.readers=[analysts]"]) == 0
    names = ["churn-saas", "churn-telco", SHARED]
    assert sorted(path.name for path in bundles.iterdir()) == names
    assert [read(bundles / name / "databricks.yml")["bundle"]["name"] for name in names] == names
    assert {path.name: path.read_text() for path in (bundles / SHARED / "resources").iterdir()} == shared
    for target in TARGETS:
        made = [
            (kind, body.get("catalog_name"), body.get("schema_name"), body["name"])
            for name in names
            for kind, bodies in resources_of(bundles, target, name).items()
            for body in bodies.values()
        ]
        assert len(set(made)) == len(made), "the second bundle fails to make what the first has made"
        roots = {read(bundles / name / "databricks.yml")["targets"][target]["workspace"]["root_path"] for name in names}
        assert len(roots) == len(names), "a bundle removes what it does not name of the one before it in its folder"
    assert faults(bundles) == []


def test_each_target_has_a_catalog_of_its_own_and_what_ci_deploys_is_in_production_mode(folder: Path) -> None:
    for bundle in ("churn-telco", SHARED):
        targets = read(folder / bundle / "databricks.yml")["targets"]
        assert list(targets) == list(TARGETS)
        in_production = [name for name, target in targets.items() if target.get("mode") == "production"]
        assert in_production == sorted(PRODUCTION, reverse=True)
        assert [name for name, target in targets.items() if target.get("default")] == ["dev"]
    catalogs = {name: resources_of(folder, name)["schemas"]["telco"]["catalog_name"] for name in TARGETS}
    assert catalogs == {"dev": "churn_dev", "staging": "churn_staging", "prod": "churn_prod"}


def test_it_has_no_object_that_needs_a_first_version(folder: Path) -> None:
    for name in TARGETS:
        assert set(resources_of(folder, name)) == {"schemas", "experiments", "registered_models", "jobs"}
        assert set(resources_of(folder, name, SHARED)) == {"schemas", "volumes"}
    assert "deployment_job_id" not in (folder / "churn-telco" / "resources" / "prod.yml").read_text()


def test_readers_and_approvers_are_granted_what_they_need_and_no_more() -> None:
    settings = DatabricksSettings(readers=("analysts",), approvers=("owners",))
    made = resources(settings, CONTRACT, "churn_telco")
    assert made["registered_models"]["churn_telco"]["grants"] == [
        {"principal": "analysts", "privileges": ["EXECUTE"]},
        {"principal": "owners", "privileges": ["EXECUTE", "APPLY_TAG"]},
    ]
    assert made["schemas"]["telco"]["grants"][0] == {"principal": "analysts", "privileges": ["USE_SCHEMA", "SELECT"]}
    granted = {
        right
        for kind in made.values()
        for each in kind.values()
        for grant in each.get("grants", ())
        for right in grant["privileges"]
    }
    assert granted == {"USE_SCHEMA", "SELECT", "READ_VOLUME", "EXECUTE", "APPLY_TAG"}


def test_what_is_in_the_bundle_is_what_a_setup_sends(
    workspace: Workspace, state: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in workspace.environment().items():
        monkeypatch.setenv(name, value)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_USE_DATABRICKS_SDK_MODEL_ARTIFACTS_REPO_FOR_UC"):
        monkeypatch.setenv(name, "")
    workspace.catalog.add_catalog("churn_prod")
    overrides = [f"profile.state={state}", "dataset=telco", "profile.databricks.readers=[analysts]"]
    settings, profile = read_configuration(CONFIGS, "databricks", CONFIGS / "targets" / "prod.yaml", overrides)
    steps = graphs(settings, CONTRACT)
    setup_stack(settings, profile, CONTRACT, steps)
    bundles = {bundle: resources_of(folder, "prod", bundle) for bundle in ("churn-telco", SHARED)}
    written = bundles["churn-telco"]
    sent = {call.json["name"]: call.json for call in workspace.calls("POST /api/2.2/jobs/create")}
    assert len(sent) == len(written["jobs"]) == 7
    for job in written["jobs"].values():
        assert Job.from_dict(job).as_dict() == Job.from_dict(sent[job["name"]]).as_dict()
    for call, kind in (("schemas", Schema), ("volumes", Volume)):
        made = {asked.json["name"]: asked.json for asked in workspace.calls(f"POST /api/2.1/unity-catalog/{call}")}
        bodies = {name: body for bundle in bundles.values() for name, body in bundle.get(call, {}).items()}
        assert bodies.keys() == made.keys()
        for name, body in bodies.items():
            own = {key: value for key, value in body.items() if key != "grants"}
            assert kind.from_dict(own).as_dict() == kind.from_dict(made[name]).as_dict()
    assert target_resources(settings, profile, CONTRACT, steps) == bundles
    created = DeploymentJob(profile, CONTRACT, "churn_telco").create(settings)[0]
    assert created.change == "unchanged", "what a bundle made would be made or changed once more"


def test_two_targets_in_one_place_are_refused(state: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one_place = ["--set", "profile.databricks.catalog=main", "--set", f"profile.state={state}"]
    assert main(["stack", "bundle", "--out", str(tmp_path), *one_place]) == 2
    assert "dev and staging are the same place, main.telco_simulated" in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())


def test_targets_in_one_workspace_have_jobs_and_endpoints_of_their_own(folder: Path) -> None:
    jobs = [job["name"] for name in TARGETS for job in resources_of(folder, name)["jobs"].values()]
    assert len(set(jobs)) == len(jobs) == 21
    marks = {name: resources_of(folder, name)["schemas"]["telco"]["properties"]["churn_project"] for name in TARGETS}
    assert len(set(marks.values())) == len(TARGETS), "what one removes by its mark is none of the others'"
    targets = read(folder / "churn-telco" / "databricks.yml")["targets"]
    assert [target["workspace"]["root_path"] for target in targets.values()] == [
        *(
            "/Workspace/Shared/.bundle/churn_dev/churn-telco/dev",
            "/Workspace/Shared/.bundle/churn_staging/churn-telco/staging",
        ),
        "/Workspace/Shared/.bundle/churn/churn-telco/prod",
    ]


def test_two_targets_of_one_project_are_refused(
    state: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    one_project = ["--set", "profile.databricks.project=churn", "--set", f"profile.state={state}"]
    assert main(["stack", "bundle", "--out", str(tmp_path), *one_project]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "The targets dev and staging are the project churn, by which jobs and endpoint are found again" in told


def test_a_profile_without_a_workspace_has_no_bundle(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["stack", "bundle", "--stack", "hybrid", "--out", str(tmp_path)]) == 2
    assert "runs no jobs" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="jobs` is null"):
        target_resources(*read_configuration(CONFIGS, "hybrid"), CONTRACT, {})
