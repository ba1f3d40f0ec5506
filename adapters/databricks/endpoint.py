"""The endpoint on Model Serving: one a data set, updated in place to the versions that answer."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from churn.core.errors import ConfigError, NotFound, StoreError
from churn.core.progress import advance
from churn.ports.endpoint import EndpointAnswer, EndpointHost, EndpointState
from churn.ports.registry import CHALLENGER, CHAMPION
from churn.profile import DatabricksSettings, ModelServingSettings, Profile
from churn.settings import Settings

from .lakebase import check_endpoint
from .prediction_log import LOG_TAG, arrange_log, log_of
from .served_model import EXPLAIN, WHAT_IF
from .serving_state import CHAMPION_ENTITY as _CHAMPION
from .serving_state import failed_entities, holds, progress, state_of
from .workspace import MANAGED_BY, PROJECT, explained, tags_of

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.serving import ServedEntityInput, ServingEndpointDetailed, TrafficConfig

__all__ = ["ModelServingEndpoint", "OnTrial", "check_release", "endpoint_name"]

_BUSY, _LONGEST = "RESOURCE_CONFLICT", 63


class OnTrial(NamedTuple):
    """A version that is rolled out, and the share of the requests that it answers, 0 to 1; 0 in shadow."""

    version: int
    share: float


def endpoint_name(settings: DatabricksSettings, dataset: str) -> str:
    """Return the name of a data set's endpoint; raises ConfigError where it is longer than Model Serving takes."""
    template = (settings.serving or ModelServingSettings()).endpoint
    name = template.replace("{project}", settings.project).replace("{dataset}", dataset)
    if len(name) > _LONGEST:
        raise ConfigError(
            f"The endpoint's name {name} has {len(name)} characters, and Model Serving takes {_LONGEST}: set a shorter "
            "profile.databricks.serving.endpoint."
        )
    return name


def check_release(client: WorkspaceClient, profile: Profile, settings: Settings, dataset: str) -> None:
    """Look whether a release finds what it publishes to, before a version is promoted.

    Raises:
        ConfigError: no endpoint can be called as the settings say.
        NotFound: the Lakebase endpoint is not there.
        StoreError: the workspace refuses or does not answer.
    """
    if settings.serving.deploy == "never":
        return
    endpoint_name(profile.workspace, dataset)
    if profile.online.store == "lakebase":
        check_endpoint(client, profile.online.address, profile.name)


class ModelServingEndpoint(EndpointHost):
    """One endpoint a data set, with a served entity for each alias: `champion`, and `challenger` while one is on trial.

    It does not follow the ledger: `ensure` brings versions and shares there. A share is one of requests, not of
    customers. A version in shadow is loaded and gets no traffic: the platform sends it no copies.
    """

    follows_ledger = False

    def __init__(
        self,
        client: Callable[[], WorkspaceClient],
        settings: DatabricksSettings,
        dataset: str,
        model: str,
        *,
        schema: str,
        environment: Callable[[int, str, bool], Mapping[str, str]],
        on_trial: Callable[[], OnTrial | None],
    ) -> None:
        """Ask nobody yet.

        Args:
            client: Makes the client.
            settings: The workspace, with `serving`.
            dataset: Whose endpoint it is.
            model: The full name of the registered model, `catalog.schema.name`.
            schema: `catalog.schema` of the tables that the platform logs requests to.
            environment: Environment variables of what serves a version under an alias, and whether it logs requests.
            on_trial: The version that is rolled out by the ledger.
        """
        self._make_client, self._settings = client, settings
        self._serving = settings.serving or ModelServingSettings()
        self._dataset, self._model = dataset, model
        self._schema, self._environment, self._on_trial = schema, environment, on_trial
        self._made: WorkspaceClient | None = None
        self.name = endpoint_name(settings, dataset)

    def state(self) -> EndpointState | None:
        """Return what the workspace says, whether it is ready apart from whether its configuration changes."""
        endpoint = self._found()
        return None if endpoint is None else self._state(endpoint)

    def ensure(self, version: int, *, within: float) -> EndpointState:
        """Create the endpoint or change its configuration, and wait until it is ready and changes no more.

        An update that is under way is waited for first: the workspace takes one at a time. Building what serves a
        version takes minutes, so `profile.databricks.serving.update_seconds` counts where it is longer than `within`.
        """
        deadline = time.monotonic() + max(within, self._serving.update_seconds)
        self._wait_for_model(version, deadline)
        trial, endpoint = self._on_trial(), self._found()
        log = log_of(endpoint, self._serving.log)
        endpoint = self._changed(version, trial, endpoint, deadline, logs=log == "own")
        self._dress(endpoint)
        if log is None:
            log = arrange_log(self._client, self.name, self._schema, self._serving.log)
            self._tag(**{LOG_TAG: log})
            if log == "own":  # which only what serves a version can do
                endpoint = self._changed(version, trial, endpoint, deadline, logs=True)
        return self._state(endpoint)

    def _changed(
        self,
        version: int,
        trial: OnTrial | None,
        endpoint: ServingEndpointDetailed | None,
        deadline: float,
        *,
        logs: bool,
    ) -> ServingEndpointDetailed:
        """Create or change the endpoint, and return it once it answers with its new configuration."""
        entities, traffic = self._config(version, trial, logs=logs)
        if endpoint is None:
            self._create(entities, traffic)
        else:
            self._check_owner(endpoint)
            endpoint = self._settled(version, deadline)
            if not holds(endpoint, entities, traffic):
                self._update(entities, traffic, version, deadline)
        endpoint = self._settled(version, deadline)
        while not holds(endpoint, entities, traffic):
            if self._state(endpoint).update == "failed":
                raise StoreError(self._why_not(version, endpoint))
            self._pause(deadline, "; ".join(progress(endpoint)) or "the servers start", version)
            endpoint = self._settled(version, deadline)
        return endpoint

    def query(self, rows: Sequence[Mapping[str, object]], *, explain: bool = False) -> EndpointAnswer:
        """Ask by `serving_endpoints.query`; the id of the request says in inference tables that it is a test."""
        if self._found() is None:
            raise StoreError(f"No endpoint of {self._dataset!r} runs: start it by `python run.py serve`.")
        asked = [{**row, EXPLAIN: explain, WHAT_IF: True} for row in rows]
        from databricks.sdk.errors import BadRequest

        try:
            with explained(f"score at the endpoint {self.name}"):
                answer = self._client.serving_endpoints.query(
                    self.name, dataframe_records=asked, client_request_id=f"what_if-{uuid.uuid4()}"
                )
        except StoreError as error:
            if isinstance(error.__cause__, BadRequest):
                raise StoreError(f"The endpoint answers 400: {error.__cause__}") from error
            raise
        said = answer.predictions or []
        return EndpointAnswer([int(row["model_version"]) for row in said], said)

    def stop(self, *, within: float) -> bool:
        """Delete the endpoint; its permissions go with it, and its inference tables stay."""
        endpoint = self._found()
        if endpoint is None:
            return False
        self._check_owner(endpoint)
        try:
            with explained(f"delete the endpoint {self.name}"):
                self._client.serving_endpoints.delete(self.name)
        except NotFound:
            pass  # the answer to a first request was lost
        return True

    def logs(self, lines: int, *, follow: bool = False) -> Iterator[str]:
        """Yield from what the champion's servers wrote; the logs of a deleted endpoint are gone with it."""
        seen: list[str] = []
        while self._found() is not None:
            with explained(f"read the log of the endpoint {self.name}"):
                text = self._client.serving_endpoints.logs(self.name, _CHAMPION).logs
            now = text.splitlines()
            yield from (now[-lines:] if lines else []) if not seen else now[len(seen) :]
            if not follow:
                return
            seen = now
            time.sleep(self._serving.poll_seconds)
        if not seen:
            raise NotFound(
                f"No endpoint of {self._dataset!r} runs, and Model Serving keeps no log of one that is gone."
            )

    @property
    def _client(self) -> WorkspaceClient:
        if self._made is None:
            self._made = self._make_client()
        return self._made

    @property
    def _page(self) -> str:
        return f"{self._client.config.host}/ml/endpoints/{self.name}"

    def _state(self, endpoint: ServingEndpointDetailed) -> EndpointState:
        return state_of(endpoint, self.name, f"{self._client.config.host}/serving-endpoints/{self.name}", self._page)

    def _found(self) -> ServingEndpointDetailed | None:
        try:
            with explained(f"look at the endpoint {self.name}"):
                return self._client.serving_endpoints.get(self.name)
        except NotFound:
            return None

    def _check_owner(self, endpoint: ServingEndpointDetailed) -> None:
        tags = {tag.key: tag.value for tag in endpoint.tags or ()}
        if (tags.get(MANAGED_BY), tags.get(PROJECT)) != ("churn", self._settings.project):
            raise StoreError(
                f"The endpoint {self.name} ({self._page}) was not made by this project, as its tags say: choose "
                "another name by `profile.databricks.serving.endpoint`, or delete it yourself."
            )

    def _config(
        self, version: int, trial: OnTrial | None, *, logs: bool = False
    ) -> tuple[list[ServedEntityInput], TrafficConfig]:
        from databricks.sdk.service.serving import Route, ServedEntityInput, TrafficConfig

        served = {CHAMPION: version} | ({} if trial is None else {CHALLENGER: trial.version})
        entities = [
            ServedEntityInput(
                name=alias.lower(),
                entity_name=self._model,
                entity_version=str(number),
                workload_size=self._serving.workload_size,
                scale_to_zero_enabled=self._serving.scale_to_zero,
                environment_vars=dict(self._environment(number, alias, logs)),
            )
            for alias, number in served.items()
        ]
        percent = 0 if trial is None else round(100 * trial.share)
        shares = {CHAMPION: 100 - percent, CHALLENGER: percent}
        routes = [Route(served_model_name=alias.lower(), traffic_percentage=shares[alias]) for alias in served]
        return entities, TrafficConfig(routes=routes)

    def _create(self, entities: list[ServedEntityInput], traffic: TrafficConfig) -> None:
        from databricks.sdk.errors import AlreadyExists, ResourceAlreadyExists
        from databricks.sdk.service.serving import EndpointCoreConfigInput, EndpointTag

        try:
            with explained(f"create the endpoint {self.name}"):
                self._client.serving_endpoints.create(
                    self.name,
                    config=EndpointCoreConfigInput(name=self.name, served_entities=entities, traffic_config=traffic),
                    tags=[EndpointTag(key, value) for key, value in self._tags.items()],
                )
        except StoreError as error:
            # The answer to a first request was lost, and the SDK asked again.
            if not isinstance(error.__cause__, AlreadyExists | ResourceAlreadyExists):
                raise

    def _update(self, entities: list[ServedEntityInput], traffic: TrafficConfig, version: int, deadline: float) -> None:
        """Change the configuration; where somebody else was faster, after their update."""
        while True:
            try:
                with explained(f"change the endpoint {self.name} to version {version}"):
                    self._client.serving_endpoints.update_config(
                        self.name, served_entities=entities, traffic_config=traffic
                    )
                return
            except StoreError as error:
                if getattr(error.__cause__, "error_code", None) != _BUSY:
                    raise
                endpoint = self._settled(version, deadline)
                if holds(endpoint, entities, traffic):
                    return

    def _wait_for_model(self, version: int, deadline: float) -> None:
        """Wait until the registry has the files of a version: one that is not READY cannot be served."""
        from databricks.sdk.service.catalog import ModelVersionInfoStatus as Status

        while True:
            with explained(f"look at version {version} of {self._model}"):
                status = self._client.model_versions.get(self._model, version).status
            if status in (Status.READY, None):
                return
            if status != Status.PENDING_REGISTRATION:
                raise StoreError(
                    f"Version {version} of {self._model} is {status.value}, and cannot be served: register it again by "
                    "`python run.py --pipeline training`."
                )
            self._pause(deadline, f"version {version} of {self._model} is still {status.value}", version)

    def _settled(self, version: int, deadline: float) -> ServingEndpointDetailed:
        """Return the endpoint once no update is under way; a first one that cannot start has failed."""
        from databricks.sdk.service.serving import EndpointStateConfigUpdate as Update

        while True:
            endpoint = self._found()
            if endpoint is None:
                raise StoreError(f"The endpoint {self.name} was deleted meanwhile: type the command again.")
            state = endpoint.state
            if state is None or state.config_update != Update.IN_PROGRESS:
                return endpoint
            self._pause(deadline, "; ".join(progress(endpoint)) or "the workspace prepares it", version)

    def _pause(self, deadline: float, doing: str, version: int) -> None:
        advance("serve", 0, 0, f"{self.name}: {doing}")
        if time.monotonic() > deadline:
            raise StoreError(
                f"The endpoint {self.name} does not answer with version {version} after "
                f"{self._serving.update_seconds:g} seconds (`profile.databricks.serving.update_seconds`): {doing}. "
                f"The update goes on: look at {self._page}, and type the command again, which waits on."
            )
        time.sleep(self._serving.poll_seconds)

    def _why_not(self, version: int, endpoint: ServingEndpointDetailed) -> str:
        """Return why an update failed: what the workspace says of each entity, and the end of its build log."""
        failed, state = failed_entities(endpoint), self._state(endpoint)
        reasons = dict.fromkeys(entity.state.deployment_state_message for entity in failed)
        why = " ".join(filter(None, reasons)) or "the workspace does not say why."
        answers = f"version {state.version} goes on answering" if state.ready else "no version answers"
        log = self._build_log(next((entity.name for entity in failed if entity.name), _CHAMPION))
        return f"The endpoint cannot change to version {version}: {why}{log} Build logs: {self._page}; {answers}."

    def _build_log(self, entity: str) -> str:
        try:
            with explained("read the build log"):
                said = self._client.serving_endpoints.build_logs(self.name, entity).logs.strip().splitlines()
        except StoreError:
            return ""
        return f" The build ended with: {said[-1]!r}." if said else ""

    def _dress(self, endpoint: ServingEndpointDetailed) -> None:
        """See to tags and permissions, which are not part of the configuration; permissions go by the endpoint's id."""
        from databricks.sdk.service.serving import ServingEndpointAccessControlRequest, ServingEndpointPermissionLevel

        tags = {tag.key: tag.value for tag in endpoint.tags or ()}
        if lacking := {key: value for key, value in self._tags.items() if tags.get(key) != value}:
            self._tag(**lacking)
        if self._serving.can_query and endpoint.id:
            level = ServingEndpointPermissionLevel.CAN_QUERY.value
            grants = [
                ServingEndpointAccessControlRequest.from_dict({**_who(name), "permission_level": level})
                for name in self._serving.can_query
            ]
            with explained(f"let {', '.join(self._serving.can_query)} query the endpoint {self.name}"):
                self._client.serving_endpoints.update_permissions(endpoint.id, access_control_list=grants)

    def _tag(self, **tags: str) -> None:
        from databricks.sdk.service.serving import EndpointTag

        with explained(f"tag the endpoint {self.name}"):
            added = [EndpointTag(key, value) for key, value in tags.items()]
            self._client.serving_endpoints.patch(self.name, add_tags=added)

    @property
    def _tags(self) -> dict[str, str]:
        return tags_of(self._settings, churn_dataset=self._dataset)


def _who(name: str) -> dict[str, str]:
    """Return whom a name means, as the API says it: `group:NAME`, `service_principal:ID`, else a user."""
    kind, _, named = name.rpartition(":")
    return {f"{kind or 'user'}_name": named}
