"""From raw contract columns to what the business acts on: probability, decision, expected value and reasons."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, ValidationError

from ..core.errors import ContractError, ModelError, nearest
from ..core.frozen import Frozen
from .frame import CodedColumns, Column, Columns, FloatArray, Kind, columns_of, n_rows, uncoded
from .model import ChurnModel, sigmoid
from .money import MoneySettings, expected_value
from .reasons import ranked_reasons

__all__ = ["LEAVE", "TREAT", "Explain", "Predictions", "ReasonSettings", "Scorer", "ScoringSettings"]

TREAT, LEAVE = "treat", "leave"
"""The two decisions: treat where that is worth more than doing nothing, else leave alone."""

Explain = Literal["all", "treated", "none"]
"""Which customers get reasons."""

_SETTINGS, _MODEL = "scoring.json", "model"
C = TypeVar("C", bound=Column)


class ReasonSettings(Frozen):
    """Which reasons a prediction comes with."""

    top: int = Field(default=3, ge=0, description="At most this many reasons a customer.")
    actionable_only: bool = Field(default=False, description="Only reasons that the business can change.")


class ScoringSettings(Frozen):
    """What turns a probability into a decision, fixed when the model is packaged."""

    money: MoneySettings = MoneySettings()
    monthly_revenue: str | None = Field(default=None, description="The column with a customer's revenue in a month.")
    reasons: ReasonSettings = ReasonSettings()


class Predictions(NamedTuple):
    """What is predicted of a table's customers, column by column; every array has shape `(n_rows,)`.

    Attributes:
        probability: Of churn, 0 to 1, calibrated.
        treat: Whether the expected value is above zero.
        expected_value: What treating earns against doing nothing, in the currency of the settings.
        customer_value: What keeping the customer is worth, in that currency.
        reasons: What raises the risk most, then second most, and so on; None where there is no such reason.
        unseen: Rows whose value training did not know, by column; only of text that came coded.
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
        """Score customers, each by their row alone.

        Args:
            customers: Raw contract columns, in any order; others are ignored. A value that is missing, is no number
                where one belongs, or was never seen in training is scored as missing.
            explain: Whether to give reasons, which take most of the time; without, the lists are empty.

        Returns:
            One row a customer, with the index of `customers`: `probability` of churn (float64, 0 to 1, calibrated),
            `decision` (`treat` where the expected value is above zero, else `leave`), `expected_value` (float64, what
            treating earns against doing nothing, in the currency of the settings) and `reasons` (a list of strings,
            what raises the risk most first).

        Raises:
            ContractError: a column that may not be missing is not there, or a column stands twice.
            ConfigError: customers are valued by revenue and the settings name no column of it.
        """
        columns = self.model.complete(self._inputs(customers))
        probability = self.model.probability(columns)
        worth = expected_value(probability, self._value(columns, len(probability)), self.settings.money)
        return pd.DataFrame(
            {
                "probability": probability,
                "decision": np.where(worth > 0, TREAT, LEAVE).astype(object),
                "expected_value": worth,
                "reasons": pd.Series(self._reasons(columns, explain), dtype=object).to_numpy(),
            },
            index=customers.index if isinstance(customers, pd.DataFrame) else None,
        )

    def predict(self, customers: CodedColumns, *, explain: Explain = "all") -> Predictions:
        """Score a table in bulk: the numbers of `score`, bit for bit, without an object for each value.

        Args:
            customers: As for `score`; text may be coded.
            explain: Which customers get reasons, which take most of the time.

        Raises:
            ContractError: a column that may not be missing is not there.
            ConfigError: customers are valued by revenue and the settings name no column of it.
        """
        columns = self.model.complete(self._given(customers))
        encoded = self.model.encoder.encode(columns)
        probability = sigmoid(self.model.logit_of(encoded))
        value = self._value(columns, len(probability))
        worth = expected_value(probability, value, self.settings.money)
        rows = np.flatnonzero((worth > 0) | (explain == "all")) if explain != "none" else np.arange(0)
        reasons = [np.full(len(worth), None, dtype=object) for _ in range(self.settings.reasons.top)]
        explained = {name: values[rows] for name, values in columns.items()}
        for column, found in zip(reasons, self._ranked(explained), strict=False):
            column[rows] = found
        return Predictions(probability, worth > 0, worth, value, reasons, self.model.encoder.unseen(columns))

    @property
    def kinds(self) -> dict[str, Kind]:
        """The columns that it reads, and how each is computed on."""
        return {column.name: column.kind for column in self.model.schema.inputs}

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that customers may not lack."""
        return tuple(column.name for column in self.model.schema.inputs if not column.nullable)

    def save(self, folder: Path) -> None:
        """Write the model and the settings below `folder`, as JSON and UBJ."""
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save(folder / _MODEL)
        (folder / _SETTINGS).write_text(self.settings.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ModelError: a file is missing or does not hold what it should.
        """
        try:
            settings = ScoringSettings.model_validate_json((folder / _SETTINGS).read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            raise ModelError(
                f"The scoring settings in {folder / _SETTINGS} cannot be read ({error}): fetch the model again."
            ) from error
        return cls(model=ChurnModel.load(folder / _MODEL), settings=settings)

    def _inputs(self, customers: pd.DataFrame | Columns) -> Columns:
        if isinstance(customers, pd.DataFrame):
            _check_columns(list(customers.columns), self.kinds, self.needed)
            return columns_of(customers, self.kinds)
        given: dict[str, npt.NDArray[np.generic]] = self._given(customers)
        return given

    def _given(self, customers: Mapping[str, C]) -> dict[str, C | npt.NDArray[np.generic]]:
        """Return the columns that the model reads; one that may be missing and is not there is missing in every row."""
        _check_columns(list(customers), self.kinds, self.needed)
        lacking = {name: kind for name, kind in self.kinds.items() if name not in customers}
        absent = columns_of(pd.DataFrame(index=range(n_rows(customers))), lacking)
        return {name: customers[name] if name in customers else absent[name] for name in self.kinds}

    def _value(self, columns: CodedColumns, rows: int) -> FloatArray:
        revenue = self.settings.monthly_revenue
        known = None if revenue is None else uncoded(columns[revenue]).astype(np.float64)
        return self.settings.money.customer_value.values(rows, known)

    def _reasons(self, columns: Columns, explain: bool) -> list[list[str]]:
        ranked = self._ranked(columns) if explain else []
        if not ranked:
            return [[] for _ in range(n_rows(columns))]
        return [[reason for reason in row if reason is not None] for row in zip(*ranked, strict=True)]

    def _ranked(self, columns: CodedColumns) -> list[npt.NDArray[np.object_]]:
        if not self.settings.reasons.top or not n_rows(columns):
            return []
        return ranked_reasons(
            self.model.contributions(columns),
            columns,
            (*self.model.schema.inputs, *self.model.schema.features),
            top=self.settings.reasons.top,
            actionable_only=self.settings.reasons.actionable_only,
        )


def _check_columns(given: Sequence[str], known: Collection[str], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in given]
    if missing:
        hints = "".join(nearest(name, given) for name in missing)
        raise ContractError(
            f"The customers to score lack {', '.join(missing)}{hints}: add each column, with missing values where "
            "they are not known, or rename the one that holds it."
        )
    twice = sorted(name for name in known if given.count(name) > 1)
    if twice:
        raise ContractError(f"The customers to score have {', '.join(twice)} twice: keep one column of each name.")
