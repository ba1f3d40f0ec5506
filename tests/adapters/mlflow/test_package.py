"""The packaged model: what it holds, that it loads only as it was built, and that it scores the same."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from adapters.mlflow.load import load_package
from adapters.mlflow.manifest import package_digest, write_manifest
from adapters.mlflow.package import build_package
from adapters.mlflow.registry import MlflowModelRegistry
from adapters.mlflow.tracker import MlflowTracker
from churn.core.errors import ContractError, ModelError
from churn.model.frame import columns_of
from churn.model.money import MoneySettings
from churn.model.scorer import ScoringSettings
from churn.model.symmetric import SymmetricTrees
from churn.scoring.online import score_rows
from tests.fakes.data.scorers import customers, small_scorer
from tests.forks import Python

SCORER = small_scorer(boosted=True)
ROOT = Path(__file__).parents[3]


def build(into: Path) -> Path:
    return build_package(SCORER, into, example=customers(), metadata={"data_version": 3})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("packages") / "built")


@pytest.fixture
def package(built: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(built, tmp_path / "package")


def assert_equal(left: pd.DataFrame, right: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(left, right, check_exact=True)


def rewrite(file: Path, change: Callable[[dict], object]) -> None:
    content = yaml.safe_load(file.read_text())
    change(content)
    file.write_text(json.dumps(content))  # which is YAML too


def test_a_loaded_package_scores_what_the_scorer_does(built: Path) -> None:
    loaded = load_package(built, expected_digest=package_digest(built))
    assert_equal(loaded.score(customers()), SCORER.score(customers()))
    assert_equal(loaded.score(customers(), explain=False), SCORER.score(customers(), explain=False))
    alone = [loaded.score_row(row, explain=True) for row in customers().to_dict("records")]
    assert [score.probability for score in alone if score] == SCORER.score(customers())["probability"].tolist()
    assert loaded.metadata == {"data_version": 3}
    assert loaded.digest == package_digest(built)


def test_symmetric_trees_travel_in_a_package(tmp_path: Path) -> None:
    trees = SymmetricTrees(
        numbers=((1, 30.5),),
        categories=((0, (1, -1)),),
        levels=((0, 1),),
        values=((0.1, 0.2, 0.4, 0.8),),
        covers=((1.0, 1.0, 1.0, 1.0),),
        bias=0.0,
    )
    scorer = replace(SCORER, model=replace(SCORER.model, symmetric=trees))
    loaded = load_package(build_package(scorer, tmp_path / "package", example=customers(), metadata={}))
    assert_equal(loaded.score(customers()), scorer.score(customers()))
    assert (loaded.score(customers())["probability"] != SCORER.score(customers())["probability"]).all()


def test_categories_that_a_package_spells_otherwise_are_known_to_it(tmp_path: Path) -> None:
    model = replace(SCORER.model, categories={"contract": ("True", "1.0")})
    package = build_package(replace(SCORER, model=model), tmp_path / "package", example=customers(), metadata={})
    loaded, plain = load_package(package), load_package(build(tmp_path / "plain"))
    frame = customers().assign(contract=["true", "1", "One year"])
    coded = {**columns_of(frame, loaded.kinds), "contract": pd.Categorical(frame["contract"])}
    expected = plain.predict(columns_of(customers(), plain.kinds))
    for columns in (columns_of(frame, loaded.kinds), coded):
        found = loaded.predict(columns)
        assert found.probability.tolist() == expected.probability.tolist()
        assert found.unseen == {"contract": 1}
    rows = [{name: values[0] for name, values in columns_of(frame, loaded.kinds).items()}]
    assert score_rows(loaded, rows, explain=False).scores[0].probability == expected.probability[0]


def test_mlflow_loads_it_and_scores_the_same(package: Path) -> None:
    import mlflow

    model = mlflow.pyfunc.load_model(str(package))
    assert_equal(model.predict(customers()[model.input_example.columns]), SCORER.score(customers()))
    assert_equal(model.predict(model.input_example), SCORER.score(customers()))
    assert load_package(package).digest == package_digest(package), "what MLflow leaves behind is no damage"


@pytest.mark.parametrize(
    "tenure",
    [[10, 60, 0], [10.0, 60.0, None], [10, None, 0], [None, None, None], pd.array([10, None, 0], dtype="Int64")],
)
def test_mlflow_takes_whole_numbers_decimals_and_missing_values_in_one_column(built: Path, tenure: object) -> None:
    import mlflow

    rows = customers().drop(columns="customer_id").assign(tenure=tenure)
    assert_equal(mlflow.pyfunc.load_model(str(built)).predict(rows), SCORER.score(rows))


def test_the_serving_formats_of_mlflow_are_answered(built: Path) -> None:
    import mlflow
    from mlflow.pyfunc.scoring_server import invocations

    model = mlflow.pyfunc.load_model(str(built))
    for body in (
        (built / "serving_input_example.json").read_text(),
        json.dumps(
            {"dataframe_records": json.loads(customers().drop(columns="customer_id").to_json(orient="records"))}
        ),
    ):
        answer = invocations(body, "application/json", model, model.metadata.get_input_schema())
        assert answer.status == 200
        assert json.loads(answer.response)["predictions"] == SCORER.score(customers()).to_dict("records")


def test_the_signature_tells_inputs_and_outputs(built: Path) -> None:
    from mlflow.models import Model

    signature = Model.load(str(built)).signature
    assert [(each.name, str(each.type), each.required) for each in signature.inputs] == [
        ("contract", "DataType.string", True),
        ("tenure", "Any", True),
        ("monthly_charges", "Any", True),
        ("total_charges", "Any", False),
    ]
    assert [(each.name, str(each.type)) for each in signature.outputs] == [
        ("probability", "DataType.double"),
        ("decision", "DataType.string"),
        ("expected_value", "DataType.double"),
        ("reasons", "Array(string)"),
    ]


def test_a_package_holds_text_and_xgboosts_own_format_and_no_word_of_pickle(built: Path) -> None:
    files = [path for path in built.rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    assert {path.suffix for path in files} <= {"", ".json", ".py", ".txt", ".ubj", ".yaml"}
    assert [path.name for path in files if not path.suffix] == ["MLmodel"]
    assert not [path for path in files if path.read_bytes()[:1] == b"\x80"], "a pickle starts with this byte"
    assert "pickle" not in (built / "MLmodel").read_text()
    assert not [path for path in built.rglob("*.py") if "import pickle" in path.read_text()]


def test_requirements_are_exact_and_few(built: Path) -> None:
    from importlib.metadata import version

    needed = ("mlflow", "numpy", "pandas", "pydantic", "xgboost")
    expected = [f"{name}=={version(name)}" for name in needed]
    assert (built / "requirements.txt").read_text().split() == expected
    assert yaml.safe_load((built / "conda.yaml").read_text())["dependencies"][-1] == {"pip": expected}


def test_the_same_scorer_makes_the_same_package_bit_for_bit(built: Path, tmp_path: Path) -> None:
    again = build(tmp_path / "again")
    assert package_digest(again) == package_digest(built)
    names = sorted(path.relative_to(built) for path in built.rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert [name for name in names if (again / name).read_bytes() != (built / name).read_bytes()] == [Path("MLmodel")]


def test_the_digest_is_that_of_what_a_model_does_not_of_what_is_said_of_it(built: Path, tmp_path: Path) -> None:
    told = build_package(SCORER, tmp_path / "told", example=customers(1), metadata={"git_commit": "abc"})
    assert package_digest(told) == package_digest(built)
    dearer = small_scorer(ScoringSettings(money=MoneySettings(contact_cost=2.0)), boosted=True)
    other = build_package(dearer, tmp_path / "other", example=customers(), metadata={"data_version": 3})
    assert package_digest(other) != package_digest(built)


def test_a_package_is_built_without_executing_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(sys.modules), list(sys.path)
    monkeypatch.chdir(ROOT)
    package = build(tmp_path / "package")
    assert not [name for name in set(sys.modules) - before[0] if name.startswith(("churn_runtime", "code_model"))]
    assert sys.path == before[1]
    assert not (package / "uv.lock").exists(), "MLflow would copy the lock file of the current folder"


def test_two_versions_of_the_code_work_side_by_side(tmp_path: Path) -> None:
    project = tmp_path / "project"
    for room in ("churn", "adapters", "tests"):
        shutil.copytree(ROOT / room, project / room, ignore=shutil.ignore_patterns("__pycache__"))
    reasons = project / "churn" / "model" / "reasons.py"
    reasons.write_text(reasons.read_text().replace('"not known"', '"a riddle"'))
    code = f"""
from pathlib import Path
from adapters.mlflow.package import build_package
from tests.fakes.data.scorers import customers, small_scorer
build_package(small_scorer(), Path({str(tmp_path / "newer")!r}), example=customers(), metadata={{}})
"""
    subprocess.run([sys.executable, "-c", code], cwd=project, check=True)
    build_package(small_scorer(), tmp_path / "older", example=customers(), metadata={})
    older, newer = load_package(tmp_path / "older"), load_package(tmp_path / "newer")
    rows = customers(1).assign(tenure=None)
    assert "months as a customer: a riddle" in str(newer.score(rows)["reasons"].item())
    assert "months as a customer: not known" in str(older.score(rows)["reasons"].item())
    assert older.digest != newer.digest


def test_errors_of_the_packaged_code_are_those_of_the_project(built: Path) -> None:
    with pytest.raises(ContractError, match="lack tenure; did you mean 'tenures'"):
        load_package(built).score(customers().rename(columns={"tenure": "tenures"}))


@pytest.mark.parametrize("name", ["model.pkl", "artifacts/scorer/model.joblib", "code/x.pyc", "artifacts/weights"])
def test_a_package_with_a_file_that_could_be_a_pickle_is_refused(package: Path, name: str) -> None:
    (package / name).write_bytes(pickle.dumps({"weights": [1, 2]}))
    with pytest.raises(ModelError, match=f"it holds {name}.*a pickle could run any code"):
        load_package(package)


def test_a_pickled_mlflow_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.chdir(tmp_path)  # MLflow copies the lock file of the current folder into a model

    class Anything(mlflow.pyfunc.PythonModel):
        def predict(self, context: object, model_input: pd.DataFrame) -> pd.DataFrame:
            return model_input

    mlflow.pyfunc.save_model(tmp_path / "model", python_model=Anything(), pip_requirements=[])
    with pytest.raises(ModelError, match=r"it holds python_model\.pkl"):
        load_package(tmp_path / "model")


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("loader_module", "mlflow.pyfunc.model"),
        ("loader_module", "mlflow.sklearn"),
        ("python_model", "model.json"),
        ("cloudpickle_version", "3.1.1"),
        ("data", "artifacts"),
        ("code", "artifacts"),
        ("model_code_path", "evil.py"),
        ("artifacts", {"scorer": {"path": "../elsewhere"}}),
    ],
)
def test_a_package_that_mlflow_would_load_by_other_means_is_refused(package: Path, entry: str, value: object) -> None:
    rewrite(package / "MLmodel", lambda content: content["flavors"]["python_function"].update({entry: value}))
    with pytest.raises(ModelError, match=f"MLmodel says `{entry}: "):
        load_package(package)


def test_a_package_of_another_flavor_is_refused(package: Path) -> None:
    rewrite(package / "MLmodel", lambda content: content["flavors"].update(sklearn={"pickled_model": "model.json"}))
    with pytest.raises(ModelError, match="must be python_function alone"):
        load_package(package)


@pytest.mark.parametrize(
    "name", ["model.py", "requirements.txt", "artifacts/scorer/scoring.json", "input_example.json"]
)
def test_a_changed_file_is_named(package: Path, name: str) -> None:
    (package / name).write_text((package / name).read_text() + "\n")
    with pytest.raises(ModelError, match=f"{name} changed, came or went"):
        load_package(package)


def test_a_file_that_came_or_went_is_named(package: Path) -> None:
    (package / "code" / "json.py").write_text("raise SystemExit")
    (package / "requirements.txt").unlink()
    with pytest.raises(ModelError, match=r"code/json\.py, requirements\.txt changed, came or went"):
        load_package(package)


def test_changed_code_is_not_executed(package: Path) -> None:
    [reasons] = package.glob("code/*/model/reasons.py")
    reasons.write_text("raise SystemExit('executed')")
    with pytest.raises(ModelError, match=r"reasons\.py changed"):
        load_package(package)


def test_code_under_a_name_that_is_not_its_digest_is_refused(package: Path) -> None:
    [reasons] = package.glob("code/*/model/reasons.py")
    reasons.write_text("raise SystemExit('executed')")
    write_manifest(package)
    with pytest.raises(ModelError, match="not under the code's own digest"):
        load_package(package)


def test_byte_code_beside_the_code_is_not_read(package: Path) -> None:
    import importlib.util
    import py_compile

    [reasons] = package.glob("code/*/model/reasons.py")
    checked = reasons.read_bytes()
    # A cache that Python would take for the source's own, whatever the source's time.
    reasons.write_text("raise SystemExit('executed')")
    cache = importlib.util.cache_from_source(str(reasons))
    py_compile.compile(str(reasons), cache, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    reasons.write_bytes(checked)
    loading = Python(
        f"from pathlib import Path; from adapters.mlflow.load import load_package; load_package(Path({str(package)!r}))"
    )
    _, told = loading.communicate()
    assert loading.returncode == 0, told


def test_a_package_that_was_rewritten_as_a_whole_is_refused_by_the_registered_digest(package: Path) -> None:
    registered = package_digest(package)
    settings = package / "artifacts" / "scorer" / "scoring.json"
    settings.write_text(settings.read_text().replace('"top":3', '"top":1'))
    write_manifest(package)
    assert len(load_package(package).score(customers(1))["reasons"].item()) == 1
    with pytest.raises(ModelError, match="and the registered one is"):
        load_package(package, expected_digest=registered)


@pytest.mark.parametrize(
    ("name", "content"),
    [("MLmodel", None), ("MLmodel", "- 1"), ("MLmodel", "a: ["), ("manifest.json", None), ("manifest.json", "[]")],
)
def test_a_broken_package_is_reported(package: Path, name: str, content: str | None) -> None:
    (package / name).unlink() if content is None else (package / name).write_text(content)
    with pytest.raises(ModelError, match=f"its {name}.*(cannot be read|holds no mapping)"):
        load_package(package)


def test_a_package_of_a_later_format_is_reported(package: Path) -> None:
    rewrite(package / "manifest.json", lambda content: content.update(format=2))
    with pytest.raises(ModelError, match="its format is 2 and this version of the project reads 1"):
        load_package(package)


def test_a_package_needs_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ModelError, match="is not empty"):
        build(tmp_path)


def test_a_package_needs_an_example_that_can_be_scored(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no rows"):
        build_package(SCORER, tmp_path / "a", example=customers().head(0), metadata={})
    with pytest.raises(ContractError, match="lack contract"):
        build_package(SCORER, tmp_path / "b", example=customers().drop(columns="contract"), metadata={})


def test_a_registered_package_comes_back_as_it_was(built: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    registry = MlflowModelRegistry(uri)
    with MlflowTracker(uri, "training", tmp_path / "artifacts") as tracker:
        digest = package_digest(built)
        registry.register("churn", built, description="d", tags={"digest": digest}, run_id=tracker.run_id())
    folder = registry.download("churn", 1, tmp_path / "download")
    [version] = registry.versions("churn")
    loaded = load_package(folder, expected_digest=version.tags["digest"])
    assert_equal(loaded.score(customers()), SCORER.score(customers()))
