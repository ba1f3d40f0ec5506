"""A data set's resources in a workspace, as the API takes them: schemas, volume, experiment, registered model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from churn.data.contract import DatasetContract
from churn.profile import DatabricksSettings

from .workspace import mark_of, tags_of

__all__ = ["resources"]


def resources(settings: DatabricksSettings, contract: DatasetContract, model: str) -> dict[str, dict[str, Any]]:
    """Return the objects by kind and key; each is the body of its create call, with the grants beside it.

    Whoever is in `readers` may read tables and files and load the model; whoever is in `approvers` may set its tags
    too, by which a version is approved. An endpoint, the link of the deployment job, a monitor and Lakebase are not
    among them: they need a first version.

    Args:
        settings: The workspace.
        contract: The data set.
        model: The registered model, without catalog and schema.
    """
    mark, (files_schema, volume) = tags_of(settings), settings.volume.split(".")
    schema = settings.schema_of(contract).partition(".")[2]
    readers, approvers = settings.readers, settings.approvers
    everyone = dict.fromkeys((*readers, *approvers))
    return {
        "schemas": {
            name: {
                "catalog_name": settings.catalog,
                "name": name,
                "comment": comment,
                "properties": mark,
                **_granted(_grants(everyone, *privileges)),
            }
            for name, comment, privileges in (
                (files_schema, "Files and artifacts of the churn lifecycle.", ("USE_SCHEMA",)),
                (schema, contract.description, ("USE_SCHEMA", "SELECT")),
            )
        },
        "volumes": {
            volume: {
                "catalog_name": settings.catalog,
                "schema_name": files_schema,
                "name": volume,
                "volume_type": "MANAGED",
                "comment": f"Pages, lists, artifacts and the code of jobs. {mark_of(mark)}",
                **_granted(_grants(everyone, "READ_VOLUME")),
            }
        },
        "experiments": {model: {"name": f"{settings.folder}/{model}"}},
        "registered_models": {
            model: {
                "catalog_name": settings.catalog,
                "schema_name": schema,
                "name": model,
                "comment": contract.description,
                **_granted([*_grants(readers, "EXECUTE"), *_grants(approvers, "EXECUTE", "APPLY_TAG")]),
            }
        },
    }


def _grants(principals: Iterable[str], *privileges: str) -> list[dict[str, Any]]:
    return [{"principal": principal, "privileges": list(privileges)} for principal in principals]


def _granted(grants: list[dict[str, Any]]) -> dict[str, Any]:
    return {"grants": grants} if grants else {}
