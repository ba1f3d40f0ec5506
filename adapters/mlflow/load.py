"""A registered scorer, checked and loaded with the code it was packaged with; MLflow is not needed for it."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np
import pandas as pd
import yaml

from churn.core import errors
from churn.core.errors import ChurnError, ModelError
from churn.model.frame import CodedColumns, Columns, FloatArray, Kind, as_strings, canonical_text
from churn.model.one_row import RowScore
from churn.model.reasons import Described
from churn.model.scorer import MODEL_FOLDER, Explain, Predictions, Scorer

from .manifest import ARTIFACT, CARD, CODE_FOLDER, check_package, package_digest

__all__ = ["PackagedScorer", "load_package"]


@dataclass(frozen=True)
class PackagedScorer:
    """A scorer with the code it was packaged with, whatever has changed here since.

    Attributes:
        folder: Where it was loaded from; nothing is read from it any more.
        digest: The package's digest.
        metadata: The metadata that `build_package` stored with the model.
        card: The model card, Markdown; empty where there is none.
        inputs: The columns of the signature.
        size: Bytes of the package.
        thresholds: Probabilities from which a customer counts as a churner, by rule.
    """

    folder: Path
    digest: str
    metadata: Mapping[str, Any]
    card: str
    inputs: tuple[str, ...]
    size: int
    thresholds: Mapping[str, float]
    _scorer: Scorer

    @property
    def model_folder(self) -> Path:
        """The files of the model itself, as `churn.model.model.ChurnModel.load` reads them."""
        return self.folder / ARTIFACT / MODEL_FOLDER

    def score(self, customers: pd.DataFrame | Columns, *, explain: bool = True) -> pd.DataFrame:
        """Score customers as `churn.model.scorer.Scorer.score` does; its errors are those of `churn.core.errors`."""
        with _errors_of_ours():
            return self._scorer.score(self._spelled_as_trained(customers), explain=explain)

    def predict(self, customers: CodedColumns, *, explain: Explain = "all") -> Predictions:
        """Score a table in bulk as `Scorer.predict` does; its errors are those of `churn.core.errors`.

        Raises:
            ModelError: the model was packaged when there was no scoring in bulk.
        """
        if not hasattr(self._scorer, "predict"):
            raise ModelError("This version was registered before there was scoring in bulk: train and deploy it again.")
        with _errors_of_ours():
            return self._scorer.predict(self._spelled_as_trained(customers), explain=explain)

    def score_row(self, row: Mapping[str, object], *, explain: bool) -> RowScore | None:
        """Score one customer as `Scorer.score_row` does, by the code of the package.

        Returns:
            None where the package is older than that code, or has another spelling of categories: `predict` scores it.
        """
        if self._score_row is None:
            return None
        try:
            return self._score_row(row, explain=explain)
        except Exception as error:
            _raise_as_ours(error)
            raise

    def use_threads(self, threads: int) -> None:
        """Let one call of `predict` take this many threads; the numbers stay the same."""
        if self._scorer.model.booster is not None:
            self._scorer.model.booster.set_param({"nthread": threads})

    @cached_property
    def kinds(self) -> Mapping[str, Kind]:
        """The columns that it reads, and how each is computed on."""
        return {column.name: column.kind for column in self._scorer.model.schema.inputs}

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """The columns that customers may not lack."""
        return tuple(column.name for column in self._scorer.model.schema.inputs if not column.nullable)

    def complete(self, columns: Columns) -> Columns:
        """Return every input and feature in the model's order, as `churn.model.model.ChurnModel.complete` does."""
        with _errors_of_ours():
            return self._scorer.model.complete(self._spelled_as_trained(columns))

    def contributions(self, columns: Columns) -> FloatArray:
        """Return what each input and feature adds to the log-odds, as `ChurnModel.contributions` does."""
        with _errors_of_ours():
            return self._scorer.model.contributions(self._spelled_as_trained(columns))

    @property
    def described(self) -> tuple[Described, ...]:
        """The inputs and features in the model's order, with how to speak of them."""
        return (*self._scorer.model.schema.inputs, *self._scorer.model.schema.features)

    @property
    def categories(self) -> Mapping[str, tuple[str, ...]]:
        """The values that training knew of each categorical input and feature."""
        return self._scorer.model.categories

    @property
    def scoring(self) -> Mapping[str, Any]:
        """The economics and the reasons in the package, as JSON values."""
        return self._scorer.settings.model_dump(mode="json")

    @cached_property
    def _score_row(self) -> Callable[..., RowScore | None] | None:
        return None if self._spellings else getattr(self._scorer, "score_row", None)

    @cached_property
    def _spellings(self) -> Mapping[str, Mapping[str, str]]:
        """The categories by today's canonical text, in columns where the package's code spelled one otherwise."""
        spellings = {
            name: {canonical_text(text): text for text in texts}
            for name, texts in self._scorer.model.categories.items()
        }
        return {name: texts for name, texts in spellings.items() if any(text != key for key, text in texts.items())}

    def _spelled_as_trained(self, customers: Any) -> Any:
        """Return customers with the spelling of categories that the package's code used."""
        changed = {
            name: _respelled(customers[name], texts) for name, texts in self._spellings.items() if name in customers
        }
        if not changed:
            return customers
        return customers.assign(**changed) if isinstance(customers, pd.DataFrame) else {**customers, **changed}


def load_package(package: Path, *, expected_digest: str | None = None) -> PackagedScorer:
    """Check every file of a package, then load its scorer; MLflow is not needed for it.

    Args:
        package: The folder, as built or as downloaded from a registry.
        expected_digest: The digest that the registry has for it, if known.

    Raises:
        ModelError: the package holds a pickle, would be loaded by other means than its script, or is not what was
            built; nothing of it was executed.
    """
    runtime = check_package(package, expected_digest)
    with _errors_of_ours():
        scorer = _import(runtime, package / CODE_FOLDER / runtime).Scorer.load(package / ARTIFACT)
    described = yaml.safe_load((package / "MLmodel").read_text(encoding="utf-8"))
    card = package / CARD
    return PackagedScorer(
        folder=package,
        digest=package_digest(package),
        metadata=described.get("metadata") or {},
        card=card.read_text(encoding="utf-8") if card.is_file() else "",
        inputs=tuple(column["name"] for column in json.loads((described.get("signature") or {}).get("inputs") or "[]")),
        size=sum(path.stat().st_size for path in package.rglob("*") if path.is_file()),
        thresholds=scorer.model.thresholds,
        _scorer=scorer,
    )


def _respelled(values: Any, texts: Mapping[str, str]) -> Any:
    if isinstance(values, pd.Categorical):
        return values.rename_categories(lambda text: texts.get(text, text))
    return np.array([texts.get(text, text) for text in as_strings(pd.Series(values))], dtype=object)


class _SourceOnly(importlib.machinery.SourceFileLoader):
    """Compiles what was checked: byte code lying beside it was not."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _import(runtime: str, folder: Path) -> ModuleType:
    """Import the packaged code under its own name, which stands for its content, without touching `sys.path`."""
    if runtime not in sys.modules:
        init = folder / "__init__.py"
        for part in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            finder = importlib.machinery.FileFinder(str(part), (_SourceOnly, [".py"]))
            sys.path_importer_cache[str(part)] = finder
        spec = importlib.util.spec_from_file_location(
            runtime, init, loader=_SourceOnly(runtime, str(init)), submodule_search_locations=[str(folder)]
        )
        if spec is None or spec.loader is None:
            raise ModelError(f"The packaged code in {folder} cannot be imported: fetch the package again.")
        package = importlib.util.module_from_spec(spec)
        sys.modules[runtime] = package
        spec.loader.exec_module(package)
    return importlib.import_module(f"{runtime}.model.scorer")


@contextmanager
def _errors_of_ours() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        _raise_as_ours(error)
        raise


def _raise_as_ours(error: Exception) -> None:
    """Raise an error of the packaged code as the class of the same name in `churn.core.errors`, and no other."""
    names = [kind.__name__ for kind in type(error).__mro__]
    if ChurnError.__name__ in names and not isinstance(error, ChurnError):
        raise getattr(errors, names[0], ChurnError)(str(error)) from error
