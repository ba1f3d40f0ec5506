"""What a job runs: wheel, requirements and profile, of which nothing names this machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from adapters.databricks.code import differences, fetched, for_jobs, from_job, hand_over, requirements, wheel
from adapters.wiring import connect
from churn.core.errors import ConfigError, NotFound, StoreError
from churn.data.contract import DatasetContract
from churn.profile import JobSettings
from churn.settings import Configuration, load_contract, read_configuration
from tests.conftest import ROOT
from tools.cluster_requirements import FILE
from tools.cluster_requirements import requirements as locked

from .workspace import Workspace

CONFIGS = ROOT / "configs"


def configured(folder: Path, *overrides: str) -> Configuration:
    return read_configuration(CONFIGS, "databricks", overrides=[f"profile.state='{folder}'", *overrides])


@pytest.fixture
def there(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with the volume, which the SDK finds in the environment."""
    workspace.catalog.add_volume("main.churn.files")
    for name, value in workspace.environment().items():
        monkeypatch.setenv(name, value)
    return workspace


def test_a_job_installs_what_the_lock_file_names_for_its_python() -> None:
    assert FILE.read_text() == locked(ROOT / "uv.lock"), "run `python tools/cluster_requirements.py`"
    pinned = dict(line.split("==") for line in requirements().splitlines())
    assert len(pinned) > 150
    assert {"zenml", "mlflow", "databricks-sdk", "psycopg-binary", "uvicorn"} <= set(pinned)
    assert not {name for name in pinned if re.search(r"nvidia|pytest|ruff|pyspark|churn", name)}


@pytest.mark.parametrize("asked", [{}, {"cluster": {"spark_version": "17.3.x-scala2.13"}}])
def test_every_package_that_a_runtime_brings_in_another_version_is_named(asked: dict[str, object]) -> None:
    found = {one.package: (one.locked, one.runtime) for one in differences(JobSettings.model_validate(asked))}
    assert found["numpy"][1] == "2.1.3"
    assert all(locked != runtime for locked, runtime in found.values())
    assert "zenml" not in found, "a runtime brings none"


@pytest.mark.parametrize("asked", [{"environment_version": "99"}, {"cluster": {"spark_version": "9.1.x-scala2.12"}}])
def test_a_runtime_that_nobody_has_written_down_is_not_guessed(asked: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"packages of the runtime '.+' are not known here \(serverless-4, 17\.3\.x"):
        differences(JobSettings.model_validate(asked))


def test_the_profile_of_a_job_names_nothing_of_this_machine_and_is_the_same_profile_there(tmp_path: Path) -> None:
    own = ("profile.databricks.config_profile=adas_own", "profile.online={store: sqlite, address: '{state}/online'}")
    profile = configured(tmp_path / "state", *own, "serving.deploy=never").profile
    text = for_jobs(profile)
    assert str(tmp_path) not in text
    assert "adas_own" not in text
    there = from_job(text, Path("/local_disk0/tmp/x"))
    assert there.state == Path("/local_disk0/tmp/x")
    assert there.online.address == "/local_disk0/tmp/x/online"
    assert (there.mlflow, there.resources) == (profile.mlflow, profile.resources)
    assert for_jobs(there) == text


@pytest.mark.parametrize(
    "override",
    [
        "profile.mlflow.artifacts=~/mlflow",
        "profile.mlflow.artifacts='file:///a'",
    ],
)
def test_a_profile_with_a_path_of_this_machine_runs_no_job(tmp_path: Path, override: str) -> None:
    place = override.partition("=")[0]
    with pytest.raises(
        ConfigError, match=rf"^{re.escape(place)} is '.+', on this machine, where no job .+ name a folder"
    ):
        for_jobs(configured(tmp_path, override).profile)


def test_code_is_stored_once_per_content(tmp_path: Path, there: Workspace) -> None:
    settings, profile = configured(tmp_path / "state")
    contract = load_contract(CONFIGS, "telco_simulated")
    given = [hand_over(profile, "features", settings, contract) for _ in range(2)]
    assert given[0] == given[1]
    uploads = [request.path for request in there.requests if request.method == "PUT" and "/fs/files/" in request.path]
    code = given[0][2]["orchestrator"]["code"]
    assert [path.rpartition("/fs/files")[2] for path in uploads] == code
    assert re.fullmatch(
        r"/Volumes/main/churn/files/code/churn_lifecycle-0\.\d+\.\d+\+g\w{12}-py3-none-any\.whl", code[0]
    )
    assert given[0][2]["orchestrator"]["job"] == ["features", "telco_simulated"]


def test_what_a_step_receives_names_the_volume_where_this_machine_had_a_file(tmp_path: Path, there: Workspace) -> None:
    (tmp_path / "mine.csv").write_text("id\n1\n")
    (tmp_path / "own.py").write_text("def twice(x):\n    return 2 * x\n")
    settings, profile = configured(tmp_path / "state", f"data='{tmp_path}/mine.csv'", f"dataset='{tmp_path}/x.yaml'")
    contract = load_contract(CONFIGS, "telco").model_copy(update={"feature_module": tmp_path / "own.py"})
    steps, table, _ = hand_over(profile, "features", settings, contract)
    assert re.fullmatch(r"/Volumes/main/churn/files/incoming/\w{12}/mine\.csv", str(steps.data))
    assert re.fullmatch(r"/Volumes/main/churn/files/incoming/\w{12}/own\.py", str(table.feature_module))
    assert steps.dataset == "telco"
    received = steps.model_dump_json() + table.model_dump_json()
    assert str(tmp_path) not in received
    assert str(ROOT) not in received
    assert there.files.path(str(steps.data)).read_text() == "id\n1\n"
    in_a_task = from_job(for_jobs(profile), tmp_path / "task")
    assert fetched(in_a_task, Path(str(steps.data))).read_text() == "id\n1\n"
    workspace = connect(DatasetContract.model_validate_json(table.model_dump_json()), settings.model_name, in_a_task)
    assert workspace.contract.functions["twice"](2) == 4
    assert workspace.delivered(Path(str(steps.data))).name == str(steps.data)


def test_a_password_that_the_profile_names_goes_to_the_tasks_where_it_is_set(
    tmp_path: Path, there: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, profile = configured(tmp_path / "state", "profile.online.password_variable=MY_PASSWORD")
    contract = load_contract(CONFIGS, "telco")
    assert hand_over(profile, "features", settings, contract)[2]["orchestrator"]["variables"] == []
    monkeypatch.setenv("MY_PASSWORD", "pa55word")
    handed = hand_over(profile, "features", settings, contract)[2]
    assert handed["orchestrator"]["variables"] == ["MY_PASSWORD"]
    assert "pa55word" not in json.dumps(handed)


@pytest.mark.parametrize("pipeline", ["deployment", "retraining"])
def test_a_release_without_its_online_store_is_refused_before_anything_starts(
    tmp_path: Path, there: Workspace, pipeline: str
) -> None:
    contract = load_contract(CONFIGS, "telco")
    settings, profile = configured(tmp_path / "state")
    with pytest.raises(NotFound, match=r"projects/churn/.* Make it: python run\.py stack setup --stack databricks"):
        hand_over(profile, pipeline, settings, contract)
    assert [request.path for request in there.requests if request.method != "GET"] == []
    for overrides in (["serving.deploy=never"], ["profile.online={store: postgresql, address: 'postgresql://db/x'}"]):
        settings, profile = configured(tmp_path / "state", *overrides)
        hand_over(profile, pipeline, settings, contract)
    there.lakebase.add_project("churn")
    settings, profile = configured(tmp_path / "state")
    hand_over(profile, pipeline, settings, contract)


def test_a_folder_is_not_handed_over(tmp_path: Path, there: Workspace) -> None:
    settings, profile = configured(tmp_path / "state", f"data='{tmp_path}'")
    with pytest.raises(
        ConfigError, match="is not a file, and a job on Databricks cannot read this machine: copy it into"
    ):
        hand_over(profile, "features", settings, load_contract(CONFIGS, "telco"))


def test_a_volume_that_is_not_there_is_named_with_the_remedy(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in workspace.environment().items():
        monkeypatch.setenv(name, value)
    settings, profile = configured(tmp_path / "state")
    with pytest.raises(
        StoreError, match=r"could not store /Volumes/main/churn/files/code/.+`run.py stack setup` makes"
    ):
        hand_over(profile, "features", settings, load_contract(CONFIGS, "telco"))


def test_no_workspace_is_an_answer_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    settings, profile = configured(tmp_path / "state")
    with pytest.raises(StoreError, match=r"No credentials for Databricks were found .+ set DATABRICKS_HOST"):
        hand_over(profile, "features", settings, load_contract(CONFIGS, "telco"))


def test_the_wheel_is_built_once_per_code_and_leaves_the_checkout_alone(tmp_path: Path) -> None:
    before = {path.name for path in ROOT.iterdir()}
    built = wheel(ROOT, tmp_path)
    made = built.stat().st_mtime_ns
    assert wheel(ROOT, tmp_path) == built
    assert built.stat().st_mtime_ns == made
    assert [path.name for path in tmp_path.iterdir()] == [built.name]
    assert {path.name for path in ROOT.iterdir()} - before <= {".mypy_cache", ".ruff_cache"}


def test_an_installed_program_is_packed_into_the_wheel_that_it_came_from(tmp_path: Path) -> None:
    built, site = wheel(ROOT, tmp_path), tmp_path / "site-packages"
    with ZipFile(built) as archive:
        archive.extractall(site)
        content = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}
    program = (
        "import sys; from pathlib import Path; from adapters.databricks.code import wheel; wheel(None, Path('again'))"
    )
    environment = {"PYTHONPATH": str(site), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-P", "-c", program], cwd=tmp_path, env=environment, check=True)
    with ZipFile(tmp_path / "again" / built.name) as archive:
        assert {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")} == content
        record = archive.read(next(name for name in archive.namelist() if name.endswith("/RECORD"))).decode()
        assert {line.split(",")[0] for line in record.splitlines()} == set(archive.namelist())


def test_a_checkout_whose_wheel_cannot_be_built_says_so(tmp_path: Path) -> None:
    (tmp_path / "setup.py").write_text("raise SystemExit('no luck')\n")
    with pytest.raises(StoreError, match=r"The wheel of this checkout cannot be built \(no luck\): `make train`"):
        wheel(tmp_path, tmp_path / "wheels")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("profile.mlflow.artifacts='http://ada:pa55word@mlflow:5000'", "MLFLOW_TRACKING_PASSWORD for a server"),
        ("profile.online.address='postgresql://ada:pa55word@db:5432/x'", "set `store: postgresql`"),
        ("profile.online={store: postgresql, address: 'postgresql://ada:pa55word@db:5432/x'}", "PGPASSWORD"),
        ("profile.stack.artifact_store.settings={secret: pa55word}", r"zenml secret create NAME --secret=…"),
        ("profile.stack.orchestrator.settings={client_secret: pa55word}", r"write `\{\{NAME.client_secret\}\}`"),
    ],
)
def test_a_profile_takes_no_secret_and_does_not_repeat_it(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        configured(tmp_path, override)
    assert "pa55word" not in str(refused.value)


def test_a_reference_to_a_secret_is_none(tmp_path: Path) -> None:
    asked = "profile.stack.orchestrator.settings={client_secret: '{{mine.client_secret}}'}"
    assert "mine.client_secret" in json.dumps(for_jobs(configured(tmp_path, asked).profile))
