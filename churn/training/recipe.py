"""The recipe of a version, stored so that the model can be made again: contract, settings, parameters, code."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from ..core.canonical import FORMAT, StoredFormat, canonical, digest
from ..core.codebase import closure, source_digest
from ..core.errors import ContractError, ModelError
from ..core.frozen import Frozen
from ..core.yaml_files import parse_model
from ..data.contract import DatasetContract
from ..data.tables import EVENT_TIME
from ..model.features import check_features
from ..ports.tables import TableRef
from .boosting import BoostingParams
from .search import TuningSettings
from .train import ModelSettings

__all__ = ["RECIPE", "RECIPE_FORMAT", "Recipe", "TrainingTable", "computing_libraries", "read_recipe", "training_code"]

RECIPE = "recipe"
"""The key of a package's metadata under which the recipe is stored."""

_MODULE = "recipe_features.py"
_MAKES_A_MODEL = ("churn.training.train", "churn.data.training_set")
_LIBRARIES = ("catboost", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "xgboost")
_BUDGET = {"max_trials", "min_rows", "min_trials", "mode", "parallel_trials", "timeout_seconds"}
"""Settings of the search that say how long it may look, not what for."""

_NOT_FITTED: Any = {
    "description": True,
    "feature_module": True,
    "file_format": True,
    "monthly_revenue": True,
    "numbered_rows": True,
    "slices": True,
    "simulator": True,
    "source": True,
    "truth": True,
    "columns": {"__all__": {"description", "actionable", "aliases"}},
    "features": {"__all__": {"description", "actionable"}},
}
"""What a contract says that no fit depends on: words, money, reports, and where the source is read."""


class TrainingTable(Frozen):
    """Which version of which table a model learned from; a class of its own, since it is stored."""

    dataset: str
    name: str
    version: int
    digest: str
    key: tuple[str, ...]

    @classmethod
    def of(cls, ref: TableRef) -> Self:
        """Return what is to be known of a table to read it again."""
        return cls(dataset=ref.dataset, name=ref.name, version=ref.version, digest=ref.content_id, key=ref.key)

    @property
    def ref(self) -> TableRef:
        """The reference by which a store of the dataset reads it; the number of rows is not known."""
        return TableRef(
            dataset=self.dataset,
            name=self.name,
            version=self.version,
            rows=0,
            content_id=self.digest,
            key=self.key,
            uri="",
        )


class Recipe(Frozen):
    """How a version was made. With its table and seed it can be made again, bit for bit by the same code.

    Attributes:
        model: The settings of training, as configured.
        tuning: The settings of the search, as configured.
        boosting: What the search chose; a refit takes it as it is and does not search again.
        contract: The dataset contract as plain JSON values, without the path of the feature module.
        feature_source: The text of that module, None where there is none.
        seed: Seed of folds and fits; None where it is not known.
        training_table: The joined table whose training side it learned from; None where it is not known.
        code: Digest of the source files that make a model from a recipe and a table; None where it is not known.
        libraries: Versions of the libraries that compute, by name; None where they are not known.
    """

    model: ModelSettings
    tuning: TuningSettings
    boosting: BoostingParams
    contract: dict[str, Any]
    feature_source: str | None = None
    seed: int | None = None
    training_table: TrainingTable | None = None
    code: str | None = None
    libraries: dict[str, str] | None = None

    @classmethod
    def of(
        cls,
        contract: DatasetContract,
        model: ModelSettings,
        tuning: TuningSettings,
        boosting: BoostingParams,
        *,
        seed: int | None = None,
        training_table: TableRef | None = None,
    ) -> Self:
        """Return the recipe of a training run with today's code; the contract's feature module is read.

        Args:
            contract: What the columns mean.
            model: The settings of training.
            tuning: The settings of the search.
            boosting: What the search chose.
            seed: The seed of the run.
            training_table: The joined table that the run learned from.
        """
        module = contract.feature_module
        return cls(
            model=model,
            tuning=tuning,
            boosting=boosting,
            contract=contract.model_copy(update={"feature_module": None}).model_dump(mode="json"),
            feature_source=module.read_text(encoding="utf-8") if module else None,
            seed=seed,
            training_table=None if training_table is None else TrainingTable.of(training_table),
            code=training_code(),
            libraries=computing_libraries(),
        )

    @property
    def configuration(self) -> str:
        """The canonical text of what another training run is to share to be a refresh.

        Neither what the search chose nor its budget is part of it, nor the words of the contract, nor data, seed, code
        and libraries.
        """
        return canonical(
            {
                "model": self.model.model_dump(mode="json"),
                "tuning": self.tuning.model_dump(mode="json", exclude=_BUDGET),
                "contract": self._parsed().model_dump(mode="json", exclude=_NOT_FITTED),
            }
        )

    @property
    def digest(self) -> str:
        """A short name of the configuration, for people. Recipes are compared by `same_configuration`.

        A later version of the project may give the same recipe another one.
        """
        return digest(self.configuration)[:16]

    def same_configuration(self, other: Recipe) -> bool:
        """Return whether both are configured alike, down to what may enter a fit.

        Settings that came after a recipe was stored have their defaults in it, so that a new setting does not make an
        old recipe another one.
        """
        return self.configuration == other.configuration

    def same_code(self, other: Recipe) -> bool:
        """Return whether both were made by the same code and libraries; False where one of them does not say it."""
        recorded = None not in (self.code, self.libraries)
        return recorded and self.code == other.code and self.libraries == other.libraries

    def stored(self) -> dict[str, Any]:
        """Return the recipe as JSON values, as a package's metadata holds it."""
        return RECIPE_FORMAT.values(self)

    def restore_contract(self, folder: Path) -> DatasetContract:
        """Return the contract; the feature module, where there is one, is written into `folder` and lies there.

        Raises:
            ContractError: what is stored is not a contract, or names a feature function that is no longer there.
        """
        contract = self._parsed()
        if self.feature_source is not None:
            module = folder / _MODULE
            module.write_text(self.feature_source, encoding="utf-8", newline="")
            contract = contract.model_copy(update={"feature_module": module})
        check_features(contract.features, contract.kinds, contract.functions)
        return contract

    def _parsed(self) -> DatasetContract:
        return parse_model(DatasetContract, self.contract, "the recipe's contract", ContractError)


RECIPE_FORMAT = StoredFormat("recipe", Recipe, newest=2, error=ModelError)
"""Format 1 has neither seed, table, code nor libraries."""


def read_recipe(metadata: Mapping[str, Any]) -> Recipe:
    """Return the recipe in the metadata of a package; one of format 1 gets seed and table from what lies beside it.

    Args:
        metadata: What a package says of itself.

    Raises:
        ModelError: there is no recipe, it is of a newer format, or it cannot be read.
    """
    if RECIPE not in metadata:
        raise ModelError(
            "Its package does not say how it was trained (it holds no recipe): train it again with this version of the "
            "project."
        )
    stored = metadata[RECIPE]
    recipe = RECIPE_FORMAT.parse(stored)
    if FORMAT in stored:
        return recipe
    return recipe.model_copy(update=_known_beside(recipe, metadata))


def _known_beside(recipe: Recipe, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return seed and training table by the tags that a package of format 1 repeats in its metadata."""
    number, table = str(metadata.get("seed", "")), str(metadata.get("data_version", ""))
    context: dict[str, Any] = {"seed": int(number)} if number.isdigit() else {}
    if table.isdigit() and {"dataset", "data_table", "data_digest"} <= metadata.keys():
        context["training_table"] = TrainingTable(
            dataset=str(metadata["dataset"]),
            name=str(metadata["data_table"]),
            version=int(table),
            digest=str(metadata["data_digest"]),
            key=(str(recipe.contract["entity_key"]), EVENT_TIME),
        )
    return context


@cache
def training_code() -> str:
    """Return the digest of the source files that make a model from a recipe and a table, in hexadecimal."""
    return source_digest(closure(*_MAKES_A_MODEL))


def computing_libraries() -> dict[str, str]:
    """Return the versions of the libraries that compute a model, by name."""
    return {library: version(library) for library in _LIBRARIES}
