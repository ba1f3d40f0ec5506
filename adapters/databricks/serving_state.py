"""What the workspace says of an endpoint on Model Serving, in this project's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from churn.ports.endpoint import EndpointState
from churn.ports.registry import CHAMPION

if TYPE_CHECKING:
    from databricks.sdk.service.serving import ServedEntityInput, ServingEndpointDetailed, TrafficConfig

__all__ = ["CHAMPION_ENTITY", "failed_entities", "holds", "progress", "state_of"]

CHAMPION_ENTITY = CHAMPION.lower()
"""The name of the served entity that the alias stands for."""
_UPDATES: dict[str | None, Literal["in_progress", "failed"]] = {
    "IN_PROGRESS": "in_progress",
    "UPDATE_FAILED": "failed",
    "UPDATE_CANCELED": "failed",
}


def state_of(endpoint: ServingEndpointDetailed, name: str, address: str, page: str) -> EndpointState:
    """Return how an endpoint does: whether it is ready apart from whether its configuration changes."""
    from databricks.sdk.service.serving import EndpointStateReady

    state, served = endpoint.state, (endpoint.config.served_entities if endpoint.config else None) or []
    update = _UPDATES.get(state.config_update.value if state and state.config_update else None, "none")
    versions = [entity.entity_version for entity in served if entity.name == CHAMPION_ENTITY]
    trouble = "; ".join(progress(endpoint)) or "see its build logs"
    return EndpointState(
        name=name,
        address=f"{address}/invocations",
        ready=state is not None and state.ready == EndpointStateReady.READY,
        version=int(versions[0]) if versions and versions[0] else None,
        update=update,
        degraded=(f"The last update failed: {trouble}.",) if update == "failed" else (),
        log=page,
    )


def failed_entities(endpoint: ServingEndpointDetailed) -> list[Any]:
    """Return the served entities that did not start, of what is being changed to and of what is there."""
    configs = (endpoint.pending_config, endpoint.config)
    entities = [entity for config in configs if config is not None for entity in config.served_entities or ()]
    states = [(entity, str(entity.state.deployment)) for entity in entities if entity.state]
    return [entity for word in ("FAILED", "ABORTED") for entity, state in states if word in state]


def progress(endpoint: ServingEndpointDetailed) -> list[str]:
    """Return how far each entity that is being changed to has come, in words."""
    pending = endpoint.pending_config or endpoint.config
    served = (pending.served_entities if pending else None) or []
    return [
        f"{entity.name} (version {entity.entity_version}): "
        + (entity.state.deployment_state_message or str(entity.state.deployment and entity.state.deployment.value))
        for entity in served
        if entity.state is not None
    ]


def holds(endpoint: ServingEndpointDetailed, entities: Sequence[ServedEntityInput], traffic: TrafficConfig) -> bool:
    """Return whether the endpoint is ready with a configuration; what the workspace adds by itself does not count."""
    from databricks.sdk.service.serving import EndpointStateReady

    if endpoint.config is None or endpoint.state is None or endpoint.state.ready != EndpointStateReady.READY:
        return False
    present = {entity.name: entity.as_dict() for entity in endpoint.config.served_entities or ()}
    wanted = {entity.name: entity.as_dict() for entity in entities}
    same = present.keys() == wanted.keys() and all(wanted[name].items() <= present[name].items() for name in wanted)
    return same and _shares(endpoint.config.traffic_config) == _shares(traffic)


def _shares(traffic: TrafficConfig | None) -> dict[str | None, int]:
    routes = (traffic.routes if traffic else None) or ()
    return {route.served_model_name or route.served_entity_name: route.traffic_percentage for route in routes}
