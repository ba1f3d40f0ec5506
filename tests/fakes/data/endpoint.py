"""An endpoint of a small business: a ledger with versions that were live, real scorers, and features in memory."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from churn.approval.rollout import Rollout, start
from churn.core.errors import StoreError
from churn.data.contract import DatasetContract
from churn.lifecycle.endpoint import Agreement, Endpoint
from churn.lifecycle.workspace import Workspace
from churn.model.frame import CodedColumns, FloatArray
from churn.model.model import ChurnModel
from churn.model.reasons import Described
from churn.model.scorer import Scorer, ScoringSettings
from churn.ports.online import OnlineRow, OnlineStore, Publication
from churn.ports.registry import ModelVersion
from churn.ports.tables import TableRef
from tests.fakes.data.case import settings
from tests.fakes.data.deciding import MODEL, Office, office
from tests.fakes.data.scorers import ADDITIVE, CATEGORIES, SCHEMA
from tests.fakes.ports.endpoint import InMemoryEndpoint
from tests.fakes.ports.online import InMemoryOnlineStore
from tests.fakes.ports.prediction_log import InMemoryPredictionLog
from tests.fakes.ports.tables import MemoryFeatureStore

CONTRACT = DatasetContract.model_validate(
    {
        "name": "gym",
        "description": "Members.",
        "entity_key": "customer_id",
        "event_time": {"column": None, "as_of": "2024-01-01"},
        "label": {"column": "churn", "positive": "Yes", "negative": "No", "window_days": 30},
        "columns": {
            "contract": {"type": "categorical", "description": "length of the contract"},
            "tenure": {"type": "integer", "description": "months as a customer"},
            "monthly_charges": {"type": "number", "description": "monthly charges"},
            "total_charges": {"type": "number", "nullable": True, "description": "charges so far"},
        },
        "features": [feature.model_dump() for feature in SCHEMA.features],
    }
)
FULL = {"contract": "Month-to-month", "tenure": 10, "monthly_charges": 50.0, "total_charges": 480.0}
"""Every input of the model."""
NOW = dt.datetime(2024, 5, 2, tzinfo=dt.UTC)

_FEATURES = TableRef(dataset="gym", name="churn_features", version=4, rows=1, content_id="x", key=(), uri="here")
PUBLICATION = Publication(features=_FEATURES, columns=CONTRACT.kinds, as_of=NOW, ingested_until=NOW, published_at=NOW)


class Gone(InMemoryOnlineStore):
    """A store that does not answer, as long as it is `gone`."""

    gone = True

    def rows(self, customers: Sequence[str]) -> Sequence[OnlineRow]:
        self._ask()
        return super().rows(customers)

    def publication(self) -> Publication | None:
        self._ask()
        return super().publication()

    def _ask(self) -> None:
        if self.gone:
            raise StoreError("The online store does not answer.")


class LoadedScorer(Scorer):
    """A scorer as it comes out of a package."""

    def use_threads(self, threads: int) -> None:
        pass

    @property
    def categories(self) -> Mapping[str, Sequence[str]]:
        return self.model.categories

    @property
    def scoring(self) -> Mapping[str, Any]:
        return self.settings.model_dump(mode="json")

    @property
    def described(self) -> Sequence[Described]:
        return (*self.model.schema.inputs, *self.model.schema.features)

    def complete(self, columns: CodedColumns) -> CodedColumns:
        return self.model.complete(columns)

    def contributions(self, columns: CodedColumns) -> FloatArray:
        return self.model.contributions(columns)


class FailingScorer(LoadedScorer):
    """A scorer that fails at every row while it is told to."""

    fails = False

    def predict(self, *arguments: Any, **options: Any) -> Any:
        self._fail()
        return super().predict(*arguments, **options)

    def score_row(self, *arguments: Any, **options: Any) -> Any:
        self._fail()
        return super().score_row(*arguments, **options)

    def _fail(self) -> None:
        if self.fails:
            raise ZeroDivisionError("division by zero")


class EndpointCase:
    """An endpoint whose version n has an intercept of -n log-odds more than the additive model's own."""

    def __init__(
        self,
        *overrides: str,
        online: OnlineStore | None = None,
        live: tuple[int, ...] = (1,),
        agreement: Agreement | None = None,
    ) -> None:
        self.office: Office = office(3, *live)
        self.online = online or InMemoryOnlineStore()
        self.now, self.broken, self.loaded = NOW, set[int](), list[int]()
        self.tables = MemoryFeatureStore("gym")
        self.log = InMemoryPredictionLog(self.tables, CONTRACT.table("predictions"), CONTRACT.entity_key)
        self.scorers: dict[int, FailingScorer] = {}
        make: dict[str, Any] = {
            "tables": lambda: self.tables,
            "prediction_log": lambda: self.log,
            "registry": lambda: self.office.registry,
            "ledger": lambda: self.office.ledger,
            "stages": lambda: self.office.stages,
            "online": lambda: self.online,
            "identity": lambda: "ada",
            "load": self._load,
            "verify": lambda version, into: None,
            "endpoint": lambda options: InMemoryEndpoint(self.endpoint, MODEL, runs=True),
        }
        self.make, self.settings = make, settings(*overrides)
        self.workspace = Workspace(contract=CONTRACT, model=MODEL, threads=1, clock=lambda: self.now, make=make)
        with self.online.publishing(PUBLICATION.columns, full=False) as writer:
            writer.record(PUBLICATION)
        self.endpoint = Endpoint(self.workspace, self.settings, agreement)

    def scorer(self, version: int) -> FailingScorer:
        model = ChurnModel(schema=SCHEMA, categories=CATEGORIES, additive=ADDITIVE, intercept=-float(version))
        return FailingScorer(model, ScoringSettings())

    def _load(self, version: ModelVersion, into: Path) -> Scorer:
        self.loaded.append(version.version)
        if version.version in self.broken:
            raise StoreError(f"The files of version {version.version} are gone.")
        return self.scorers.setdefault(version.version, self.scorer(version.version))

    def roll_out(self, version: int = 2, share: float = 0.5, *, shadow: bool = False) -> Rollout:
        """Let an approved version be rolled out, and the endpoint take notice."""
        self.office.judge(version)
        rollout = start(self.office.context, version, share=share, shadow=shadow, who="ada", why="Beside it.")
        self.endpoint.refresh()
        return rollout

    def online_features(self, customer: str, *, at: dt.datetime = NOW, **changed: Any) -> None:
        """Let the online store have the values of `FULL` for a customer, some of them changed."""
        values = {**FULL, **changed}
        times = pa.array([at], pa.timestamp("us", tz="UTC"))
        columns = [
            pa.array([value]) if isinstance(value, str) else pa.array([value], pa.float64())
            for value in values.values()
        ]
        names = ["customer", "event_time", "arrived_at", *values]
        with self.online.publishing({}, full=False) as writer:
            writer.write(pa.RecordBatch.from_arrays([pa.array([customer]), times, times, *columns], names=names), 4)
