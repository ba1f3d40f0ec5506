"""What every model registry keeps of its port's promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.mlflow.client import ensure_experiment
from adapters.mlflow.registry import MlflowModelRegistry
from churn.core.errors import NotFound, StoreError
from churn.ports.registry import ModelRegistry, ModelVersion
from tests.fakes.ports.registry import InMemoryModelRegistry

MLMODEL = """\
flavors: {}
signature:
  inputs: '[{"type": "double", "name": "tenure"}]'
  outputs: '[{"type": "double", "name": "probability"}]'
"""
"""The least that every registry takes: Unity Catalog wants a signature with inputs and outputs."""


@dataclass
class Place:
    """A registry, and a run of its tracking store that models can be registered from."""

    registry: ModelRegistry
    run_id: str


def in_memory(folder: Path) -> Place:
    return Place(InMemoryModelRegistry(runs={"run-1"}), "run-1")


def mlflow_on_sqlite(folder: Path) -> Place:
    from mlflow import MlflowClient

    uri = f"sqlite:///{folder}/mlflow.db"
    experiment = ensure_experiment(uri, "training", folder / "artifacts")
    run = MlflowClient(tracking_uri=uri).create_run(experiment)
    return Place(MlflowModelRegistry(uri), run.info.run_id)


# One store for the module: MLflow takes a second and a half to create a database.
@pytest.fixture(scope="module", params=[in_memory, mlflow_on_sqlite])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    make: Callable[[Path], Place] = request.param
    return make(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A model of its own for each test."""
    return f"churn_{request.node.originalname}"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    (folder / "code").mkdir(parents=True)
    (folder / "MLmodel").write_text(MLMODEL)
    (folder / "code" / "scoring.py").write_text("ANSWER = 42\n")
    return folder


def register(place: Place, name: str, package: Path, **tags: str) -> ModelVersion:
    return place.registry.register(name, package, description="Trained on May.", tags=tags, run_id=place.run_id)


def test_a_registered_version_is_described_and_tagged_from_the_start(place: Place, name: str, package: Path) -> None:
    made = register(place, name, package, data_version="7", git_commit="abc")
    [read] = place.registry.versions(name)
    for version in (made, read):
        assert (version.name, version.version, version.run_id) == (name, 1, place.run_id)
        assert version.description == "Trained on May."
        assert version.tags == {"data_version": "7", "git_commit": "abc"}
        assert version.aliases == ()
    assert read.created_at is not None
    assert read.created_at.utcoffset() is not None


def test_versions_count_up_and_come_oldest_first(place: Place, name: str, package: Path) -> None:
    assert [register(place, name, package).version for _ in range(11)] == list(range(1, 12))
    assert [version.version for version in place.registry.versions(name)] == list(range(1, 12))


def test_a_model_that_is_not_there_has_no_versions_and_no_alias(place: Place) -> None:
    assert place.registry.versions("nobody") == []
    assert place.registry.by_alias("nobody", "Champion") is None


def test_an_alias_names_one_version_and_can_move(place: Place, name: str, package: Path) -> None:
    register(place, name, package), register(place, name, package)
    assert place.registry.by_alias(name, "Champion") is None
    place.registry.set_alias(name, "Champion", 1)
    place.registry.set_alias(name, "Champion", 2)
    place.registry.set_alias(name, "Challenger", 2)
    champion = place.registry.by_alias(name, "Champion")
    assert champion is not None
    assert (champion.version, champion.aliases, champion.description) == (
        2,
        ("Challenger", "Champion"),
        "Trained on May.",
    )
    assert [version.aliases for version in place.registry.versions(name)] == [(), ("Challenger", "Champion")]


def test_an_alias_needs_a_version_that_is_there(place: Place, name: str, package: Path) -> None:
    register(place, name, package)
    with pytest.raises(NotFound, match="2"):
        place.registry.set_alias(name, "Champion", 2)
    assert place.registry.by_alias(name, "Champion") is None


def test_an_alias_can_be_removed(place: Place, name: str, package: Path) -> None:
    register(place, name, package)
    place.registry.set_alias(name, "Champion", 1)
    place.registry.set_alias(name, "Challenger", 1)
    for _ in range(2):
        place.registry.delete_alias(name, "Champion")
        assert place.registry.by_alias(name, "Champion") is None
    assert [version.aliases for version in place.registry.versions(name)] == [("Challenger",)]
    with pytest.raises(NotFound, match="nobody"):
        place.registry.delete_alias("nobody", "Champion")


def test_tags_are_set_in_place_of_those_of_the_same_names(place: Place, name: str, package: Path) -> None:
    register(place, name, package, seed="7", git_commit="abc"), register(place, name, package)
    place.registry.set_tags(name, 1, {"gate": "passed", "seed": "8"})
    place.registry.set_tags(name, 1, {})
    tags = {"git_commit": "abc", "gate": "passed", "seed": "8"}
    assert [version.tags for version in place.registry.versions(name)] == [tags, {}]
    place.registry.set_alias(name, "Champion", 1)
    champion = place.registry.by_alias(name, "Champion")
    assert champion is not None
    assert champion.tags == tags


def test_tags_need_a_version_that_is_there(place: Place, name: str, package: Path) -> None:
    register(place, name, package)
    for tags in ({"a": "b"}, {}):
        with pytest.raises(NotFound, match="2"):
            place.registry.set_tags(name, 2, tags)


def test_a_version_is_described_anew_and_keeps_the_rest(place: Place, name: str, package: Path) -> None:
    before = register(place, name, package, seed="7")
    place.registry.describe(name, "**refused**: latency", 1)
    place.registry.describe(name, "A model of phones.")
    (version,) = place.registry.versions(name)
    assert version.description == "**refused**: latency"
    assert (version.tags, version.run_id) == (before.tags, before.run_id)


def test_what_is_not_there_cannot_be_described(place: Place, name: str, package: Path) -> None:
    with pytest.raises(NotFound, match=name):
        place.registry.describe(name, "x")
    register(place, name, package)
    with pytest.raises(NotFound, match="2"):
        place.registry.describe(name, "x", 2)


def test_a_version_with_an_alias_cannot_be_deleted(place: Place, name: str, package: Path) -> None:
    register(place, name, package)
    place.registry.set_alias(name, "Champion", 1)
    with pytest.raises(StoreError, match="@Champion"):
        place.registry.delete_version(name, 1)
    assert [version.version for version in place.registry.versions(name)] == [1]


def test_a_deleted_version_is_gone_and_its_number_is_not_used_again(place: Place, name: str, package: Path) -> None:
    register(place, name, package), register(place, name, package)
    place.registry.delete_version(name, 2)
    assert [version.version for version in place.registry.versions(name)] == [1]
    with pytest.raises(NotFound, match="version 2"):
        place.registry.delete_version(name, 2)
    assert register(place, name, package).version == 3


def test_the_registry_keeps_its_own_copy_of_the_files(place: Place, name: str, package: Path, tmp_path: Path) -> None:
    register(place, name, package)
    (package / "code" / "scoring.py").write_text("ANSWER = 43\n")
    folder = place.registry.download(name, 1, tmp_path / "here")
    assert folder.is_relative_to(tmp_path / "here")
    assert (folder / "code" / "scoring.py").read_text() == "ANSWER = 42\n"
    assert (folder / "MLmodel").is_file()
    again = place.registry.download(name, 1, tmp_path / "here")
    assert (again / "code" / "scoring.py").read_text() == "ANSWER = 42\n"


def test_a_version_that_is_not_there_cannot_be_downloaded(
    place: Place, name: str, package: Path, tmp_path: Path
) -> None:
    register(place, name, package)
    with pytest.raises(NotFound, match="version 9"):
        place.registry.download(name, 9, tmp_path)


def test_a_folder_without_a_model_is_not_registered(place: Place, name: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no packaged model"):
        register(place, name, tmp_path)
    assert place.registry.versions(name) == []


def test_a_run_that_is_not_there_registers_nothing(place: Place, name: str, package: Path) -> None:
    with pytest.raises(NotFound, match="f00"):
        place.registry.register(name, package, description="", tags={}, run_id="f00")
    assert place.registry.versions(name) == []


@pytest.mark.parametrize("bad", ["a/b", "a:b", "it's"])
def test_a_name_the_registry_cannot_keep_is_refused(place: Place, package: Path, bad: str) -> None:
    with pytest.raises(StoreError, match="no name for a registered model"):
        register(place, bad, package)


def test_files_on_this_machine_are_registered_by_their_plain_path(tmp_path: Path, package: Path) -> None:
    from mlflow import MlflowClient

    place = mlflow_on_sqlite(tmp_path)
    made = place.registry.register("churn_plain", package, description="", tags={}, run_id=place.run_id)
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    source = client.get_model_version("churn_plain", str(made.version)).source
    assert source is not None
    assert source.startswith(str(tmp_path)), "MLflow deletes what a file:// source names in Unity Catalog"
    copy = place.registry.download("churn_plain", made.version, tmp_path / "copy")
    assert (copy / "code" / "scoring.py").read_text() == "ANSWER = 42\n"
