"""When a step is skipped: never where it has effects, and never after a change in code that its result depends on."""

from __future__ import annotations

import importlib
import inspect
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from zenml.config.cache_policy import CachePolicy
from zenml.orchestrators.cache_utils import generate_cache_key
from zenml.steps import BaseStep
from zenml.utils.source_utils import set_custom_source_root

from churn.core.codebase import closure, library_versions
from churn.data.training_set import read_training_set
from churn.lifecycle import training

# ZenML writes the main module of a test worker into a message, which Python 3.11 warns of.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(r"ignore:BuiltinImporter\.module_repr:DeprecationWarning")]

ROOT = Path(__file__).parents[3]
CACHED = ["tune", "train", "evaluate"]
WITH_EFFECTS = ["ingest", "build_features", "build_training_set", "register", "write_report"]
WITH_EFFECTS += ["score", "plan", "monitor", "campaign_effect", "train_challenger", "judge_challenger"]
WITH_EFFECTS += ["evaluation", "approval_check", "promotion", "release"]
ZERO = UUID(int=0)
RANKING = {"ranking"}


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseStep]:
    """Every step of the project by name."""
    # Steps below the source root would make ZenML open its database, to look for a code repository.
    set_custom_source_root(str(tmp_path_factory.mktemp("elsewhere")))
    modules = [importlib.import_module(f"steps.{path.stem}") for path in (ROOT / "steps").glob("[a-z]*.py")]
    set_custom_source_root(None)
    return {step.name: step for module in modules for step in vars(module).values() if isinstance(step, BaseStep)}


def policy_of(step: BaseStep) -> CachePolicy:
    policy = step.configuration.cache_policy
    assert policy is not None
    return policy


def test_every_step_either_has_effects_or_is_cached(steps: dict[str, BaseStep]) -> None:
    assert sorted(steps) == sorted([*WITH_EFFECTS, *CACHED])


@pytest.mark.parametrize("name", WITH_EFFECTS)
def test_a_step_with_effects_is_never_skipped(steps: dict[str, BaseStep], name: str) -> None:
    assert steps[name].configuration.enable_cache is False


@pytest.mark.parametrize("name", CACHED)
def test_a_cached_step_depends_on_files_that_are_there_and_on_the_libraries(
    steps: dict[str, BaseStep], name: str
) -> None:
    policy = policy_of(steps[name])
    assert steps[name].configuration.enable_cache is not False
    assert policy.file_dependencies
    assert [file for file in policy.file_dependencies if Path(file).is_absolute() or not (ROOT / file).is_file()] == []
    assert policy.cache_func is not None
    assert policy.cache_func.import_path == "churn.core.codebase.library_versions"


@pytest.mark.parametrize("name", CACHED)
def test_a_cached_step_depends_on_every_function_of_the_domain_that_it_calls(
    steps: dict[str, BaseStep], name: str
) -> None:
    use_case = {"tune": training.tune, "train": training.train, "evaluate": training.evaluate_model}[name]
    called = [*inspect.getclosurevars(use_case).globals.values(), read_training_set]
    modules = {value.__module__ for value in called if getattr(value, "__module__", "").startswith("churn.")}
    # What is told on the screen changes no result, and the use case only calls.
    wording = {"churn.core.progress", "churn.evaluation.metrics"}
    computing = {module for module in modules if module.split(".")[1] != "lifecycle"} - wording
    needed = {f"{module.replace('.', '/')}.py" for module in computing}
    assert len(needed) >= 2
    assert needed <= set(policy_of(steps[name]).file_dependencies or [])


BASE = {"churn/core": {"canonical", "clock", "errors", "frozen", "shares", "yaml_files"}}
BASE |= {"churn/data": {"contract", "file_format", "tables", "training_set"}, "churn/ports": {"tables"}}
WHOLE = {"churn/model"}
"""Rooms of which any file may be in a key."""
MAY_BE_IN_THE_KEY: dict[str, tuple[set[str], dict[str, set[str]]]] = {
    "tune": ({"churn/training"}, {"churn/core": {"codebase"}, "churn/ports": {"studies"}, "churn/evaluation": RANKING}),
    "train": ({"churn/training"}, {"churn/evaluation": RANKING}),
    "evaluate": ({"churn/evaluation"}, {"churn/core": {"estimate"}}),
}


@pytest.mark.parametrize("name", CACHED)
def test_the_key_of_a_cached_step_holds_what_computes_and_nothing_else(steps: dict[str, BaseStep], name: str) -> None:
    rooms, files = MAY_BE_IN_THE_KEY[name]
    allowed = {f"{room}/{file}.py" for part in (BASE, files) for room, names in part.items() for file in names}
    beyond = {
        file
        for file in policy_of(steps[name]).file_dependencies or []
        if not file.endswith("__init__.py") and file not in allowed and str(Path(file).parent) not in WHOLE | rooms
    }
    assert beyond == set()


@pytest.mark.parametrize("name", CACHED)
def test_threads_folders_and_addresses_are_no_input_of_a_cached_step(steps: dict[str, BaseStep], name: str) -> None:
    asked = set(inspect.signature(steps[name].entrypoint).parameters)
    assert asked <= {
        "training_set",
        "contract",
        "model_name",
        "model",
        "tuning",
        "money",
        "evaluation",
        "reasons",
        "seed",
    }


def test_the_versions_of_the_libraries_that_compute_are_part_of_the_key() -> None:
    versions = dict(part.split("=") for part in library_versions().split())
    assert {"numpy", "optuna", "pandas", "scikit-learn", "scipy", "xgboost"} <= set(versions)
    assert versions["xgboost"] == version("xgboost")


@pytest.mark.usefixtures("copy")
def test_a_policy_names_the_files_that_the_modules_need() -> None:
    from steps.caching import cached_on

    assert [ROOT / name for name in cached_on("churn.core.shares").file_dependencies or []] == list(
        closure("churn.core.shares")
    )


@pytest.fixture
def copy(tmp_path: Path, steps: dict[str, BaseStep]) -> Iterator[Path]:
    """A copy of the domain's source, which ZenML takes for the project."""
    shutil.copytree(ROOT / "churn", tmp_path / "churn", ignore=shutil.ignore_patterns("__pycache__"))
    set_custom_source_root(str(tmp_path))
    yield tmp_path
    set_custom_source_root(None)


def key(step: BaseStep, content_hash: str = "c0", **parameters: Any) -> str:
    """Return the key under which ZenML would look the step's result up."""
    config = SimpleNamespace(
        cache_policy=policy_of(step),
        parameters={"seed": 42} | parameters,
        outputs={},
        caching_parameters=step.caching_parameters,
        environment={},
        secrets=[],
    )
    table = SimpleNamespace(content_hash=content_hash, id=ZERO, chunk_index=None)
    source = SimpleNamespace(import_path=f"steps.model.{step.name}")
    described: Any = SimpleNamespace(config=config, spec=SimpleNamespace(source=source))
    inputs: Any = {"training_set": [table]}
    store: Any = SimpleNamespace(id=ZERO, path="/artifacts", custom_cache_key=None)
    return generate_cache_key(described, inputs, store, ZERO)


def change(file: Path) -> None:
    with file.open("a", encoding="utf-8") as source:
        source.write("\n# changed\n")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("tune", "churn/training/boosting.py"),
        ("tune", "churn/model/features.py"),
        ("tune", "churn/model/money.py"),
        ("train", "churn/training/additive.py"),
        ("train", "churn/model/frame.py"),
        ("train", "churn/data/training_set.py"),
        ("evaluate", "churn/evaluation/bootstrap.py"),
        ("evaluate", "churn/model/reasons.py"),
    ],
)
def test_a_change_in_a_helper_runs_the_step_again(steps: dict[str, BaseStep], copy: Path, name: str, file: str) -> None:
    before = key(steps[name])
    assert key(steps[name]) == before
    change(copy / file)
    assert key(steps[name]) != before


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("tune", "churn/data/ingest.py"),
        ("tune", "churn/core/wording.py"),
        ("train", "churn/ports/ledger.py"),
        ("train", "churn/evaluation/metrics.py"),
        ("evaluate", "churn/evaluation/metrics.py"),
        ("train", "churn/evaluation/bootstrap.py"),
        ("train", "churn/training/search.py"),
        ("train", "churn/simulation/telco.py"),
        ("evaluate", "churn/drafting/infer.py"),
    ],
)
def test_a_change_elsewhere_does_not(steps: dict[str, BaseStep], copy: Path, name: str, file: str) -> None:
    before = key(steps[name])
    change(copy / file)
    assert key(steps[name]) == before


def test_other_data_and_other_settings_run_the_step_again(steps: dict[str, BaseStep], copy: Path) -> None:
    train = steps["train"]
    assert len({key(train), key(train, "c1"), key(train, seed=43)}) == 3


def test_a_setting_of_the_evaluation_runs_the_evaluation_alone_again(steps: dict[str, BaseStep]) -> None:
    asked = {name: set(inspect.signature(steps[name].entrypoint).parameters) for name in CACHED}
    assert [name for name in CACHED if "evaluation" in asked[name]] == ["evaluate"]
    assert not any("settings" in parameters for parameters in asked.values())
