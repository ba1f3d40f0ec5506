"""How a version was made, kept so that it can be made again: contract, settings, searched parameters."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Self

from ..core.errors import ContractError
from ..core.frozen import Frozen
from ..core.yaml_files import parse_model
from ..data.contract import DatasetContract
from ..model.features import check_features
from .boosting import BoostingParams
from .train import ModelSettings
from .trials import TuningSettings

__all__ = ["Recipe"]

_MODULE = "recipe_features.py"


_NOT_FITTED: Any = {
    "description": True,
    "feature_module": True,
    "monthly_revenue": True,
    "slices": True,
    "simulator": True,
    "truth": True,
    "columns": {"__all__": {"description", "actionable", "aliases"}},
    "features": {"__all__": {"description", "actionable"}},
}
"""What a contract says that no fit depends on: words, money, reports, and where the source is read."""


class Recipe(Frozen):
    """How a version was made, all but the data and the seed.

    Attributes:
        model: The settings of training, as configured.
        tuning: The settings of the search, as configured.
        boosting: What the search chose; a refit takes it as it is and does not search again.
        contract: The dataset contract as plain JSON values, without the path of the feature module.
        feature_source: The text of that module, None where there is none.
    """

    model: ModelSettings
    tuning: TuningSettings
    boosting: BoostingParams
    contract: dict[str, Any]
    feature_source: str | None = None

    @classmethod
    def of(
        cls, contract: DatasetContract, model: ModelSettings, tuning: TuningSettings, boosting: BoostingParams
    ) -> Self:
        """Return the recipe of a training run; the contract's feature module is read."""
        module = contract.feature_module
        return cls(
            model=model,
            tuning=tuning,
            boosting=boosting,
            contract=contract.model_copy(update={"feature_module": None}).model_dump(mode="json"),
            feature_source=module.read_text(encoding="utf-8") if module else None,
        )

    @property
    def digest(self) -> str:
        """The identity of the recipe as configured: what another training run is to share to be a refresh.

        Neither what the search chose nor the words of the contract are part of it, nor how long and how parallel the
        search may run.
        """
        contract = self._parsed().model_dump(mode="json", exclude=_NOT_FITTED)
        tuning = self.tuning.model_dump(mode="json", exclude={"timeout_seconds", "parallel_trials"})
        whole = {"model": self.model.model_dump(mode="json"), "tuning": tuning, "contract": contract}
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]

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
