"""Registering the profile's ZenML stack on first use, beside whatever stacks the user has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from churn.core.errors import StoreError
from churn.settings import Component, ComponentKind, Profile

from .zenml_home import config_folder

if TYPE_CHECKING:
    from zenml.client import Client

__all__ = ["component_settings", "ensure_stack", "stack_name"]


def stack_name(profile: Profile) -> str:
    """Return the name of the stack and of its components: each state folder has a stack of its own."""
    return f"churn_{profile.name}_{hashlib.sha256(str(profile.state).encode()).hexdigest()[:6]}"


def component_settings(profile: Profile, kind: ComponentKind) -> dict[str, Any]:
    """Return what the stack component of `kind` is configured with; the tracker's address is `profile.mlflow`'s."""
    address = {"tracking_uri": profile.mlflow.tracking_uri} if kind == "experiment_tracker" else {}
    return {**profile.stack[kind].settings, **address}


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
    existing = client.list_stack_components(name=name, type=component_type).items
    if not existing:
        return client.create_stack_component(name, spec.flavor, component_type, configuration=settings)
    if existing[0].configuration != settings:
        return client.update_stack_component(name, component_type, configuration=settings)
    return existing[0]


def _stack(client: Client, name: str, components: dict[Any, Any]) -> str:
    wanted = {kind: component.id for kind, component in components.items()}
    existing = client.list_stacks(name=name).items
    if not existing:
        return str(client.create_stack(name, wanted).id)
    present = {str(kind): members[0].id for kind, members in existing[0].components.items()}
    if wanted != {kind: present.get(kind) for kind in wanted}:
        client.update_stack(name, component_updates={kind: [identity] for kind, identity in wanted.items()})
    return str(existing[0].id)
