"""The profile of a machine or cloud: its stack, addresses and resources, and no domain value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from .core.errors import ConfigError
from .core.frozen import Frozen
from .data.contract import DatasetContract
from .monitoring.settings import AlertSettings

__all__ = [
    "Component",
    "ComponentKind",
    "DatabricksSettings",
    "JobSettings",
    "MlflowSettings",
    "ModelServingSettings",
    "MonitorSettings",
    "OnlineSettings",
    "Profile",
    "Resources",
    "with_text_replaced",
]

ComponentKind = Literal["orchestrator", "artifact_store", "experiment_tracker", "model_registry", "alerter"]


class Component(Frozen):
    """One ZenML stack component: its flavor and the flavor's own settings."""

    flavor: str
    settings: dict[str, Any] = Field(default_factory=dict)


_STORES = {"databricks", "databricks-uc", "file", "http", "https", "mssql", "mysql", "postgresql", "sqlite"}
"""Of which kinds the address of a store of MLflow may be."""


class MlflowSettings(Frozen):
    """Where MLflow keeps runs, registered models and files."""

    tracking_uri: str = Field(description="Where the runs are: a database, a server, or `databricks`.")
    registry_uri: str = Field(description="Where the registered models are, in the same way.")
    artifacts: str | None = Field(description="Folder or URI for the files of runs; null: where the server keeps them.")

    @field_validator("tracking_uri", "registry_uri")
    @classmethod
    def _is_a_store(cls, value: str) -> str:
        scheme = re.split("[+:]", value)[0] if "://" in value else ""
        if scheme and scheme not in _STORES:
            raise ValueError(f"{scheme}:// is no store of MLflow; these are: {', '.join(sorted(_STORES))}")
        if value.startswith(("databricks://", "databricks-uc://")):
            raise ValueError(
                f"write {value.partition(':')[0]!r} alone, and the profile of ~/.databrickscfg in "
                "`profile.databricks.config_profile`"
            )
        return value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.registry_uri.startswith("databricks-uc") and not self.tracking_uri.startswith("databricks"):
            raise ValueError(
                "a registry in Unity Catalog (`databricks-uc`) needs runs on Databricks, since MLflow cannot register "
                "a model from a local run there: set `tracking_uri: databricks`"
            )
        return self


_SECRET = re.compile(r"password|token|secret|credential|api_?key|access_key", re.IGNORECASE)
"""How keys are called that hold a secret."""


def _texts(value: Any, place: str = "", key: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield each text below a value with its dotted place and its last key."""
    if isinstance(value, str):
        yield place, key, value
    elif isinstance(value, Mapping):
        for name, below in value.items():
            yield from _texts(below, f"{place}.{name}".lstrip("."), name)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _texts(item, f"{place}.{number}", key)


_NAME = r"[A-Za-z0-9_-]+"
"""A name in Unity Catalog that needs no quotes, or in a tag."""


class JobSettings(Frozen):
    """How the jobs of pipelines run: on serverless compute, or on a cluster of their own."""

    environment_version: str = Field(
        default="4", pattern=r"^\d+$", description="Serverless environment version; 3 and later have Python 3.12."
    )
    cluster: dict[str, Any] | None = Field(
        default=None,
        description="A job cluster instead of serverless compute, as `new_cluster` of the Jobs API takes it.",
    )
    run_as: str | None = Field(
        default=None, description="Application id of the service principal that jobs run as; null: whoever makes them."
    )
    secret_scope: str = Field(
        default="churn", pattern=r"^[\w.@-]{1,128}$", description="Secret scope with what a job needs to reach ZenML."
    )
    timeout_seconds: int = Field(default=14_400, ge=60, description="A run that takes longer is ended.")
    notify: tuple[str, ...] = Field(
        default=(), description="Addresses that get a mail about a failed run, such as one that waits for approval."
    )
    poll_seconds: float = Field(default=5, gt=0, le=600, description="How often a run is asked how far it is.")


class ModelServingSettings(Frozen):
    """The endpoint on Model Serving."""

    endpoint: str = Field(
        default="{project}-{dataset}",
        pattern=r"^(?:[A-Za-z0-9_-]|\{project\}|\{dataset\})+$",
        description="Name of a data set's endpoint; `{project}` and `{dataset}` stand for their names.",
    )
    workload_size: Literal["Small", "Medium", "Large"] = Field(
        default="Small", description="Requests at a time: 4, 8 to 16, or 16 to 64."
    )
    scale_to_zero: bool = Field(
        default=True, description="Whether servers end while nobody asks; the first request then waits for one."
    )
    can_query: tuple[Annotated[str, Field(pattern=r"^(?:(?:user|group|service_principal):)?[^:]+$")], ...] = Field(
        default=(), description="Who may ask beside the owner: a user, `group:NAME` or `service_principal:ID`."
    )
    log: Literal["auto", "telemetry", "ai_gateway", "own"] = Field(
        default="auto",
        description="Who logs requests: telemetry tables, an inference table of the AI gateway, or what serves a "
        "version; auto: the first of them that the workspace has.",
    )
    update_seconds: float = Field(
        default=1800, gt=0, description="How long a change is waited for; building what serves a version takes minutes."
    )
    poll_seconds: float = Field(default=5, gt=0, le=600, description="How often the endpoint is asked how it does.")


class MonitorSettings(Frozen):
    """The platform's own monitor of predictions, and the SQL alert on our drift figures."""

    schedule: str = Field(default="0 6 * * *", description="When it is refreshed, in UTC: cron of five fields.")
    slices: tuple[str, ...] = Field(default=("source",), description="Columns or SQL conditions to slice by.")
    warehouse_id: str | None = Field(
        default=None, description="The SQL warehouse of the dashboard and of the alert; null: no alert."
    )
    notify: tuple[str, ...] = Field(default=(), description="Mail addresses that receive the alert and failures.")
    psi: float = Field(default=0.2, gt=0, description="Population stability index above which the alert is raised.")


class PublishTableSettings(Frozen):
    """The feature table in an online store of Databricks', beside the rows that the endpoint reads."""

    online_store: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$", description="The online feature store; no underscore.")
    mode: Literal["SNAPSHOT", "TRIGGERED", "CONTINUOUS"] = Field(
        default="TRIGGERED", description="Whether all rows are copied, the changes of a publication, or each at once."
    )


class DatabricksSettings(Frozen):
    """A Databricks workspace, and where in its Unity Catalog the project works; credentials stand elsewhere."""

    host: str | None = Field(
        default=None, description="Address of the workspace; null: DATABRICKS_HOST, or what `config_profile` says."
    )
    config_profile: str | None = Field(
        default=None, description="A profile of ~/.databrickscfg; null: what the SDK finds by itself."
    )
    catalog: str = Field(default="main", pattern=f"^{_NAME}$", description="The catalog of everything.")
    schema_name: str = Field(
        default="{dataset}",
        pattern=r"^(?:[A-Za-z0-9_-]|\{dataset\})+$",
        description="The schema of a data set's tables and model; `{dataset}` stands for the data set's name.",
    )
    volume: str = Field(
        default="churn.files",
        pattern=rf"^{_NAME}\.{_NAME}$",
        description="Schema and name of the volume for files and artifacts, of all data sets.",
    )
    folder: str = Field(
        default="/Shared/churn", pattern="^/.+[^/]$", description="Workspace folder of MLflow's experiments."
    )
    project: str = Field(
        default="churn",
        pattern=f"^{_NAME}$",
        description="Id of the project, in the tag `churn_project` by which what it made is found again.",
    )
    http_timeout_seconds: int = Field(default=30, ge=1, le=600, description="How long one answer may take.")
    retry_timeout_seconds: int = Field(
        default=25, ge=1, le=600, description="How long a request is tried again where the workspace does not answer."
    )
    readers: tuple[str, ...] = Field(
        default=(), description="Groups and users who may read tables and files and load the model."
    )
    approvers: tuple[str, ...] = Field(
        default=(), description="Those who may also set the tags of a version, by which it is approved."
    )
    jobs: JobSettings | None = Field(default=None, description="The jobs of pipelines; null where none run there.")
    publish_table: PublishTableSettings | None = Field(
        default=None, description="An online store of Databricks' that gets the feature table too; null: none."
    )
    monitor: MonitorSettings | None = Field(
        default=None, description="The platform's own monitor of predictions; null where there is none."
    )
    serving: ModelServingSettings | None = Field(
        default=None, description="The endpoint on Model Serving; null where this project's server runs here."
    )

    def schema_of(self, contract: DatasetContract) -> str:
        """Return `catalog.schema` of a data set."""
        return f"{self.catalog}.{self.schema_name.replace('{dataset}', contract.name)}"

    @property
    def volume_path(self) -> str:
        """The absolute path of the volume, as the Files API takes it."""
        return f"/Volumes/{self.catalog}/{self.volume.replace('.', '/')}"


class OnlineSettings(Frozen):
    """Where the newest features of each customer are found by key."""

    store: Literal["sqlite", "postgresql", "lakebase"] = Field(default="sqlite", description="Which online store.")
    address: str = Field(
        default="{state}/online",
        description="A folder for SQLite; `postgresql://user@host:5432/database` for PostgreSQL, without a password; "
        "`projects/NAME/branches/NAME/endpoints/NAME` for Lakebase.",
    )
    password_variable: str = Field(
        default="CHURN_ONLINE_PASSWORD",
        description="The environment variable that holds the password; read again for each new connection.",
    )

    @model_validator(mode="after")
    def _names_an_endpoint_of_lakebase(self) -> Self:
        if self.store == "lakebase" and not re.fullmatch(
            r"projects/[^/]+/branches/[^/]+/endpoints/[^/]+", self.address
        ):
            shown = re.sub(r"//[^/@]*@", "//…@", self.address)
            raise ValueError(
                f"`address` is {shown!r}, and an endpoint of Lakebase is named as in projects/churn/branches/"
                "production/endpoints/primary; for a server of PostgreSQL set `store: postgresql`"
            )
        return self


class StudySettings(Frozen):
    """Where the studies of the tuning are, which a run that was killed goes on with."""

    address: str | None = Field(
        default=None,
        description="`postgresql://user@host:5432/database`, without a password, for runs on several machines; null: a "
        "file in the state folder.",
    )
    password_variable: str = Field(
        default="CHURN_STUDIES_PASSWORD",
        description="The environment variable that holds the password; read again for each new connection.",
    )


class Resources(Frozen):
    """What a run may use of the machine."""

    threads: int = Field(default=2, ge=1, description="Threads for queries and for fitting folds side by side.")
    memory_limit: str = Field(default="1GB", pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$", description="For queries.")
    spark_from: int = Field(
        default=50_000_000, ge=0, description="Rows from which `--engine auto` starts Spark, where it can run."
    )


class Profile(Frozen):
    """One machine or cloud: stack, URIs, resources, and nothing else. `{state}` stands for the state folder."""

    name: str = Field(description="What the profile is called.")
    adapters: Literal["local", "hybrid", "databricks"] = Field(description="Which adapters serve the ports.")
    state: Path = Field(description="Folder for everything a run leaves; relative to the checkout, if there is one.")
    stack: dict[ComponentKind, Component] = Field(description="The components of the ZenML stack, by kind.")
    mlflow: MlflowSettings
    online: OnlineSettings = OnlineSettings()
    studies: StudySettings = StudySettings()
    alerts: AlertSettings = AlertSettings()
    databricks: DatabricksSettings | None = Field(
        default=None, description="The workspace of the profiles `databricks` and `hybrid`; null: none."
    )
    resources: Resources = Resources()
    shared: bool = Field(
        default=False,
        description="Whether files are made as the user's own umask says; otherwise nobody else may read them.",
    )

    @model_validator(mode="after")
    def _has_one_tracking_address(self) -> Self:
        tracker = self.stack.get("experiment_tracker")
        if tracker is not None and "tracking_uri" in tracker.settings:
            raise ValueError(
                "the address of MLflow is `profile.mlflow.tracking_uri` alone: take it out of "
                "`profile.stack.experiment_tracker.settings`"
            )
        return self

    @model_validator(mode="after")
    def _holds_no_secret(self) -> Self:
        """Refuse what would be stored with every run: stacks, processes and jobs carry the profile."""
        for place, key, value in _texts(self.model_dump(mode="json")):
            if re.search(r"://[^/@]*:[^/@]+@", value):
                raise ValueError(
                    f"`profile.{place}` holds a password: take it out, and set MLFLOW_TRACKING_USERNAME and "
                    "MLFLOW_TRACKING_PASSWORD for a server, PGPASSWORD or ~/.pgpass for a database"
                )
            if place.startswith("stack.") and _SECRET.search(key) and not value.startswith("{{"):
                raise ValueError(
                    f"`profile.{place}` is written in clear: store it with `zenml secret create NAME --{key}=…` and "
                    f"write `{{{{NAME.{key}}}}}` here"
                )
        return self

    @model_validator(mode="after")
    def _knows_its_workspace(self) -> Self:
        if self.databricks is None and (self.adapters != "local" or self.mlflow.tracking_uri.startswith("databricks")):
            raise ValueError(
                "a profile that works on Databricks needs a section `databricks` with at least a `catalog`: take "
                "configs/databricks.yaml as an example"
            )
        return self

    @property
    def workspace(self) -> DatabricksSettings:
        """The workspace of a profile that has one.

        Raises:
            ConfigError: the profile has none.
        """
        if self.databricks is None:
            raise ConfigError(f"The stack {self.name!r} has no Databricks workspace: choose another with --stack.")
        return self.databricks

    def check_online_store(self) -> None:
        """Look whether the online store outlives the job that publishes to it.

        Raises:
            ConfigError: steps run in jobs, and the store is a file, which would end with the task.
        """
        if self.adapters == "databricks" and self.online.store == "sqlite":
            raise ConfigError(
                "profile.online.store is sqlite, a file: in a Databricks job it ends with the task that publishes to "
                "it, and Model Serving cannot reach it. Set profile.online.store to lakebase, which `python run.py "
                "stack setup` makes, or to postgresql, with profile.online.address; or, where nobody asks for scores "
                "one by one, set serving.deploy to never: a release then publishes nothing."
            )

    def moved(self, state: Path) -> Self:
        """Return the same machine with everything below another state folder."""
        text = self.model_dump(mode="json")
        moved: Self = type(self).model_validate(with_text_replaced(text, str(self.state), str(state)))
        return moved

    @property
    def tables(self) -> Path:
        """The folder of the tables."""
        return self.state / "tables"

    @property
    def studies_file(self) -> Path:
        """The database of the tuning studies, where no other is named."""
        return self.state / "studies" / "studies.db"

    @property
    def files(self) -> Path:
        """The folder of what a run leaves for people: of the volume where the files are there."""
        return Path(self.workspace.volume_path) if self.adapters == "databricks" else self.state

    @property
    def campaigns(self) -> Path:
        """The folder of the campaigns' lists."""
        return self.files / "campaigns"

    @property
    def reports(self) -> Path:
        """The folder of the self-contained reports."""
        return self.files / "reports"

    def report_of(self, run: str) -> Path:
        """Return the file with the report of a pipeline run."""
        return self.reports / f"{run}.html"


def with_text_replaced(value: Any, old: str, new: str) -> Any:
    """Replace `old` by `new` in every text of a nested value."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, Mapping):
        return {key: with_text_replaced(item, old, new) for key, item in value.items()}
    return value
