"""Registering the challenger: complete before it is named, and once however often and from wherever it is done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from churn.core.errors import StoreError
from churn.lifecycle.registration import Registration, register_challenger
from churn.ports.registry import CHALLENGER, MODEL_DIGEST, ModelVersion
from tests.fakes.ports.registry import InMemoryModelRegistry

NAME = "churn_gym"
RUNS = {"run-1", "run-2", "run-3"}
TAGS = {"data_version": "7", "metric.roc_auc": "0.84"}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    return tmp_path


def register(registry: InMemoryModelRegistry, package: Path, digest: str = "aa", run: str = "run-1") -> Registration:
    return register_challenger(
        registry,
        NAME,
        package,
        digest=digest,
        description=f"Trained in {run}.",
        tags=TAGS,
        run_id=run,
        whole=lambda _: True,
    )


def numbers(registry: InMemoryModelRegistry) -> list[int]:
    return [version.version for version in registry.versions(NAME)]


def challenger(registry: InMemoryModelRegistry) -> int | None:
    version = registry.by_alias(NAME, CHALLENGER)
    return version and version.version


def test_a_new_model_becomes_a_version_and_the_challenger(package: Path) -> None:
    registry = InMemoryModelRegistry(RUNS)
    done = register(registry, package)
    assert done == Registration(
        name=NAME,
        version=1,
        run_id="run-1",
        digest="aa",
        unchanged=False,
        description="Trained in run-1.",
        tags={**TAGS, MODEL_DIGEST: "aa"},
        registered_at=registry.versions(NAME)[0].created_at,
    )
    assert (numbers(registry), challenger(registry)) == ([1], 1)


class Watched(InMemoryModelRegistry):
    """Remembers what a reader could see at the moment the alias moved."""

    def __init__(self) -> None:
        super().__init__(RUNS)
        self.seen: list[ModelVersion] = []

    def set_alias(self, name: str, alias: str, version: int) -> None:
        self.seen += [known for known in self.versions(name) if known.version == version]
        super().set_alias(name, alias, version)


def test_description_and_tags_are_there_before_the_alias(package: Path) -> None:
    registry = Watched()
    register(registry, package)
    (version,) = registry.seen
    assert (version.description, version.tags) == ("Trained in run-1.", {**TAGS, MODEL_DIGEST: "aa"})
    assert version.aliases == ()


def test_the_same_model_again_is_no_second_version(package: Path) -> None:
    registry = InMemoryModelRegistry(RUNS)
    register(registry, package)
    again = register(registry, package, run="run-2")
    assert (again.version, again.unchanged, again.run_id) == (1, True, "run-1")
    assert again.description == "Trained in run-1."
    assert (numbers(registry), challenger(registry)) == ([1], 1)


def test_the_same_run_again_still_calls_its_version_new(package: Path) -> None:
    registry = InMemoryModelRegistry(RUNS)
    register(registry, package)
    assert not register(registry, package).unchanged
    assert numbers(registry) == [1]


def test_where_the_package_of_the_version_is_damaged_a_whole_one_is_registered(package: Path) -> None:
    registry = InMemoryModelRegistry(RUNS)
    first = register(registry, package)
    again = register_challenger(
        registry, NAME, package, digest="aa", description="", tags=TAGS, run_id="run-2", whole=lambda v: v.version != 1
    )
    assert (first.version, again.version, again.unchanged) == (1, 2, False)
    assert registry.by_alias(NAME, CHALLENGER).version == 2  # type: ignore[union-attr]


def test_another_model_is_the_next_version_and_takes_the_alias(package: Path) -> None:
    registry = InMemoryModelRegistry(RUNS)
    register(registry, package)
    other = register(registry, package, digest="bb", run="run-2")
    assert (other.version, other.unchanged) == (2, False)
    assert (numbers(registry), challenger(registry)) == ([1, 2], 2)


def test_going_back_to_an_earlier_model_moves_the_alias_back(package: Path) -> None:
    registry = InMemoryModelRegistry(RUNS)
    register(registry, package)
    register(registry, package, digest="bb", run="run-2")
    back = register(registry, package, run="run-3")
    assert (back.version, back.unchanged) == (1, True)
    assert (numbers(registry), challenger(registry)) == ([1, 2], 1)


class Crowded(InMemoryModelRegistry):
    """Another process registers the same model between this one's look and its own version, or right after it."""

    def __init__(self, other_first: bool) -> None:
        super().__init__(RUNS)
        self.other_first = other_first

    def register(
        self, name: str, package: Path, *, description: str, tags: Mapping[str, str], run_id: str
    ) -> ModelVersion:
        def store(run: str) -> ModelVersion:
            return super(Crowded, self).register(name, package, description=description, tags=tags, run_id=run)

        if self.other_first:
            store("run-2")
            return store(run_id)
        mine = store(run_id)
        store("run-2")
        return mine


def test_of_two_runs_at_the_same_time_the_later_takes_its_version_back(package: Path) -> None:
    registry = Crowded(other_first=True)
    done = register(registry, package)
    assert (done.version, done.run_id, done.unchanged) == (1, "run-2", True)
    assert (numbers(registry), challenger(registry)) == ([1], 1)


def test_of_two_runs_at_the_same_time_the_earlier_keeps_its_version(package: Path) -> None:
    registry = Crowded(other_first=False)
    done = register(registry, package)
    assert (done.version, done.run_id, done.unchanged) == (1, "run-1", False)
    assert challenger(registry) == 1
    assert 1 in numbers(registry)


class Dying(InMemoryModelRegistry):
    """Stops answering after the version is made, as a kill would."""

    dead = True

    def set_alias(self, name: str, alias: str, version: int) -> None:
        if self.dead:
            raise StoreError("The registry does not answer: try again.")
        super().set_alias(name, alias, version)


def test_a_version_that_a_kill_left_without_its_alias_is_taken_up_by_the_next_run(package: Path) -> None:
    registry = Dying(RUNS)
    with pytest.raises(StoreError, match="does not answer"):
        register(registry, package)
    assert (numbers(registry), challenger(registry)) == ([1], None)
    registry.dead = False
    assert register(registry, package, run="run-2").version == 1
    assert (numbers(registry), challenger(registry)) == ([1], 1)


def test_versions_of_other_origin_and_other_aliases_are_left_alone(package: Path) -> None:
    registry = InMemoryModelRegistry(RUNS)
    registry.register(NAME, package, description="By hand.", tags={}, run_id="run-3")
    registry.set_alias(NAME, "Champion", 1)
    assert register(registry, package).version == 2
    champion = registry.by_alias(NAME, "Champion")
    assert champion is not None
    assert (champion.version, champion.description, champion.tags) == (1, "By hand.", {})


def test_the_tag_of_the_digest_is_not_the_callers_to_set(package: Path) -> None:
    registry = InMemoryModelRegistry(RUNS)
    done = register_challenger(
        registry,
        NAME,
        package,
        digest="aa",
        description="",
        tags={MODEL_DIGEST: "zz"},
        run_id="run-1",
        whole=lambda _: True,
    )
    assert done.tags == {MODEL_DIGEST: "aa"}
