"""The Databricks profile connected: every port as `adapters.wiring` makes it, on the loopback workspace and on Sail."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from adapters.databricks.served_model import ServedModel
from adapters.databricks.stack import setup
from adapters.mlflow.client import ensure_experiment
from adapters.mlflow.manifest import package_in
from adapters.platform import job_workspace
from churn.approval.decide import decide, record_gate
from churn.approval.state import VersionStatus
from churn.core.errors import ChurnError
from churn.lifecycle.deployment import promote_version
from churn.lifecycle.release import Release, release_version
from churn.model.model import ChurnModel
from churn.model.scorer import Scorer, ScoringSettings
from churn.ports.registry import CHALLENGER, MODEL_DIGEST
from churn.settings import read_configuration
from tests.databricks.sail import SailSession
from tests.databricks.serving import NotLoaded, Predict
from tests.databricks.workspace import Workspace
from tests.environment import environment
from tests.fakes.data.batches import CONTRACT, feature_rows
from tests.fakes.data.case import CONFIGS
from tests.fakes.data.deciding import gate_report
from tests.fakes.data.scorers import ADDITIVE, CATEGORIES, SCHEMA, customers

MODEL, FULL_NAME, ENDPOINT = "churn_toy", "main.toy.churn_toy", "churn-toy"
CUSTOMERS = 12
PAYLOAD = "`main`.`toy`.`churn_toy_payload`"


class Connected:
    """The data set `toy` with features of a dozen customers; `release` brings versions to its endpoint.

    Attributes:
        ports: The workspace's ports, as a pipeline has them.
        broken: Versions that do not start where they are served.
    """

    def __init__(self, workspace: Workspace, spark: SailSession, online: str) -> None:
        self.platform, self.spark, self.broken = workspace, spark, set[int]()
        workspace.secrets.values["churn"] = {"CHURN_ONLINE_PASSWORD": ("first", 0)}
        workspace.serving.load = self._load
        own = (
            f"profile.state={workspace.folder}/state",
            f"profile.online={{store: postgresql, address: '{online}'}}",
            "profile.databricks.serving.poll_seconds=0.01",
            "profile.databricks.serving.update_seconds=5",
            "profile.databricks.retry_timeout_seconds=5",
            "serving.deploy=always",
        )
        self._own = own
        self.released: dict[int, Release] = {}
        self.change()
        setup(self.profile.workspace, CONTRACT, files=True)
        self._experiment = ensure_experiment("databricks", f"{self.profile.workspace.folder}/{MODEL}", None)
        yesterday = (dt.datetime.now(dt.UTC) - dt.datetime(2024, 1, 1, tzinfo=dt.UTC)).days - 1
        self.ports.tables.upsert(CONTRACT.table("features"), feature_rows(CUSTOMERS, at=yesterday))

    def change(self, *overrides: str) -> None:
        """Connect with other settings."""
        self.settings, self.profile = read_configuration(CONFIGS, "databricks", None, (*self._own, *overrides))
        self.ports = job_workspace(CONTRACT, self.settings, self.profile)

    def register(self) -> int:
        """Register a version whose scores are its own, as a training does."""
        from mlflow import MlflowClient

        number = len(self.ports.registry.versions(MODEL)) + 1
        model = ChurnModel(schema=SCHEMA, categories=CATEGORIES, additive=ADDITIVE, intercept=-float(number))
        run = MlflowClient(tracking_uri="databricks").create_run(self._experiment).info.run_id
        with tempfile.TemporaryDirectory() as folder:
            package, digest = self.ports.package(
                Scorer(model, ScoringSettings()), Path(folder) / "package", example=customers(), metadata={}
            )
            tags = {MODEL_DIGEST: digest, "registered_by": "ada", "dataset": CONTRACT.name}
            made = self.ports.registry.register(MODEL, package, description="A model.", tags=tags, run_id=run)
        self.ports.registry.set_alias(MODEL, CHALLENGER, made.version)
        return made.version

    def judge(self, version: int) -> VersionStatus:
        """Let the gate pass a version, and the policy approve it."""
        context = self.ports.approval(self.settings.approval)
        record_gate(context, gate_report(context, version), who="ada")
        return decide(context, version, who="ada")

    def release(self, version: int) -> Release:
        """Do what the last two steps of the deployment pipeline do."""
        promoted = promote_version(self.ports, self.settings, self.judge(version))
        return release_version(self.ports, self.settings, promoted)

    def ask(self, customer: str = "c000") -> list[tuple[int, dict[str, Any]]]:
        """Ask for a score as a client does, and return each row's version and answer."""
        said = self.platform.client().serving_endpoints.query(ENDPOINT, dataframe_records=[{"customer_id": customer}])
        return [(int(row["model_version"]), row) for row in said.predictions or ()]

    def platform_logs(self, columns: str, asked: dict[str, Any], said: dict[str, Any]) -> None:
        """Let the platform's inference table have a request of now, with the columns that are documented."""
        self.spark.sql(f"CREATE TABLE {PAYLOAD} ({columns}) USING DELTA").toArrow()
        now = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S}"
        request, response = (json.dumps(body) for body in ({"dataframe_records": [asked]}, {"predictions": [said]}))
        self.spark.sql(
            f"INSERT INTO {PAYLOAD} SELECT DATE '{now[:10]}', 'r-1', NULL, TIMESTAMP '{now}', 200, 1.0D, 12L, "
            f"'{request}', '{response}', '0a1b', CAST(NULL AS ARRAY<STRING>), 'crm@example.com'"
        ).toArrow()

    def platform_forgets(self) -> None:
        """Let the platform's inference table be gone."""
        self.spark.sql(f"DROP TABLE IF EXISTS {PAYLOAD}").toArrow()

    @property
    def kinds(self) -> list[str]:
        """What the ledger has of each decision."""
        return [record.kind for record in self.ports.ledger.read()]

    @property
    def traffic(self) -> dict[str, tuple[int, int]]:
        """The version and the share in percent of each alias that the endpoint serves."""
        config = self.platform.serving.endpoints[ENDPOINT]["config"]
        versions = {entity["name"]: int(entity["entity_version"]) for entity in config["served_entities"]}
        routes = config["traffic_config"]["routes"]
        return {
            route["served_model_name"]: (versions[route["served_model_name"]], route["traffic_percentage"])
            for route in routes
        }

    def _load(self, entity: dict[str, Any]) -> Predict:
        """Do what Model Serving does: load the registered folder in the environment of its served entity."""
        if int(entity["entity_version"]) in self.broken:
            raise NotLoaded(f"The files of version {entity['entity_version']} are gone.")
        name = entity["entity_name"].replace(".", "/")
        folder = self.platform.files.path(f"/Models/{name}/{entity['entity_version']}")
        scope = self.platform.secrets.values["churn"]
        secrets = {f"{{{{secrets/churn/{key}}}}}": value for key, (value, _) in scope.items()}
        with environment({key: secrets.get(value, value) for key, value in entity["environment_vars"].items()}):
            served = ServedModel.load(package_in(folder), folder / "artifacts/dataset.json")

        def predict(body: dict[str, Any]) -> Any:
            try:
                said = served.predict(pd.DataFrame.from_records(body["dataframe_records"]))
            except ChurnError as error:
                raise ValueError(str(error)) from error
            return json.loads(json.dumps(said, allow_nan=False))

        return predict
