"""Columns as numbers: categories become codes; what is missing, infinite or unknown becomes one missing value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat

import numpy as np
import numpy.typing as npt

from .errors import ContractError
from .frame import Columns, FloatArray, n_rows

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

    def encode(self, columns: Columns) -> Encoded:
        """Return the columns as numbers and codes.

        Raises:
            ContractError: a numeric column holds text.
        """
        encoded: dict[str, npt.NDArray[np.generic]] = {}
        for name, values in columns.items():
            if name in self.categories:
                codes = map(self.codes[name].get, values.tolist(), repeat(-1))
                encoded[name] = np.fromiter(codes, dtype=np.int32, count=len(values))
            else:
                encoded[name] = _finite(name, values)
        return encoded

    def matrix(self, encoded: Encoded) -> npt.NDArray[np.float32]:
        """Return encoded columns as XGBoost reads them: float32 `(n_rows, n_features)`, NaN for missing."""
        matrix = np.empty((n_rows(encoded), len(encoded)), dtype=np.float32)
        for index, (name, values) in enumerate(encoded.items()):
            matrix[:, index] = values
            if name in self.categories:
                matrix[matrix[:, index] < 0, index] = np.nan
        return matrix

    def unknown(self, columns: Columns) -> dict[str, list[str]]:
        """Return the values that have no code, by categorical column, sorted; columns without any are left out."""
        found = {
            name: sorted({str(value) for value in columns[name].tolist() if value is not None} - codes.keys())
            for name, codes in self.codes.items()
        }
        return {name: values for name, values in found.items() if values}


def _finite(name: str, values: npt.NDArray[np.generic]) -> FloatArray:
    try:
        numbers = values.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise ContractError(f"The model reads numbers from {name!r}: {error}. Make the column numeric.") from error
    return np.where(np.isfinite(numbers), numbers, np.nan)
