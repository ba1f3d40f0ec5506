"""The scorer: raw contract columns in; probability, decision, expected value and reasons out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..core.canonical import StoredFormat
from ..core.errors import ContractError, ModelError, nearest
from .frame import CodedColumns, Column, Columns, FloatArray, Kind, columns_of, missing_values, n_rows, uncoded
from .model import ChurnModel, sigmoid
from .money import expected_value
from .one_row import OneRow, RowScore
from .reasons import ranked_reasons
from .settings import ReasonSettings, ScoringSettings

__all__ = [
    "LEAVE",
    "MODEL_FOLDER",
    "SCORING_FORMAT",
    "TREAT",
    "Explain",
    "Predictions",
    "ReasonSettings",
    "Scorer",
    "ScoringSettings",
]

TREAT, LEAVE = "treat", "leave"
"""The two decisions: treat where that is worth more than doing nothing, else leave alone."""

Explain = Literal["all", "treated", "none"]
"""Which customers get reasons."""

MODEL_FOLDER = "model"
"""The folder of the model's own files within a saved scorer."""
_SETTINGS = "scoring.json"
C = TypeVar("C", bound=Column)


SCORING_FORMAT = StoredFormat("file of scoring settings", ScoringSettings, newest=2, error=ModelError)
"""Format 1 had the same fields and no number; a package reads its own with the code that travels in it."""


class Predictions(NamedTuple):
    """What is predicted of a table's customers, column by column; every array has shape `(n_rows,)`.

    Attributes:
        probability: Of churn, 0 to 1, calibrated.
        treat: Whether the expected value is above zero.
        expected_value: What treating earns against doing nothing, in the currency of the settings.
        customer_value: What keeping the customer is worth, in that currency, 0 upwards.
        reasons: What raises the risk most, then second most, and so on; None where there is no such reason.
        unseen: Rows whose value training did not know, by column; they are scored as missing there.
    """

    probability: FloatArray
    treat: npt.NDArray[np.bool_]
    expected_value: FloatArray
    customer_value: FloatArray
    reasons: list[npt.NDArray[np.object_]]
    unseen: dict[str, int]


@dataclass(frozen=True)
class Scorer:
    """A model and the economics of acting on it: all that scoring needs, for a table and for one online row alike."""

    model: ChurnModel
    settings: ScoringSettings

    def score(self, customers: pd.DataFrame | Columns, *, explain: bool = True) -> pd.DataFrame:
        """Return `predict` of customers as a table, one row a customer with the index of `customers`.

        Args:
            customers: Raw contract columns, in any order; others are ignored.
            explain: Whether to give reasons, which take most of the time; without, the lists are empty.

        Returns:
            `probability` of churn (float64, 0 to 1, calibrated), `decision` (`treat` where the expected value is above
            zero, else `leave`), `expected_value` (float64, what treating earns against doing nothing, in the currency
            of the settings) and `reasons` (a list of strings, what raises the risk most first).

        Raises:
            ContractError: a column that may not be missing is not there, or a column is there twice.
            ConfigError: customers are valued by revenue and the settings name no column of it.
        """
        reasons: Explain = "all" if explain else "none"
        if isinstance(customers, pd.DataFrame):
            _check_columns(list(customers.columns), self.kinds, self.needed)
            predictions = self.predict(columns_of(customers, self.kinds), explain=reasons)
        else:
            predictions = self.predict(customers, explain=reasons)
        ranked = zip(*predictions.reasons, strict=True) if predictions.reasons else ((),) * len(predictions.probability)
        words = [[reason for reason in row if reason is not None] for row in ranked]
        return pd.DataFrame(
            {
                "probability": predictions.probability,
                "decision": np.where(predictions.treat, TREAT, LEAVE).astype(object),
                "expected_value": predictions.expected_value,
                "reasons": pd.Series(words, dtype=object).to_numpy(),
            },
            index=customers.index if isinstance(customers, pd.DataFrame) else None,
        )

    def predict(self, customers: CodedColumns, *, explain: Explain = "all") -> Predictions:
        """Score customers, each by their row alone: a table, a record batch, a part of a Spark task or one customer.

        Args:
            customers: Raw contract columns; text may be coded. A value that is missing, is no number where one
                belongs, or was never seen in training is scored as missing.
            explain: Which customers get reasons, which take most of the time.

        Raises:
            ContractError: a column that may not be missing is not there.
            ConfigError: customers are valued by revenue and the settings name no column of it.
        """
        columns = self.model.complete(self._inputs(customers))
        encoded = self.model.encoder.encode(columns)
        probability = sigmoid(self.model.logit_of(encoded))
        customer_value = self._customer_value(columns, len(probability))
        value = expected_value(probability, customer_value, self.settings.money)
        treat = value > 0
        explained = {"all": np.ones_like(treat), "treated": treat, "none": np.zeros_like(treat)}[explain]
        reasons = self._reasons(columns, explained)
        return Predictions(probability, treat, value, customer_value, reasons, self.model.encoder.unseen(columns))

    def score_row(self, row: Mapping[str, object], *, explain: bool) -> RowScore | None:
        """Score one customer as `predict` does, much faster; see `OneRow.score`.

        Returns:
            The score; None where the model's trees are too deep or too many for that.
        """
        return None if self._one_row is None else self._one_row.score(row, explain=explain)

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """The columns that it reads, and how each is computed on."""
        return {column.name: column.kind for column in self.model.schema.inputs}

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """The columns that customers may not lack."""
        return tuple(column.name for column in self.model.schema.inputs if not column.nullable)

    def save(self, folder: Path) -> None:
        """Write the model and the settings below `folder`, as JSON and UBJ."""
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save(folder / MODEL_FOLDER)
        (folder / _SETTINGS).write_text(SCORING_FORMAT.write(self.settings) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ModelError: a file is missing or does not hold what it should.
        """
        try:
            settings = SCORING_FORMAT.read((folder / _SETTINGS).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ModelError) as error:
            raise ModelError(
                f"The scoring settings in {folder / _SETTINGS} cannot be read ({error}): fetch the model again."
            ) from error
        return cls(model=ChurnModel.load(folder / MODEL_FOLDER), settings=settings)

    @cached_property
    def _one_row(self) -> OneRow | None:
        return OneRow(self.model, self.settings) if OneRow.fits(self.model) else None

    def _inputs(self, customers: Mapping[str, C]) -> dict[str, C | npt.NDArray[np.generic]]:
        """Return the columns that the model reads; one that may be missing and is not there is missing in every row."""
        _check_columns(list(customers), self.kinds, self.needed)
        rows = n_rows(customers)
        return {
            name: customers[name] if name in customers else missing_values(kind, rows)
            for name, kind in self.kinds.items()
        }

    def _customer_value(self, columns: CodedColumns, rows: int) -> FloatArray:
        revenue = self.settings.monthly_revenue
        monthly_revenue = None if revenue is None else uncoded(columns[revenue]).astype(np.float64)
        return self.settings.money.customer_value.values(rows, monthly_revenue)

    def _reasons(self, columns: CodedColumns, explained: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.object_]]:
        """Return `reasons.top` arrays of shape `(n_rows,)`, None where a customer has no such reason."""
        settings, rows = self.settings.reasons, np.flatnonzero(explained)
        reasons = [np.full(len(explained), None, dtype=object) for _ in range(settings.top)]
        if not reasons or not len(rows):
            return reasons
        chosen = columns if len(rows) == len(explained) else {name: values[rows] for name, values in columns.items()}
        ranked = ranked_reasons(
            self.model.contributions(chosen),
            chosen,
            (*self.model.schema.inputs, *self.model.schema.features),
            top=settings.top,
            actionable_only=settings.actionable_only,
        )
        for column, words in zip(reasons, ranked, strict=False):
            column[rows] = words
        return reasons


def _check_columns(present: Sequence[str], readable: Collection[str], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in present]
    if missing:
        hints = "".join(nearest(name, present) for name in missing)
        raise ContractError(
            f"The customers to score lack {', '.join(missing)}{hints}: add each column, with missing values where "
            "they are not known, or rename the one that holds it."
        )
    twice = sorted(name for name in readable if present.count(name) > 1)
    if twice:
        raise ContractError(f"The customers to score have {', '.join(twice)} twice: keep one column of each name.")
