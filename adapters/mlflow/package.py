"""A scorer as a folder that MLflow loads anywhere: scoring code and weights inside, nothing pickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from churn.core.codebase import closure
from churn.core.errors import ModelError
from churn.model.scorer import Scorer

from .environment import write_environment
from .manifest import ARTIFACT, CARD, CODE_FOLDER, LOADER, SCRIPT, runtime_name, write_manifest

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

__all__ = ["build_package"]

_REQUIREMENTS = ("mlflow", "numpy", "pandas", "pydantic", "xgboost")
_EXAMPLE_ROWS = 5
_MODEL_SCRIPT = '''"""How MLflow loads this model: scoring code from code/, weights and settings from artifacts/."""

from pathlib import Path

import mlflow
import pandas as pd

from {runtime}.model.scorer import Scorer


class ChurnModel(mlflow.pyfunc.PythonModel):
    """Raw contract columns in; probability, decision, expected value and reasons out."""

    def load_context(self, context):
        self.scorer = Scorer.load(Path(context.artifacts["scorer"]))

    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        return self.scorer.score(model_input)


mlflow.models.set_model(ChurnModel())
'''


def build_package(
    scorer: Scorer, into: Path, *, example: pd.DataFrame, metadata: Mapping[str, Any], card: str = ""
) -> Path:
    """Write a scorer as an MLflow model from code; MLflow executes nothing to do so and infers nothing.

    The scoring code is copied in under a name that carries its digest: two versions load side by side in one
    process, and a change in this repository cannot change a registered model. The signature declares categorical
    columns as strings and numeric ones as any: under `double` MLflow refuses a column of whole numbers, under
    `long` one with missing values, and the scorer takes both.

    Args:
        scorer: The model with its settings.
        into: A folder that is new or empty.
        example: Rows that the model scores, raw contract columns; the first few are kept as the input example.
        metadata: What else is to be known of the model, as JSON values.
        card: The model card, Markdown.

    Returns:
        `into`.

    Raises:
        ModelError: the folder is not empty, or there is no example row.
        ContractError: the example lacks a column.
    """
    if into.exists() and any(into.iterdir()):
        raise ModelError(f"{into} is not empty: a package is built in a folder of its own, so choose another.")
    if example.empty:
        raise ModelError("The input example has no rows: pass at least one row that the model scores.")
    scorer.score(example.head(_EXAMPLE_ROWS))
    scorer.save(into / ARTIFACT)
    sources = list(closure("churn.model.scorer"))
    runtime = runtime_name(sources)
    _copy_code(sources, into / CODE_FOLDER / runtime)
    (into / SCRIPT).write_text(_MODEL_SCRIPT.format(runtime=runtime), encoding="utf-8")
    write_environment(into, _REQUIREMENTS)
    _write_mlmodel(scorer, into, _write_example(scorer, into, example), metadata)
    if card:
        (into / CARD).write_text(card, encoding="utf-8")
    write_manifest(into)
    return into


def _copy_code(sources: list[Path], into: Path) -> None:
    root = next(source.parent for source in sources if source.name == "__init__.py")
    for source in sources:
        target = into / source.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes().replace(b"\r\n", b"\n"))


def _write_example(scorer: Scorer, into: Path, example: pd.DataFrame) -> dict[str, str]:
    """Write the input example in the two forms that MLflow reads, and return its entry in MLmodel."""
    names = [column.name for column in scorer.model.schema.inputs if column.name in example]
    split = json.loads(example[names].head(_EXAMPLE_ROWS).to_json(orient="split", index=False, double_precision=15))
    info = {"artifact_path": "input_example.json", "serving_input_path": "serving_input_example.json"}
    for name, content in zip(info.values(), (split, {"dataframe_split": split}), strict=True):
        (into / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return {**info, "type": "dataframe", "pandas_orient": "split"}


def _write_mlmodel(scorer: Scorer, into: Path, example: dict[str, str], metadata: Mapping[str, Any]) -> None:
    from mlflow.models import Model
    from mlflow.pyfunc import add_to_model

    model = Model(
        signature=_signature(scorer), saved_input_example_info=example, metadata=json.loads(json.dumps(dict(metadata)))
    )
    add_to_model(
        model,
        loader_module=LOADER,
        code=CODE_FOLDER,
        conda_env="conda.yaml",
        python_env="python_env.yaml",
        model_code_path=SCRIPT,
        artifacts={"scorer": {"path": ARTIFACT}},
    )
    model.save(into / "MLmodel")


def _signature(scorer: Scorer) -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, Array, ColSpec, Schema, TensorSpec

    inputs: list[ColSpec | TensorSpec] = [
        ColSpec("string" if column.kind == "categorical" else AnyType(), column.name, required=not column.nullable)
        for column in scorer.model.schema.inputs
    ]
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec("double", "probability"),
        ColSpec("string", "decision"),
        ColSpec("double", "expected_value"),
        ColSpec(Array("string"), "reasons"),
    ]
    return ModelSignature(Schema(inputs), Schema(outputs))
