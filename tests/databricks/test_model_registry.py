"""The registry in Unity Catalog keeps every promise of its port, through MLflow's own client."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from adapters.mlflow.client import ensure_experiment
from adapters.mlflow.unity_catalog import UnityCatalogRegistry
from churn.core.errors import NotFound, StoreError
from tests.contract.test_model_registry import *  # noqa: F403 - the suite of the port, with `place` below
from tests.contract.test_model_registry import Place, register

from .mlflow_places import FOLDER, reached
from .workspace import Workspace

numbers = itertools.count()


@pytest.fixture
def place(shared_workspace: Workspace) -> Place:
    """A schema of its own for each test: names of models are free in it."""
    from mlflow import MlflowClient

    reached(shared_workspace)
    schema = f"main.registry_{next(numbers)}"
    shared_workspace.catalog.add_schema(schema)
    experiment = ensure_experiment("databricks", f"{FOLDER}/registry", None)
    run = MlflowClient(tracking_uri="databricks").create_run(experiment)
    return Place(UnityCatalogRegistry(schema), run.info.run_id)


def routes(workspace: Workspace) -> list[str]:
    return [f"{request.method} {request.path}" for request in workspace.requests]


def test_a_version_has_three_names_and_its_files_go_up_through_the_files_api(
    shared_workspace: Workspace, place: Place, package: Path
) -> None:
    shared_workspace.requests.clear()
    made = register(place, "churn_toy", package, model_digest="d1")
    assert made.name == "churn_toy"
    [full] = [name for name in shared_workspace.mlflow.models if name.endswith(".churn_toy")]
    stored = shared_workspace.mlflow.version(full, 1)
    assert (stored["status"], stored["tags"]) == ("READY", {"model_digest": "d1"})
    assert stored["source"].startswith("dbfs:/databricks/mlflow-tracking/")
    assert stored["model_id"].startswith("m-")
    prefix = f"PUT /api/2.0/fs/files/Models/{full.replace('.', '/')}/1/"
    assert {route.removeprefix(prefix) for route in routes(shared_workspace) if route.startswith(prefix)} == {
        "MLmodel",
        "code/scoring.py",
    }
    assert not [route for route in routes(shared_workspace) if "credentials" in route]
    assert not Path("mlflow.db").exists(), "MLflow looked the logged model up in a store of its own"


def test_a_version_that_is_not_ready_yet_is_waited_for(
    shared_workspace: Workspace, place: Place, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_workspace.mlflow, "pending", 2)
    made = register(place, "churn_toy", package)
    place.registry.set_alias("churn_toy", "Challenger", made.version)
    assert [version.aliases for version in place.registry.versions("churn_toy")] == [("Challenger",)]


@pytest.mark.parametrize("route", ["registered-models/create", "model-versions/create"])
def test_an_answer_that_is_lost_leaves_one_version_and_no_orphan(
    shared_workspace: Workspace, place: Place, package: Path, route: str
) -> None:
    shared_workspace.faults.lose(f"POST /api/2.0/mlflow/unity-catalog/{route}")
    made = register(place, "churn_toy", package)
    assert [version.version for version in place.registry.versions("churn_toy")] == [made.version]
    [full] = [name for name in shared_workspace.mlflow.models if shared_workspace.mlflow.models[name]["versions"]][-1:]
    assert list(shared_workspace.mlflow.models[full]["versions"]) == [made.version]


@pytest.mark.parametrize("status", [429, 503])
def test_a_throttled_workspace_is_asked_again(
    shared_workspace: Workspace, place: Place, package: Path, status: int
) -> None:
    shared_workspace.faults.refuse("POST /api/2.0/mlflow/unity-catalog/.*", status, times=2)
    assert register(place, "churn_toy", package).version == 1


def test_an_upload_that_stops_leaves_no_version_to_be_seen_and_can_be_repeated(
    shared_workspace: Workspace, place: Place, package: Path
) -> None:
    shared_workspace.faults.refuse(r"PUT /api/2\.0/fs/files/Models/.*", 403, times=20)
    with pytest.raises(StoreError, match="could not register a version of 'churn_toy'"):
        register(place, "churn_toy", package)
    shared_workspace.faults.clear()
    assert place.registry.versions("churn_toy") == []
    made = register(place, "churn_toy", package)
    assert [version.version for version in place.registry.versions("churn_toy")] == [made.version]


@pytest.mark.parametrize("key", ["a.b", "a,b", "a-b", "a=b", "a/b", "a:b", ""])
def test_a_tag_that_unity_catalog_cannot_keep_is_refused_before_anything_is_stored(
    place: Place, package: Path, key: str
) -> None:
    with pytest.raises(StoreError, match=r"is no key of a tag in Unity Catalog: use letters, digits and `_` alone"):
        register(place, "churn_toy", package, **{key: "x"})
    with pytest.raises(StoreError, match=r"has 1,001 characters, and Unity Catalog keeps 1,000"):
        register(place, "churn_toy", package, long="x" * 1001)
    assert place.registry.versions("churn_toy") == []
    assert register(place, "churn_toy", package, long="x" * 1000).version == 1


@pytest.mark.parametrize(
    ("privilege", "kind"), [("CREATE MODEL", "schema"), ("CREATE MODEL VERSION", "model"), ("APPLY TAG", "model")]
)
def test_a_missing_privilege_is_named(
    shared_workspace: Workspace, place: Place, package: Path, privilege: str, kind: str
) -> None:
    schema = f"main.registry_{next(numbers) - 1}"
    securable = schema if kind == "schema" else f"{schema}.churn_toy"
    if privilege == "APPLY TAG":
        register(place, "churn_toy", package)
    shared_workspace.catalog.deny(privilege, securable)

    def register_and_tag() -> None:
        register(place, "churn_toy", package)
        place.registry.set_tags("churn_toy", 1, {"a": "b"})

    with pytest.raises(StoreError, match=f"does not have {privilege} on .* Ask an administrator"):
        register_and_tag()


def test_a_model_without_a_signature_is_refused_as_unity_catalog_refuses_it(place: Place, package: Path) -> None:
    (package / "MLmodel").write_text("flavors: {}\n")
    with pytest.raises(StoreError, match="did not contain any signature"):
        register(place, "churn_toy", package)
    assert place.registry.versions("churn_toy") == []


def test_the_package_stays_where_it_was(place: Place, package: Path) -> None:
    before = {path.name: path.read_bytes() for path in package.rglob("*") if path.is_file()}
    register(place, "churn_toy", package)
    assert {path.name: path.read_bytes() for path in package.rglob("*") if path.is_file()} == before


def test_a_schema_that_is_not_there_is_named(shared_workspace: Workspace, package: Path, place: Place) -> None:
    registry = UnityCatalogRegistry("main.nobody")
    with pytest.raises(NotFound, match=r"Schema 'main\.nobody' does not exist"):
        registry.register("churn_toy", package, description="", tags={}, run_id=place.run_id)


def test_a_login_that_ends_is_told(workspace: Workspace, package: Path) -> None:
    reached(workspace)
    workspace.catalog.add_schema("main.toy")
    registry = UnityCatalogRegistry("main.toy")
    assert registry.versions("churn_toy") == []
    workspace.expire(os.environ["DATABRICKS_TOKEN"])
    with pytest.raises(StoreError, match="expired"):
        registry.versions("churn_toy")
