"""ZenML through its client: the folder and the store, the profile's stack, the stages of model versions.

Folder and store are read without importing ZenML and without creating anything. The stack is registered on first use,
beside whatever stacks the user has.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from filelock import FileLock

from churn.core.errors import StoreError
from churn.ports.stages import StageMirror
from churn.profile import Component, ComponentKind, Profile

if TYPE_CHECKING:
    from zenml.client import Client
    from zenml.models import ModelVersionResponse

__all__ = [
    "ZenmlStageMirror",
    "check_client",
    "client_settings",
    "component_settings",
    "config_folder",
    "ensure_stack",
    "fail_killed_runs",
    "stack_alerter",
    "stack_name",
    "store_url",
]

_FLAVORS = {
    "churn_databricks": "adapters.databricks.zenml_orchestrator.ChurnDatabricksOrchestratorFlavor",
    "databricks_mlflow": "adapters.databricks.zenml_tracker.DatabricksTrackerFlavor",
    "volumes": "adapters.databricks.artifact_store.VolumeArtifactStoreFlavor",
}
"""Where the flavors of this project's own are."""


def config_folder() -> Path:
    """Return the folder of ZenML's configuration: `ZENML_CONFIG_PATH`, or the platform's own place."""
    chosen = os.environ.get("ZENML_CONFIG_PATH")
    if chosen:
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "zenml"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "zenml"


def store_url() -> str:
    """Return the address of the store that ZenML's client uses: of a database, or of a server."""
    try:
        store = client_settings().get("store") or {}
    except StoreError:
        store = {}
    stores = Path(os.environ.get("ZENML_LOCAL_STORES_PATH") or config_folder() / "local_stores")
    embedded = f"sqlite:///{stores / 'default_zen_store' / 'zenml.db'}"
    return str(os.environ.get("ZENML_STORE_URL") or store.get("url") or embedded)


def check_client() -> None:
    """Look whether ZenML's client can be used.

    Raises:
        StoreError: the folder of its settings cannot be made, or the settings cannot be read.
    """
    folder = config_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"ZenML keeps its settings in {folder}, which cannot be made ({error.strerror}): set HOME or "
            "ZENML_CONFIG_PATH to a folder that you may write to."
        ) from error
    client_settings()


def client_settings() -> dict[str, Any]:
    """Return the settings of ZenML's client, none where there are none yet; raises StoreError if unreadable."""
    path = config_folder() / "config.yaml"
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StoreError(_unreadable(path, str(error).splitlines()[0])) from error
    if written is not None and not isinstance(written, dict):
        raise StoreError(_unreadable(path, "it holds no keys and values"))
    return written or {}


def _unreadable(path: Path, why: str) -> str:
    return (
        f"The settings of ZenML's client, {path}, cannot be read ({why}): restore the file, move it away so that ZenML "
        "makes a new one, or give this project settings of its own with ZENML_CONFIG_PATH=FOLDER."
    )


def stack_name(profile: Profile) -> str:
    """Return the name of the stack and of its components: each state folder has a stack of its own."""
    return f"churn_{profile.name}_{hashlib.sha256(str(profile.state).encode()).hexdigest()[:6]}"


def component_settings(profile: Profile, kind: ComponentKind) -> dict[str, Any]:
    """Return what the stack component of `kind` is configured with; addresses are those of the profile's sections."""
    configured = profile.stack[kind].settings
    if profile.stack[kind].flavor == "churn_databricks":
        return {**configured, "workspace": profile.workspace.model_dump(mode="json")}
    derived: dict[str, Any] = {"tracking_uri": profile.mlflow.tracking_uri} if kind == "experiment_tracker" else {}
    if profile.stack[kind].flavor in _FLAVORS:
        workspace = profile.workspace
        host = "databricks_host" if kind == "experiment_tracker" else "host"
        derived |= {host: workspace.host, "config_profile": workspace.config_profile}
        if kind == "artifact_store":
            derived["path"] = f"volumes://{workspace.volume_path.removeprefix('/Volumes/')}/artifacts"
    return {**{name: value for name, value in derived.items() if value is not None}, **configured}


def ensure_stack(profile: Profile) -> str:
    """Return the id of the profile's stack; it is registered if missing, and follows the profile if that changed.

    The user's active stack stays what it was: a run chooses this one by the environment variable
    `ZENML_ACTIVE_STACK_ID`.

    Raises:
        StoreError: ZenML cannot be reached or refuses a component.
    """
    from zenml.client import Client

    try:
        with _alone():
            client = Client()
            components = {kind: _component(client, profile, kind, spec) for kind, spec in profile.stack.items()}
            return _stack(client, stack_name(profile), components)
    except (RuntimeError, ValueError, KeyError) as error:
        raise StoreError(
            f"ZenML refuses the stack of the profile {profile.name!r}: {error}. `run.py doctor` looks into it."
        ) from error


def stack_alerter() -> Any:
    """Return the alerter of the active stack, or None."""
    from zenml.client import Client

    return Client().active_stack.alerter


@contextmanager
def _alone() -> Iterator[None]:
    """Let one process at a time create ZenML's database or register stacks: two at once break each other's work."""
    folder = config_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "churn.lock"):
        yield


def _component(client: Client, profile: Profile, kind: ComponentKind, spec: Component) -> Any:
    from zenml.enums import StackComponentType

    name, component_type, settings = stack_name(profile), StackComponentType(kind), component_settings(profile, kind)
    if kind == "artifact_store" and spec.flavor == "local":
        Path(settings["path"]).mkdir(parents=True, exist_ok=True)
    if source := _FLAVORS.get(spec.flavor):
        _register(client, source, spec.flavor, component_type)
    existing = client.list_stack_components(name=name, type=component_type).items
    if (
        existing and existing[0].flavor_name != spec.flavor
    ):  # a component keeps its flavor: another one has another name
        name = f"{name}_{spec.flavor}"
        existing = client.list_stack_components(name=name, type=component_type).items
    if not existing:
        return client.create_stack_component(name, spec.flavor, component_type, configuration=settings)
    if existing[0].configuration != settings:
        return client.update_stack_component(existing[0].id, component_type, configuration=settings)
    return existing[0]


def _register(client: Client, source: str, flavor: str, component_type: Any) -> None:
    """Let ZenML know a flavor of this project's own, by the name that it has wherever it is installed."""
    from zenml.utils import source_utils

    source_utils.set_custom_source_root(str(Path(__file__).resolve().parents[2]))
    flavors = client.list_flavors(name=flavor, type=component_type).items
    for old in (item for item in flavors if item.source != source):  # as one that was registered from another folder
        client.delete_flavor(str(old.id))
    if not any(item.source == source for item in flavors):
        client.create_flavor(source, component_type)


def _stack(client: Client, name: str, components: dict[Any, Any]) -> str:
    from zenml.enums import StackComponentType

    wanted = {StackComponentType(kind): [component.id] for kind, component in components.items()}
    existing = client.list_stacks(name=name).items
    if not existing:
        return str(client.create_stack(name, {kind: ids[0] for kind, ids in wanted.items()}).id)
    present = {kind: [members[0].id] for kind, members in existing[0].components.items() if members}
    if wanted != present:
        client.update_stack(name, component_updates={**{kind: [] for kind in present}, **wanted})
    return str(existing[0].id)


class ZenmlStageMirror(StageMirror):
    """The ZenML model versions `v1`, `v2`, … of the same model; bare numbers ZenML keeps for itself."""

    def show_candidate(self, model: str, version: int, description: str) -> None:
        """Put the ZenML model version into staging, unless it is in production."""
        self._show(model, version, "staging", description, unless="production")

    def show_champion(self, model: str, version: int) -> None:
        """Put the ZenML model version into production; ZenML archives the other."""
        self._show(model, version, "production")

    def show_withdrawn(self, model: str, version: int) -> None:
        """Put the ZenML model version into the archive."""
        self._show(model, version, "archived")

    def show_endpoint(self, model: str, version: int, address: str) -> None:
        """Log the address as metadata of the ZenML model version, which the dashboard shows as a link."""
        with _told(model, version, "at its endpoint"):
            from zenml import log_metadata
            from zenml.client import Client
            from zenml.metadata.metadata_types import Uri

            model_version = _version(Client(), model, f"v{version}", "")
            log_metadata(metadata={"endpoint": Uri(address)}, model_version_id=model_version.id)

    def _show(self, model: str, version: int, stage: str, description: str = "", unless: str = "") -> None:
        with _told(model, version, f"in {stage}"):
            from zenml.client import Client

            model_version = _version(Client(), model, f"v{version}", description)
            if model_version.stage not in {stage, unless}:
                model_version.set_stage(stage, force=True)


@contextmanager
def _told(model: str, version: int, where: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # ZenML raises what its database, its server and its settings raise
        raise StoreError(
            f"ZenML's model control plane cannot show version {version} of {model} {where}: "
            f"{type(error).__name__}: {' '.join(str(error).split())}. `python run.py doctor` looks into it."
        ) from error


def _version(client: Client, model: str, name: str, description: str) -> ModelVersionResponse:
    from zenml.exceptions import EntityExistsError

    with suppress(KeyError):
        return client.get_model_version(model, name)
    with suppress(EntityExistsError):
        client.create_model(model, description="Churn model; its versions are those of the MLflow registry.")
    try:
        return client.create_model_version(model, name=name, description=description or None)
    except EntityExistsError:
        return client.get_model_version(model, name)


def fail_killed_runs(stack: str, now: dt.datetime) -> int:
    """Let ZenML say "failed" of the runs and steps of a stack that it takes for running; return how many runs."""
    from zenml.client import Client
    from zenml.enums import ExecutionStatus
    from zenml.models import PipelineRunUpdate, StepRunUpdate

    client, ended = Client(), now.replace(tzinfo=None)
    stacks = client.list_stacks(name=stack).items
    if not stacks:
        return 0
    runs = [
        run
        for status in (ExecutionStatus.RUNNING, ExecutionStatus.INITIALIZING, ExecutionStatus.PROVISIONING)
        for run in client.list_pipeline_runs(stack_id=stacks[0].id, status=status.value, size=1000).items
    ]
    for run in runs:
        for step in client.list_run_steps(pipeline_run_id=run.id, size=1000).items:
            if not step.status.is_finished:
                client.zen_store.update_run_step(step.id, StepRunUpdate(status=ExecutionStatus.FAILED, end_time=ended))
        killed = PipelineRunUpdate(status=ExecutionStatus.FAILED, status_reason="The process was killed.")
        client.zen_store.update_run(run.id, killed)
    return len(runs)
