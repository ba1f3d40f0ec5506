"""A registered version that looks features up by itself: what Model Serving loads and asks.

The registered folder is an MLflow model whose script makes a `ServedModel` and whose artifact is the package, as a
laptop registers it; the code that answers lies beside it as it is here. So the digest of a version is the package's.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd
import yaml

from churn.core.codebase import closure
from churn.core.errors import ModelError, StoreError
from churn.core.frozen import Frozen
from churn.core.progress import note
from churn.ports.online import OnlineRow
from churn.ports.registry import MODEL_DIGEST
from churn.scoring.answers import Answer, RowAnswers
from churn.scoring.policy import policy_of
from churn.scoring.rows import LoadedModel

from ..local.online_postgresql import PostgresOnlineStore
from ..mlflow.environment import write_environment
from ..mlflow.load import load_package
from ..mlflow.manifest import CODE_FOLDER, LOADER, PACKAGED, SCRIPT
from .lakebase import LakebaseLogin
from .request_log import PostgresRequests

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

    from churn.ports.registry import ModelVersion
    from churn.profile import Profile

__all__ = [
    "EXPLAIN",
    "SERVED_AS",
    "WHAT_IF",
    "Dataset",
    "ServedAs",
    "ServedModel",
    "environment_of",
    "wrap",
]

EXPLAIN, WHAT_IF = "churn_reasons", "churn_what_if"
"""Columns of a request, beside those of a customer: whether to give reasons, and that nobody acts on the answer."""
SERVED_AS = "CHURN_SERVED"
_DATA = "artifacts/dataset.json"
_PATIENCE = 5
"""Seconds that a request waits for a database that was scaled to zero."""
_ROOT = Path(__file__).parents[2]
_REQUIREMENTS = (
    *("databricks-sdk", "mlflow", "numpy", "orjson", "pandas", "psycopg", "psycopg-binary", "psycopg-pool", "pyarrow"),
    *("pydantic", "pyyaml", "xgboost"),
)
_MODEL_SCRIPT = '''"""How Model Serving loads this version: the registered package, and the look-up of features."""

from pathlib import Path

import mlflow

from adapters.databricks.served_model import ServedModel
from churn.core.errors import ChurnError


class ChurnModel(mlflow.pyfunc.PythonModel):
    """Customers' keys or columns in; probability, decision, expected value and reasons out."""

    def load_context(self, context):
        self.served = ServedModel.load(Path(context.artifacts["package"]), Path(context.artifacts["dataset"]))

    def predict(self, context, model_input, params=None):
        try:
            return self.served.predict(model_input)
        except ChurnError as error:
            raise mlflow.MlflowException.invalid_parameter_value(str(error)) from error


mlflow.models.set_model(ChurnModel())
'''
_OUTPUTS = {
    **{"customer": "string", "status": "string", "probability": "double", "decision": "string"},
    **{"expected_value": "double", "customer_value": "double", "features_at": "string", "features_version": "long"},
    **{"model_name": "string", "model_version": "long", "model_alias": "string", "threshold_policy": "string"},
    "score_ms": "double",
}


class Dataset(Frozen):
    """What a served version knows of its data set.

    Attributes:
        name: The data set.
        key: The column of the customer's key.
        columns: The columns that it knows beside the key.
    """

    format: Literal[1] = 1
    name: str
    key: str
    columns: tuple[str, ...]


class ServedAs(Frozen):
    """As what a version is served, in the environment variable `CHURN_SERVED` of its served entity.

    Attributes:
        name: The registered model.
        version: Its version.
        alias: Under which it answers.
        digest: Of its package, as the ledger has it; the files are checked against it.
        stale_after_days: Features that are older are said to be stale.
        unknown_columns: What becomes of a request with columns that nobody knows.
        postgresql: Address of the online store; None where it is on Lakebase.
        lakebase: The endpoint of Lakebase, `projects/…/branches/…/endpoints/…`.
        password_variable: The environment variable with the password of `postgresql`.
        logs: Whether it logs requests itself, beside the online store: the platform does not.
    """

    name: str
    version: int
    alias: str
    digest: str
    stale_after_days: float
    unknown_columns: Literal["ignore", "refuse"] = "ignore"
    postgresql: str | None = None
    lakebase: str | None = None
    password_variable: str = "CHURN_ONLINE_PASSWORD"
    logs: bool = False


def environment_of(
    profile: Profile, version: ModelVersion, alias: str, stale_after_days: float, unknown_columns: Any, *, logs: bool
) -> dict[str, str]:
    """Return the environment variables of what serves a version, which finds the profile's online store there.

    A password of PostgreSQL comes from a secret of that name, in the scope of the jobs.

    Raises:
        ConfigError: the online store is a file of one machine.
    """
    profile.check_online_store()
    online = profile.online
    served = ServedAs(
        name=version.name,
        version=version.version,
        alias=alias,
        digest=version.tags[MODEL_DIGEST],
        stale_after_days=stale_after_days,
        unknown_columns=unknown_columns,
        **{online.store: online.address},
        password_variable=online.password_variable,
        logs=logs,
    )
    environment = {SERVED_AS: served.model_dump_json()}
    if online.store == "postgresql":
        scope = profile.workspace.jobs.secret_scope if profile.workspace.jobs else "churn"
        environment[online.password_variable] = f"{{{{secrets/{scope}/{online.password_variable}}}}}"
    return environment


class ServedModel:
    """Answers the requests of Model Serving."""

    def __init__(
        self,
        model: LoadedModel,
        dataset: Dataset,
        served: ServedAs,
        look_up: Callable[[Sequence[str]], Iterable[OnlineRow]],
        *,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        log: PostgresRequests | None = None,
    ) -> None:
        """Answer with a version; `look_up` returns customers' newest features, `log` takes requests."""
        self._clock, self._log = clock, log
        self._model, self._served, self._policy = model, served, policy_of(model.scoring)
        self._answers = RowAnswers(
            dataset.name,
            dataset.key,
            dataset.columns,
            look_up,
            stale_after=dt.timedelta(days=served.stale_after_days),
            unknown_columns=served.unknown_columns,
            clock=clock,
        )

    @classmethod
    def load(cls, package: Path, dataset: Path) -> Self:
        """Load a version as its environment says.

        Raises:
            ModelError: the environment does not say it, or the files are not those that were registered.
        """
        if SERVED_AS not in os.environ:
            raise ModelError(
                f"{SERVED_AS} is not set: serve versions by `python run.py --stack databricks serve`, which sets it."
            )
        served = ServedAs.model_validate_json(os.environ[SERVED_AS])
        model: Any = load_package(package, expected_digest=served.digest)
        model.use_threads(1)
        described = Dataset.model_validate_json(dataset.read_bytes())
        store, log = _stores(served, described)
        return cls(model, described, served, store.rows, log=log)

    def predict(self, customers: pd.DataFrame) -> list[dict[str, Any]]:
        """Return a JSON object for each row.

        A table has no cell that is not there. So a missing value counts as not given, unless the row gives every
        column that may not be missing.

        Raises:
            DataError: a row cannot be answered; see `churn.lifecycle.endpoint.Endpoint.answer`.
            StoreError: the online store does not answer.
        """
        rows = [self._given(row) for row in customers.to_dict(orient="records")]
        flags = [(row.pop(EXPLAIN, False), row.pop(WHAT_IF, False)) for row in rows]
        explain = any(bool(reasons) for reasons, _ in flags)
        scored = self._answers.answer(self._served.version, self._model, rows, explain=explain)
        answers = [self._said(answer) for answer in scored.rows]
        if self._log is not None:
            self._keep(self._log, [{WHAT_IF: bool(test)} for _, test in flags], answers)
        return answers

    def _keep(self, log: PostgresRequests, asked: list[dict[str, Any]], answers: list[dict[str, Any]]) -> None:
        """Log a request; where it cannot be, the client is answered all the same."""
        request = {
            "databricks_request_id": str(uuid.uuid4()),
            "client_request_id": None,
            "request_time": self._clock(),
            "status_code": 200,
            "request": json.dumps({"dataframe_records": asked}),
            "response": json.dumps({"predictions": answers}),
        }
        try:
            log.append(request)
        except StoreError as error:
            note("serve", f"a request is not logged: {error}")

    def _given(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        cells = {str(name): value for name, value in row.items() if not _is_missing(value)}
        whole = all(name in cells for name in self._model.needed)
        return {**{str(name): None for name in row if name in self._model.kinds}, **cells} if whole else cells

    def _said(self, answer: Answer) -> dict[str, Any]:
        score, served = answer.score, self._served
        return {
            "customer": answer.customer,
            "status": answer.status,
            "probability": score and score.probability,
            "decision": score and score.decision,
            "expected_value": score and score.expected_value,
            "customer_value": score and score.customer_value,
            "reasons": [*score.reasons] if score else [],
            "features_at": answer.features_at and answer.features_at.isoformat(),
            "features_version": answer.features_version,
            "model_name": served.name,
            "model_version": served.version,
            "model_alias": served.alias,
            "threshold_policy": self._policy,
            "score_ms": answer.score_ms,
        }


def wrap(package: Path, into: Path, dataset: Dataset, *, resources: Iterable[Any] = ()) -> Path:
    """Write a package as a model that looks features up by itself.

    Args:
        package: The package.
        into: A folder that is not there yet.
        dataset: The data set.
        resources: What of the workspace it may use when it is served, as `mlflow.models.resources` has it.

    Returns:
        `into`.
    """
    shutil.copytree(package, into / PACKAGED)
    (into / _DATA).write_text(dataset.model_dump_json(indent=1) + "\n", encoding="utf-8")
    for source in closure("adapters.databricks.served_model", "churn.scoring.answers"):
        target = into / CODE_FOLDER / source.relative_to(_ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes().replace(b"\r\n", b"\n"))
    (into / SCRIPT).write_text(_MODEL_SCRIPT, encoding="utf-8")
    write_environment(into, _REQUIREMENTS)
    _write_mlmodel(into, package, dataset, list(resources))
    return into


def _is_missing(value: Any) -> bool:
    return value is None or (not isinstance(value, list | dict | tuple | np.ndarray) and bool(pd.isna(value)))


def _stores(served: ServedAs, dataset: Dataset) -> tuple[PostgresOnlineStore, PostgresRequests | None]:
    """Return the online store, and the log where the version keeps one."""
    if served.lakebase is None:
        password, address = os.environ.get(served.password_variable), served.postgresql or ""
        store = PostgresOnlineStore(address, dataset.name, lambda: password, patience=_PATIENCE)
        options: Callable[[], Mapping[str, Any]] = lambda: {"conninfo": address, "password": password}  # noqa: E731
    else:
        from databricks.sdk import WorkspaceClient

        options = LakebaseLogin(WorkspaceClient, served.lakebase).options
        store = PostgresOnlineStore(served.lakebase, dataset.name, options=options, patience=_PATIENCE)
    return store, PostgresRequests(options, dataset.name) if served.logs else None


def _write_mlmodel(into: Path, package: Path, dataset: Dataset, resources: list[Any]) -> None:
    from mlflow.models import Model
    from mlflow.pyfunc import add_to_model

    packaged = yaml.safe_load((package / "MLmodel").read_text(encoding="utf-8"))
    inputs = [column["name"] for column in json.loads((packaged.get("signature") or {}).get("inputs") or "[]")]
    model = Model(signature=_signature(dataset, inputs), metadata=packaged.get("metadata"), resources=resources or None)
    add_to_model(
        model,
        loader_module=LOADER,
        code=CODE_FOLDER,
        conda_env="conda.yaml",
        python_env="python_env.yaml",
        model_code_path=SCRIPT,
        artifacts={"package": {"path": PACKAGED}, "dataset": {"path": _DATA}},
    )
    model.save(into / "MLmodel")


def _signature(dataset: Dataset, inputs: Iterable[str]) -> ModelSignature:
    """Return the columns that a request may have, each of any type and none needed: a key alone is enough."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, Array, ColSpec, Schema

    names = dict.fromkeys((dataset.key, *inputs, EXPLAIN, WHAT_IF))
    columns: list[Any] = [ColSpec(kind, name) for name, kind in _OUTPUTS.items()]
    return ModelSignature(
        Schema([ColSpec(AnyType(), name, required=False) for name in names]),
        Schema([*columns, ColSpec(Array("string"), "reasons")]),
    )
