"""From raw contract columns to what the business acts on: probability, decision, expected value and reasons."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import ContractError, ModelError, nearest
from .explain import reason_codes
from .frame import Columns, FloatArray, columns_of, n_rows
from .model import ChurnModel
from .money import MoneySettings, expected_value

__all__ = ["LEAVE", "TREAT", "ReasonSettings", "Scorer", "ScoringSettings"]

TREAT, LEAVE = "treat", "leave"
"""The two decisions: treat where that is worth more than doing nothing, else leave alone."""

_SETTINGS, _MODEL = "scoring.json", "model"


class ReasonSettings(BaseModel):
    """Which reasons a prediction comes with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    top: int = Field(default=3, ge=0, description="At most this many reasons a customer.")
    actionable_only: bool = Field(default=False, description="Only reasons that the business can change.")


class ScoringSettings(BaseModel):
    """What turns a probability into a decision, fixed when the model is packaged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    money: MoneySettings = MoneySettings()
    monthly_revenue: str | None = Field(default=None, description="The column with a customer's revenue in a month.")
    reasons: ReasonSettings = ReasonSettings()


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
        worth = expected_value(probability, self._worth(columns, len(probability)), self.settings.money)
        return pd.DataFrame(
            {
                "probability": probability,
                "decision": np.where(worth > 0, TREAT, LEAVE).astype(object),
                "expected_value": worth,
                "reasons": pd.Series(self._reasons(columns, explain), dtype=object).to_numpy(),
            },
            index=customers.index if isinstance(customers, pd.DataFrame) else None,
        )

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
        kinds = {column.name: column.kind for column in self.model.schema.inputs}
        needed = [column.name for column in self.model.schema.inputs if not column.nullable]
        if isinstance(customers, pd.DataFrame):
            _check_columns(list(customers.columns), kinds, needed)
            return columns_of(customers, kinds)
        _check_columns(list(customers), kinds, needed)
        absent = columns_of(pd.DataFrame(index=range(n_rows(customers))), kinds)
        return {name: customers.get(name, absent[name]) for name in kinds}

    def _worth(self, columns: Columns, rows: int) -> FloatArray:
        revenue = self.settings.monthly_revenue
        known = None if revenue is None else columns[revenue].astype(np.float64)
        return self.settings.money.customer_value.values(rows, known)

    def _reasons(self, columns: Columns, explain: bool) -> list[list[str]]:
        if not explain or not self.settings.reasons.top:
            return [[] for _ in range(n_rows(columns))]
        return reason_codes(
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
