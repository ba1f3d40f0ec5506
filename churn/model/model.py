"""The trained model: raw contract columns in, churn probabilities and their exact contributions out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from ..core.canonical import canonical
from ..core.errors import ContractError, ModelError, nearest
from ..core.frozen import Frozen
from .additive import AdditiveModel
from .encoding import Encoded, Encoder
from .features import FeatureFunction, FeatureSpec, compute_features, load_functions
from .files import BOOSTER, FEATURES, MODEL, SYMMETRIC, json_bytes, manifest, read_files, write_files
from .frame import CodedColumns, Column, FloatArray, Kind, n_rows
from .symmetric import SymmetricTrees
from .tree_shap import TreeTables

if TYPE_CHECKING:
    import xgboost
    from xgboost import Booster
else:
    # Pydantic, which ZenML asks about a step's types, resolves this annotation without importing XGBoost.
    Booster = Any

__all__ = ["ChurnModel", "InputColumn", "ModelSchema", "sigmoid"]

C = TypeVar("C", bound=Column)
LogOdds = TypeVar("LogOdds", float, FloatArray)


def sigmoid(logit: LogOdds) -> LogOdds:
    """Return the probability for log-odds of any size, without overflow."""
    probability: LogOdds = np.exp(-np.logaddexp(0.0, -logit))
    return probability


class InputColumn(Frozen):
    """One raw column that the model reads, as the dataset contract describes it."""

    name: str
    kind: Kind
    integer: bool = False
    nullable: bool = False
    description: str
    actionable: bool = False


class ModelSchema(Frozen):
    """What the model reads: raw columns, and the features it computes from them. Inputs come first in model order."""

    inputs: tuple[InputColumn, ...] = Field(min_length=1)
    features: tuple[FeatureSpec, ...] = ()

    @property
    def kinds(self) -> dict[str, Kind]:
        """How each input and feature is computed on, in model order."""
        kinds = {column.name: column.kind for column in self.inputs}
        return kinds | {feature.name: feature.kind for feature in self.features}


class _Content(Frozen):
    model_schema: ModelSchema
    categories: dict[str, tuple[str, ...]]
    intercept: float
    additive: AdditiveModel | None
    tree_weight: float = 1.0
    thresholds: dict[str, float]
    details: dict[str, Any]


@dataclass(frozen=True)
class ChurnModel:
    """Churn log-odds as one sum: an intercept, an additive model's terms and the margins of gradient-boosted trees.

    Whatever weights and calibration training chose are in the parts and in `tree_weight`, so a prediction is one sum.
    A value that is missing, infinite or was never seen in training never fails: it is scored as a missing value.

    Attributes:
        schema: Inputs and features, in model order.
        categories: The values each categorical feature may have, in the order of their codes.
        intercept: Log-odds that belong to no part.
        additive: The interpretable part, or None.
        booster: One XGBoost booster over all features in model order, or None.
        tree_weight: What the booster's margin is multiplied by.
        symmetric: Symmetric trees over the same features, or None.
        thresholds: Probabilities from which a customer counts as a churner, by the name of the rule that chose them.
        details: What training wants to be remembered, as plain JSON values; part of the digest, so no times in it.
        feature_source: Source text of the user's own feature functions, saved with the model.
        functions: The feature functions by name.
    """

    schema: ModelSchema
    categories: Mapping[str, tuple[str, ...]]
    intercept: float = 0.0
    additive: AdditiveModel | None = None
    booster: Booster | None = None
    tree_weight: float = 1.0
    symmetric: SymmetricTrees | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    feature_source: str | None = None
    functions: Mapping[str, FeatureFunction] = field(default_factory=lambda: load_functions(None))

    def complete(self, columns: Mapping[str, C]) -> dict[str, C | npt.NDArray[np.generic]]:
        """Return every input and feature in model order; features that `columns` already holds are taken as they are.

        Raises:
            ContractError: an input column is not there.
        """
        missing = [column.name for column in self.schema.inputs if column.name not in columns]
        if missing:
            raise ContractError(
                f"The model reads {missing[0]!r}, which the columns lack{nearest(missing[0], columns)}: "
                "add the column, all missing if its values are not known."
            )
        absent = [spec for spec in self.schema.features if spec.name not in columns]
        completed = compute_features(absent, columns, self.functions)
        return {name: completed[name] for name in self.schema.kinds}

    def encode(self, columns: CodedColumns) -> Encoded:
        """Return every feature in model order as numbers: NaN or code -1 where a value is missing or unknown."""
        return self.encoder.encode(self.complete(columns))

    def logit(self, columns: CodedColumns) -> FloatArray:
        """Return the log-odds of churn, shape `(n_rows,)`; raises as `complete` does."""
        return self.logit_of(self.encode(columns))

    def logit_of(self, encoded: Encoded) -> FloatArray:
        """Return the log-odds of churn for columns that `encode` returned, shape `(n_rows,)`."""
        total = np.full(n_rows(encoded), self.intercept)
        if self.additive is not None:
            total += self.additive.logit(encoded)
        if self.booster is not None and len(total):
            total += self.tree_weight * self.booster.inplace_predict(
                self.encoder.matrix(encoded), predict_type="margin", validate_features=False
            )
        if self.symmetric is not None:
            total += self.symmetric.logit(self.encoder.matrix(encoded))
        return total

    def probability(self, columns: CodedColumns) -> FloatArray:
        """Return the probability of churn, shape `(n_rows,)`; raises as `complete` does."""
        return sigmoid(self.logit(columns))

    def contributions(self, columns: CodedColumns) -> FloatArray:
        """Return what each feature adds to the log-odds, shape `(n_rows, n_features + 1)`, in model order.

        The last column is the bias, the log-odds of the average training customer. A row sums to its `logit`. The
        trees are explained by exact SHAP values (Lundberg et al. 2020, "From local explanations to global
        understanding with explainable AI for trees"), the additive part by its terms.

        Raises:
            ContractError: an input column is not there.
        """
        encoded = self.encode(columns)
        added = np.zeros((n_rows(encoded), len(encoded) + 1))
        if self.booster is not None and len(added):
            added[:, :-1] = self.tree_weight * self._tree_contributions(encoded)
        if self.symmetric is not None:
            added[:, :-1] += self.symmetric.contributions(self.encoder.matrix(encoded))
        if self.additive is not None:
            position = {name: index for index, name in enumerate(encoded)}
            for name, values in self.additive.terms(encoded):
                added[:, position[name]] += values
        # Trees sum in single precision; their rounding goes to the bias, so that a row adds up to the logit.
        added[:, -1] = self.logit_of(encoded) - added[:, :-1].sum(axis=1)
        return added

    @cached_property
    def digest(self) -> str:
        """The sha256 of everything that is saved: the same for the same model."""
        return hashlib.sha256(manifest(self._files)).hexdigest()

    def save(self, folder: Path) -> None:
        """Write the model into `folder`, which is made if need be: JSON, UBJ and the user's own feature functions.

        Raises:
            ModelError: the folder holds other files, or the disk refuses.
        """
        write_files(folder, self._files)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Nothing is read or run before its sha256 is right; pickle is never read.

        Raises:
            ModelError: a file is missing, changed, of another format, or none of the model's.
        """
        files = read_files(folder)
        try:
            content = _Content.model_validate_json(files[MODEL])
            symmetric = SymmetricTrees.model_validate_json(files[SYMMETRIC]) if SYMMETRIC in files else None
        except ValidationError as error:
            raise ModelError(
                f"{folder / MODEL} does not hold a model ({error.error_count()} faults): train it again."
            ) from error
        source = files[FEATURES].decode("utf-8") if FEATURES in files else None
        return cls(
            schema=content.model_schema,
            categories=content.categories,
            intercept=content.intercept,
            additive=content.additive,
            booster=_booster(files[BOOSTER]) if BOOSTER in files else None,
            tree_weight=content.tree_weight,
            symmetric=symmetric,
            thresholds=content.thresholds,
            details=content.details,
            feature_source=source,
            functions=load_functions(folder / FEATURES if source is not None else None),
        )

    @cached_property
    def encoder(self) -> Encoder:
        """The codes of the categories."""
        return Encoder(self.categories)

    def _tree_contributions(self, encoded: Encoded) -> FloatArray:
        """Return the booster's SHAP values, shape `(n_rows, n_features)`."""
        import xgboost

        assert self.booster is not None
        matrix = self.encoder.matrix(encoded)
        if self.tree_tables is not None:
            return self.tree_tables.contributions(matrix)
        types = ["c" if name in self.categories else "float" for name in encoded]
        rows = xgboost.DMatrix(matrix, feature_types=types)
        return np.asarray(self.booster.predict(rows, pred_contribs=True)[:, :-1], dtype=np.float64)

    @cached_property
    def tree_tables(self) -> TreeTables | None:
        """The booster's leaves and their SHAP values; None without a booster, or where its trees are too deep."""
        return None if self.booster is None else TreeTables.of(self.booster)

    @cached_property
    def _files(self) -> dict[str, bytes]:
        content = _Content(
            model_schema=self.schema,
            categories=dict(self.categories),
            intercept=self.intercept,
            additive=self.additive,
            tree_weight=self.tree_weight,
            thresholds=dict(self.thresholds),
            details=dict(self.details),
        )
        files = {MODEL: json_bytes(content.model_dump(mode="json"))}
        if self.booster is not None:
            files[BOOSTER] = bytes(self.booster.save_raw("ubj"))
        if self.symmetric is not None:
            files[SYMMETRIC] = canonical(self.symmetric).encode("ascii")
        if self.feature_source is not None:
            files[FEATURES] = self.feature_source.encode("utf-8")
        return files


def _booster(content: bytes) -> xgboost.Booster:
    import xgboost

    return xgboost.Booster(model_file=bytearray(content))
