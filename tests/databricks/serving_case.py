"""A small business whose endpoint runs on the loopback's Model Serving, by the code that a real one loads."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from adapters.databricks.endpoint import ModelServingEndpoint, OnTrial
from adapters.databricks.served_model import SERVED_AS, Dataset, ServedAs, ServedModel
from churn.core.errors import ChurnError
from churn.profile import DatabricksSettings
from tests.fakes.data.endpoint import CONTRACT, EndpointCase

from .serving import NotLoaded, Predict
from .workspace import Workspace

FULL_NAME = "main.gym.churn_gym"
DATASET = Dataset(
    name="gym",
    key="customer_id",
    columns=(*CONTRACT.kinds, *(spec.name for spec in CONTRACT.features)),
)


class ServingCase:
    """Versions 1 to 3 are registered; those in `case.broken` do not start. `trial` is what the ledger rolls out."""

    def __init__(self, workspace: Workspace, **serving: Any) -> None:
        self.workspace, self.serving, self.case = workspace, workspace.serving, EndpointCase()
        self.case.online_features("a")
        self.trial: OnTrial | None = None
        workspace.catalog.add_schema("main.gym")
        versions = {number: {"version": number, "status": "READY"} for number in (1, 2, 3)}
        workspace.mlflow.models[FULL_NAME] = {"name": FULL_NAME, "aliases": {}, "tags": {}, "versions": versions}
        workspace.serving.load = self._load
        given = {"endpoint": "churn_{dataset}", "poll_seconds": 0.01, "update_seconds": 5, **serving}
        self.settings = DatabricksSettings.model_validate({"serving": given})
        self.host = self.host_of()

    def host_of(self, user: str = "ada@example.com") -> ModelServingEndpoint:
        """Return the host as another user has it."""
        client = self.workspace.client(user)
        return ModelServingEndpoint(
            lambda: client,
            self.settings,
            "gym",
            FULL_NAME,
            schema="main.gym",
            environment=self._environment,
            on_trial=lambda: self.trial,
        )

    @property
    def there(self) -> dict[str, Any]:
        """The endpoint as the workspace has it."""
        return self.serving.endpoints["churn_gym"]

    @property
    def routes(self) -> list[dict[str, Any]]:
        """Who answers how many of a hundred requests."""
        return list(self.there["config"]["traffic_config"]["routes"])

    def _environment(self, version: int, alias: str, logs: bool) -> dict[str, str]:
        served = ServedAs(name="churn_gym", version=version, alias=alias, digest="", stale_after_days=40, logs=logs)
        return {SERVED_AS: served.model_dump_json()}

    def _load(self, entity: dict[str, Any]) -> Predict:
        served = ServedAs.model_validate_json(entity["environment_vars"][SERVED_AS])
        if served.version in self.case.broken:
            raise NotLoaded(f"The files of version {served.version} are gone.")
        model: Any = self.case.scorer(served.version)
        serves = ServedModel(model, DATASET, served, self.case.online.rows, clock=lambda: self.case.now)

        def predict(body: dict[str, Any]) -> Any:
            try:
                said = serves.predict(pd.DataFrame.from_records(body["dataframe_records"]))
            except ChurnError as error:
                raise ValueError(str(error)) from error
            return json.loads(json.dumps(said, allow_nan=False))

        return predict
