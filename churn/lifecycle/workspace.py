"""The workspace of a use case: data set, ports, clock and acting user."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from ..approval.context import ApprovalContext
from ..approval.settings import ApprovalSettings
from ..core.errors import ConfigError
from ..data.contract import DatasetContract
from ..data.delivery import Delivery
from ..gate.inputs import JudgedVersion
from ..model.scorer import Scorer
from ..ports.alerts import AlertChannel
from ..ports.batch import BatchEngine
from ..ports.endpoint import EndpointHost
from ..ports.files import Files
from ..ports.ledger import DecisionLedger
from ..ports.online import OnlineStore
from ..ports.prediction_log import PredictionLog
from ..ports.registry import ModelRegistry, ModelVersion
from ..ports.stages import StageMirror
from ..ports.studies import Studies
from ..ports.tables import FeatureStore
from ..ports.tracker import ExperimentTracker
from ..ports.windows import PredictionWindows
from .serve_options import ServeOptions

__all__ = ["Workspace"]

P = TypeVar("P")


class _Port(Generic[P]):
    """An attribute of a workspace that its `make` makes when it is first asked for, and keeps."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, workspace: Workspace | None, owner: type) -> P:
        if workspace is None:
            raise AttributeError(f"A {owner.__name__} alone has no {self._name}: connect one.")
        made: P = workspace.made(self._name)
        workspace.__dict__[self._name] = made
        return made


@dataclass(frozen=True)
class Workspace:
    """Every port of one data set, made when it is first asked for.

    Attributes:
        contract: The data set.
        model: The name of its registered model.
        threads: Threads for queries and fits; they change no result.
        clock: Tells the time (UTC).
        make: What makes each port, by the name of the attribute or method below.
    """

    contract: DatasetContract
    model: str
    threads: int
    clock: Callable[[], dt.datetime]
    make: Mapping[str, Callable[..., Any]]

    tables = _Port[FeatureStore]()
    """The tables of the data set."""
    registry = _Port[ModelRegistry]()
    """The registry of models."""
    ledger = _Port[DecisionLedger]()
    """The record of decisions about the data set's models."""
    stages = _Port[StageMirror]()
    """What the dashboard shows of the versions of a model."""
    tracker = _Port[ExperimentTracker]()
    """The record of the run that is open."""
    files = _Port[Files]()
    """The files that are left for people and other programs."""
    windows = _Port[PredictionWindows]()
    """What is counted of the predictions of a window."""
    online = _Port[OnlineStore]()
    """The newest features of each customer, found by key."""
    prediction_log = _Port[PredictionLog]()
    """What the endpoint answered, until the table of predictions has it."""
    identity = _Port[str]()
    """Who acts. Raises ConfigError where nobody knows."""
    code_version = _Port[str]()
    """The commit of this project's code, or the version of the wheel that it was installed from."""
    alerts = _Port[Sequence[AlertChannel]]()
    """The channels that every alert goes to."""
    studies = _Port[Studies]()
    """Where tuning studies are kept."""

    def record(self, run_id: str) -> ExperimentTracker:
        """Return the record of a run that has ended or is somebody else's."""
        made: ExperimentTracker = self.made("tracker", run_id)
        return made

    def delivered(self, data: Path) -> Delivery:
        """Return a table that a user delivers."""
        made: Delivery = self.made("source", data)
        return made

    def package(self, scorer: Scorer, folder: Path, **described: Any) -> tuple[Path, str]:
        """Return the scorer packaged for the registry in `folder`, and the digest of what it does."""
        made: tuple[Path, str] = self.made("package", scorer, folder, **described)
        return made

    def verify(self, version: ModelVersion, into: Path) -> None:
        """Fetch a version below `into` and check every file against its registered digest; nothing is executed.

        Raises:
            ModelError: it carries no digest, or is not what was registered.
            StoreError: the registry does not answer, or the files are gone.
        """
        self.made("verify", version, into)

    def load(self, version: ModelVersion, into: Path) -> Any:
        """Return a registered version, fetched below `into`, checked against its registered digest, and loaded."""
        return self.made("load", version, into)

    def candidate(self, version: ModelVersion, into: Path) -> JudgedVersion:
        """Return a registered version as the gate examines it; raises as `load` does."""
        loaded = self.load(version, into)
        return JudgedVersion(
            version,
            loaded.metadata,
            loaded.inputs,
            loaded.card,
            loaded.size,
            loaded.score,
            loaded.thresholds,
            loaded.model_folder,
        )

    def engine(self, engine: str, scorer: Any, *, rows: int) -> BatchEngine:
        """Return what scores a batch of about `rows` customers; raises ConfigError where it cannot run here."""
        made: BatchEngine = self.made("engine", engine, scorer, rows=rows)
        return made

    def endpoint(self, options: ServeOptions) -> EndpointHost:
        """Return what runs the endpoint, and would start it like that."""
        made: EndpointHost = self.made("endpoint", options)
        return made

    def approval(self, settings: ApprovalSettings, model: str | None = None) -> ApprovalContext:
        """Return everything that decisions about a model need; the data set's own model if none is named.

        Raises:
            ConfigError: the model is one of another data set, whose ledger is not here.
        """
        if model is not None and model != self.model:
            owners = {version.tags.get("dataset", self.contract.name) for version in self.registry.versions(model)}
            if others := sorted(owners - {self.contract.name}):
                raise ConfigError(
                    f"The model {model!r} belongs to the data set {others[0]!r}, and this command acts on "
                    f"{self.contract.name!r}: name its contract with --dataset {others[0]} in place of --model."
                )
        name = model or self.model
        return ApprovalContext(self.registry, self.ledger, self.stages, name, settings, self.clock, self.verify)

    def made(self, port: str, *arguments: Any, **options: Any) -> Any:
        """Return what `make` makes under this name; raises ConfigError where the profile has no adapter for it."""
        if port not in self.make:
            raise ConfigError(f"This workspace has no {port}: connect it with a profile that has adapters for it.")
        return self.make[port](*arguments, **options)
