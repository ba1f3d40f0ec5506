"""Encodes columns as numbers: categories become codes; missing, infinite and unknown values become missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..core.errors import ContractError
from .frame import CodedColumns, FloatArray, n_rows, uncoded

__all__ = ["Encoded", "Encoder"]

Encoded = Mapping[str, npt.NDArray[np.generic]]
"""Feature name to an array of shape `(n_rows,)`, in model order.

A numeric feature is float64 with NaN where it is missing. A categorical one is the integer position of its value among
the categories known from training, -1 where the value is missing or was not among them.
"""


@dataclass(frozen=True)
class Encoder:
    """The codes of the categories that training knew.

    Attributes:
        categories: The values of each categorical feature, in the order of their codes.
    """

    categories: Mapping[str, tuple[str, ...]]

    @cached_property
    def codes(self) -> Mapping[str, Mapping[str, int]]:
        """The code of each value, by categorical feature."""
        return {name: {value: code for code, value in enumerate(values)} for name, values in self.categories.items()}

    def encode(self, columns: CodedColumns) -> Encoded:
        """Return the columns as numbers and codes; text that is coded already only changes its codes.

        Raises:
            ContractError: a numeric column holds text.
        """
        encoded: dict[str, npt.NDArray[np.generic]] = {}
        for name, values in columns.items():
            if name not in self.categories:
                encoded[name] = _finite(name, uncoded(values))
            elif isinstance(values, pd.Categorical):
                encoded[name] = self._translation(name, values)[values.codes]
            else:
                encoded[name] = self._coded(name, values.tolist())
        return encoded

    def unseen(self, columns: CodedColumns) -> dict[str, int]:
        """Return the number of rows whose value has no code, by categorical column; columns without any are left out.

        Args:
            columns: Columns of which any may be categorical; one that is not there is passed over.
        """
        counts = {}
        for name, codes in self.codes.items():
            values = columns.get(name)
            if isinstance(values, pd.Categorical):
                unknown = self._translation(name, values)[:-1] < 0
                counts[name] = int(np.bincount(values.codes[values.codes >= 0], minlength=len(unknown))[unknown].sum())
            elif values is not None:
                counts[name] = sum(value is not None and value not in codes for value in values.tolist())
        return {name: rows for name, rows in counts.items() if rows}

    def matrix(self, encoded: Encoded) -> npt.NDArray[np.float32]:
        """Return encoded columns as XGBoost reads them: float32 `(n_rows, n_features)`, NaN for missing."""
        matrix = np.empty((n_rows(encoded), len(encoded)), dtype=np.float32)
        for index, (name, values) in enumerate(encoded.items()):
            matrix[:, index] = values
            if name in self.categories:
                matrix[matrix[:, index] < 0, index] = np.nan
        return matrix

    def _coded(self, name: str, values: Sequence[Any]) -> npt.NDArray[np.int32]:
        return np.fromiter(map(self.codes[name].get, values, repeat(-1)), dtype=np.int32, count=len(values))

    def _translation(self, name: str, values: pd.Categorical) -> npt.NDArray[np.int32]:
        """Return our code for each of theirs, and last, where their -1 finds it, that of a missing value."""
        return self._coded(name, [*values.categories, None])


def _finite(name: str, values: npt.NDArray[np.generic]) -> FloatArray:
    try:
        numbers = values.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise ContractError(f"The model reads numbers from {name!r}: {error}. Make the column numeric.") from error
    return np.where(np.isfinite(numbers), numbers, np.nan)
