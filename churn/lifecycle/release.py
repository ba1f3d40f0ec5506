"""Releases a promoted version: features online, endpoint updated, smoke test; reverted where one of these fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from ..approval.promote import record_deployed, take_back
from ..core.errors import ChurnError, DeploymentFailed, StoreError
from ..core.frozen import Frozen
from ..core.progress import advance, conclude, note
from ..ports.endpoint import EndpointAnswer, EndpointHost
from ..scoring.rows import score_batch
from ..settings import Settings
from .deployment import Deployment
from .endpoint import Endpoint
from .registration import describe_model
from .serve_options import ServeOptions
from .serving import Parity, active_customers, publish_features
from .workspace import Workspace

__all__ = ["Release", "follow_ledger", "release_version"]

_TOLERANCE = 1e-6
_STAGE = "release"
Ask = Callable[[Sequence[Mapping[str, object]]], EndpointAnswer]


class Release(Frozen):
    """What followed a promotion."""

    deployment: Deployment = Field(description="What is live now, after a failure as well.")
    state: Literal["verified", "failed", "skipped"]
    sentence: str = ""
    address: str | None = Field(default=None, description="The endpoint that answers; None where none runs.")
    online: int = Field(default=0, description="Customers in the online store.")
    compared: int = Field(default=0, description="Customers whose features were compared with the feature table.")
    scored: int = Field(default=0, description="Customers whose score was compared with that of a batch.")
    failed_at: str | None = Field(default=None, description="What failed, such as `parity check`.")

    def require(self) -> None:
        """Raise DeploymentFailed where it failed."""
        if self.state == "failed":
            raise DeploymentFailed(self.sentence, evidence=self)


def release_version(workspace: Workspace, settings: Settings, deployment: Deployment) -> Release:
    """Publish features, compare them, let the endpoint answer with the version, and compare scores of real customers.

    Where no endpoint runs, the scores are those that it would give, from the same code in this process
    (`serving.deploy`). The ledger records success. Where a part fails for a version that this run promoted, the version
    before it is live again, the endpoint goes back to it, and the ledger says why. A version that was live before this
    run stays.

    Args:
        workspace: The data set.
        settings: `serving` says what is done, and with how many customers.
        deployment: What the promotion came to; where the version is not live, nothing is done.

    Raises:
        StoreError: what was live before could not be restored.
    """
    live = deployment.state in {"promoted", "unchanged"}
    if settings.serving.deploy == "never" or not live:
        return Release(deployment=deployment, state="skipped")
    attempt = _Attempt(workspace, settings, deployment)
    try:
        released = attempt.run()
    except Exception as error:  # noqa: BLE001 - whatever it is, what was live before is to be live again
        released = attempt.undone(error)
    if released.state == "failed":
        describe_model(workspace, released.sentence)
    conclude(_STAGE, released.sentence)
    return released


def follow_ledger(workspace: Workspace, settings: Settings) -> None:
    """Bring an endpoint that runs and does not follow the ledger by itself to the versions and shares that it has.

    Where no version is live any more the endpoint is ended.

    Raises:
        StoreError: it does not come to it; what was decided stands.
    """
    host = workspace.endpoint(ServeOptions(contract=workspace.contract, settings=settings))
    if host.follows_ledger:
        return
    try:
        if host.state() is not None:
            _let_answer(host, workspace, settings)
    except StoreError as error:
        raise StoreError(
            f"The decision is on record, and the endpoint does not answer by it yet: {error} `python run.py serve` "
            "brings it there."
        ) from error


def _let_answer(host: EndpointHost, workspace: Workspace, settings: Settings) -> None:
    live = workspace.approval(settings.approval).read().live
    if live is None:
        host.stop(within=settings.serving.update_seconds)
    else:
        host.ensure(live, within=settings.serving.update_seconds)


class _Attempt:
    """One release under way; `part` is what is being done."""

    def __init__(self, workspace: Workspace, settings: Settings, deployment: Deployment) -> None:
        self._workspace, self._settings, self._deployment = workspace, settings, deployment
        self._version, self._part = deployment.version, "publication"
        self._name = f"{deployment.model} version {deployment.version}"

    def run(self) -> Release:
        """Do all of it."""
        workspace, settings = self._workspace, self._settings
        advance(_STAGE, 0, 0, "publishes features")
        published = publish_features(workspace, settings)
        self._part = "update of the endpoint"
        advance(_STAGE, 0, 0, f"lets the endpoint answer with version {self._version}")
        endpoint = Endpoint(workspace, settings)
        endpoint.refresh()
        host, address, ask = self._host(), None, _in_process(endpoint)
        if settings.serving.deploy == "always" or host.state() is not None:
            address = host.ensure(self._version, within=settings.serving.update_seconds).address
            ask = host.query
        self._part = "smoke test"
        advance(_STAGE, 0, 0, "scores real customers")
        scored = self._compare(endpoint, ask)
        where = "without an endpoint, for none runs" if address is None else f"at {address}"
        sentence = (
            f"{published.parity.online:,} customers are online, and {scored:,} of them were scored as in a batch, "
            f"{where}."
        )
        self._record(sentence, {"online": published.parity.online, "scored": scored})
        if address is not None:
            self._show(address)
        return Release(
            deployment=self._deployment,
            state="verified",
            sentence=sentence,
            address=address,
            online=published.parity.online,
            compared=published.parity.compared,
            scored=scored,
        )

    def undone(self, error: Exception) -> Release:
        """Let the version that was live before be live again, in the endpoint too."""
        if isinstance(getattr(error, "evidence", None), Parity):
            self._part = "parity check"
        cause = str(error) if isinstance(error, ChurnError) else f"{type(error).__name__}: {error}"
        why = f"The {self._part} failed: {cause}"
        if self._deployment.state != "promoted":
            sentence = f"{self._name} was live before this run and stays so, but is not verified. {why}"
            return self._failed(self._deployment, sentence)
        context = self._workspace.approval(self._settings.approval)
        try:
            live = take_back(context, self._version, why=why)
        except ChurnError as second:
            raise StoreError(
                f"{self._name} was promoted. {why} What was live before could not be restored ({second}): "
                '`python run.py rollback --reason "…"` does so.'
            ) from error
        again = "no version is live, as before" if live is None else f"version {live} is live again"
        sentence = f"{self._name} was promoted and taken back: {again}. {why}{self._endpoint_back(live)}"
        outcome = self._deployment.model_copy(update={"champion": live, "state": "taken_back", "sentence": sentence})
        return self._failed(outcome, sentence)

    def _failed(self, outcome: Deployment, sentence: str) -> Release:
        return Release(deployment=outcome, state="failed", sentence=sentence, failed_at=self._part)

    def _endpoint_back(self, live: int | None) -> str:
        """Let an endpoint that runs answer with the version that is live, and return what does not work."""
        try:
            host = self._host()
            if live is None:
                host.stop(within=self._settings.serving.update_seconds)
            elif host.state() is not None:
                host.ensure(live, within=self._settings.serving.update_seconds)
        except ChurnError as error:
            return f" The endpoint is not back yet: {error}"
        return ""

    def _host(self) -> EndpointHost:
        return self._workspace.endpoint(ServeOptions(contract=self._workspace.contract, settings=self._settings))

    def _compare(self, endpoint: Endpoint, ask: Ask) -> int:
        """Ask for the scores of customers by their keys, compare each with that of a batch, and return how many."""
        if endpoint.served is None or endpoint.served.version != self._version:
            raise StoreError(f"The ledger names another version than {self._version} by now.")
        key = self._workspace.contract.entity_key
        rows = active_customers(self._workspace, self._settings, self._settings.serving.smoke_rows)
        batch = score_batch(endpoint.served.model, rows, entity=key, explain="none").rows
        customers = batch.column(key).to_pylist()
        answer = ask([{key: customer} for customer in customers])
        trial = endpoint.trial
        expected = zip(batch.column("probability").to_pylist(), batch.column("decision").to_pylist(), strict=True)
        answered = zip(answer.versions, answer.predictions, strict=True)
        compared = 0
        for customer, (probability, decision), (version, row) in zip(customers, expected, answered, strict=True):
            if trial is not None and version == trial.served.version:
                continue  # it answers some of the customers, and is judged by its rollout
            if version != self._version:
                raise StoreError(f"Version {version} answered, and version {self._version} is live.")
            compared += 1
            online = row.get("probability")
            if online is None or abs(online - probability) > _TOLERANCE or row["decision"] != decision:
                raise StoreError(
                    f"For customer {customer!r} the endpoint says {online} ({row['status']}, {row.get('decision')}), "
                    f"and a batch {probability} ({decision})."
                )
        return compared

    def _record(self, sentence: str, numbers: Mapping[str, float]) -> None:
        context = self._workspace.approval(self._settings.approval)
        records = context.read().records_of(self._version)
        changed = [record.kind for record in records if record.kind in {"promoted", "rolled_back", "deployed"}]
        if changed[-1:] != ["deployed"]:
            record_deployed(context, self._version, who=self._workspace.identity, why=sentence, numbers=numbers)

    def _show(self, address: str) -> None:
        try:
            self._workspace.stages.show_endpoint(self._deployment.model, self._version, address)
        except StoreError as error:
            note(_STAGE, str(error))


def _in_process(endpoint: Endpoint) -> Ask:
    def ask(rows: Sequence[Mapping[str, object]]) -> EndpointAnswer:
        answers = endpoint.answer(rows, explain=False)
        predictions = [
            {"status": row.status, **({} if row.score is None else row.score._asdict())} for row in answers.rows
        ]
        return EndpointAnswer([answers.by(number).version for number in range(len(predictions))], predictions)

    return ask
