"""Unity Catalog: catalogs, schemas, volumes, tables, grants and tags, and a table of what is denied."""

from __future__ import annotations

import shutil
import time
import uuid
from typing import TYPE_CHECKING, Any

from databricks.sdk.service.catalog import EntityTagAssignment, GrantsAPI, SchemasAPI, VolumesAPI

from .http import Reply, Request, refusal
from .strict import check, parsed

if TYPE_CHECKING:
    from .workspace import Workspace

__all__ = ["Catalog"]

_UC = "/api/2.1/unity-catalog"
RESERVED = ".,-=/:"
"""Characters that Unity Catalog refuses in the key of a tag."""
MOST_TAGS = 50


class Catalog:
    """What there is in Unity Catalog, by full name. Owners may do everything that `deny` has not forbidden."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.catalogs: dict[str, dict[str, Any]] = {}
        self.schemas: dict[str, dict[str, Any]] = {}
        self.volumes: dict[str, dict[str, Any]] = {}
        self.tables: dict[str, dict[str, Any]] = {}
        self.grants: dict[tuple[str, str], dict[str, set[str]]] = {}
        self.tags: dict[tuple[str, str], dict[str, str]] = {}
        self._denied: set[tuple[str, str]] = set()
        add = workspace.routes.add
        add(f"GET {_UC}/catalogs", lambda request: {"catalogs": list(self.catalogs.values())})
        add(f"GET {_UC}/catalogs/{{name}}", lambda request, name: self.catalog(name))
        add(f"POST {_UC}/schemas", self._create_schema)
        add(f"GET {_UC}/schemas", self._schemas)
        add(f"GET {_UC}/schemas/{{name}}", lambda request, name: self.schema(name))
        add(f"PATCH {_UC}/schemas/{{name}}", self._update_schema)
        add(f"DELETE {_UC}/schemas/{{name}}", self._delete_schema)
        add(f"POST {_UC}/volumes", self._create_volume)
        add(f"GET {_UC}/volumes", self._volumes)
        add(f"GET {_UC}/volumes/{{name}}", lambda request, name: self.volume(name))
        add(f"PATCH {_UC}/volumes/{{name}}", self._update_volume)
        add(f"DELETE {_UC}/volumes/{{name}}", self._delete_volume)
        add(f"GET {_UC}/models", self._models)
        add(f"GET {_UC}/tables", self._tables)
        add(f"GET {_UC}/tables/{{name}}", lambda request, name: self._table(name))
        add(f"GET {_UC}/tables/{{name}}/exists", lambda request, name: {"table_exists": name in self.tables})
        add(f"DELETE {_UC}/tables/{{name}}", self._delete_table)
        for word in ("permissions", "effective-permissions"):
            add(f"GET {_UC}/{word}/{{kind}}/{{name}}", self._permissions)
        add(f"PATCH {_UC}/permissions/{{kind}}/{{name}}", self._grant)
        add(f"POST {_UC}/entity-tag-assignments", self._tag)
        add(f"GET {_UC}/entity-tag-assignments/{{kind}}/{{name}}/tags", self._tags)

    def add_catalog(self, name: str) -> None:
        self.catalogs[name] = {"name": name, "full_name": name, "owner": "admins", "catalog_type": "MANAGED_CATALOG"}

    def deny(self, privilege: str, securable: str) -> None:
        """Refuse what needs a privilege, such as `CREATE SCHEMA` on `main`."""
        self._denied.add((privilege, securable))

    def allow(self, privilege: str, securable: str) -> None:
        """Take a denial back."""
        self._denied.discard((privilege, securable))

    def need(self, privilege: str, kind: str, securable: str) -> None:
        """Refuse where a privilege was denied."""
        if (privilege, securable) in self._denied:
            message = f"User does not have {privilege} on {kind} '{securable}'."
            raise refusal(403, "PERMISSION_DENIED", message)

    def catalog(self, name: str) -> dict[str, Any]:
        if name not in self.catalogs:
            raise refusal(404, "CATALOG_DOES_NOT_EXIST", f"Catalog '{name}' does not exist.")
        self.need("USE CATALOG", "Catalog", name)
        return self.catalogs[name]

    def schema(self, name: str) -> dict[str, Any]:
        self.catalog(name.partition(".")[0])
        if name not in self.schemas:
            raise refusal(404, "SCHEMA_DOES_NOT_EXIST", f"Schema '{name}' does not exist.")
        self.need("USE SCHEMA", "Schema", name)
        return self.schemas[name]

    def volume(self, name: str) -> dict[str, Any]:
        self.schema(name.rpartition(".")[0])
        if name not in self.volumes:
            raise refusal(404, "VOLUME_DOES_NOT_EXIST", f"Volume '{name}' does not exist.")
        self.need("READ VOLUME", "Volume", name)
        return self.volumes[name]

    def add_schema(self, name: str) -> None:
        """Create a schema as the catalog's owner would."""
        catalog, _, short = name.partition(".")
        self.schemas[name] = _stamped(
            {"name": short, "catalog_name": catalog, "full_name": name, "schema_id": str(uuid.uuid4())}, "admins"
        )

    def add_volume(self, name: str) -> None:
        """Create a volume, and its schema where there is none, as their owner would."""
        schema, _, short = name.rpartition(".")
        if schema not in self.schemas:
            self.add_schema(schema)
        catalog, _, inside = schema.partition(".")
        found = {"name": short, "catalog_name": catalog, "schema_name": inside, "full_name": name}
        self.volumes[name] = _stamped({**found, "volume_type": "MANAGED", "volume_id": str(uuid.uuid4())}, "admins")
        self._workspace.files.folder.joinpath("Volumes", *name.split(".")).mkdir(parents=True, exist_ok=True)

    def _create_schema(self, request: Request) -> dict[str, Any]:
        check(SchemasAPI.create, request.json)
        catalog, name = request.json["catalog_name"], f"{request.json['catalog_name']}.{request.json['name']}"
        self.catalog(catalog)
        self.need("CREATE SCHEMA", "Catalog", catalog)
        if name in self.schemas:
            raise refusal(400, "SCHEMA_ALREADY_EXISTS", f"Schema '{name}' already exists")
        made = {**request.json, "full_name": name, "schema_id": str(uuid.uuid4())}
        self.schemas[name] = _stamped(made, request.user)
        return self.schemas[name]

    def _schemas(self, request: Request) -> dict[str, Any]:
        catalog = request.query["catalog_name"]
        self.catalog(catalog)
        return {"schemas": [schema for schema in self.schemas.values() if schema["catalog_name"] == catalog]}

    def _update_schema(self, request: Request, name: str) -> dict[str, Any]:
        check(SchemasAPI.update, request.json, "full_name")
        self.schema(name).update(request.json)
        return self.schemas[name]

    def _delete_schema(self, request: Request, name: str) -> None:
        self.schema(name)
        self.need("MANAGE", "Schema", name)
        inside = [full for full in (*self.volumes, *self.tables, *self._workspace.mlflow.models) if _in(full, name)]
        if inside and request.query.get("force") != "true":
            raise refusal(400, "INVALID_STATE", f"Cannot delete schema '{name}' because it is not empty: {inside[0]}")
        for full in inside:
            self.volumes.pop(full, None), self.tables.pop(full, None), self._workspace.mlflow.models.pop(full, None)
        del self.schemas[name]

    def _create_volume(self, request: Request) -> dict[str, Any]:
        check(VolumesAPI.create, request.json)
        schema = f"{request.json['catalog_name']}.{request.json['schema_name']}"
        self.schema(schema)
        self.need("CREATE VOLUME", "Schema", schema)
        name = f"{schema}.{request.json['name']}"
        if name in self.volumes:
            raise refusal(409, "RESOURCE_ALREADY_EXISTS", f"Volume '{name}' already exists")
        self.add_volume(name)
        self.volumes[name] = _stamped({**self.volumes[name], **request.json}, request.user)
        return self.volumes[name]

    def _volumes(self, request: Request) -> dict[str, Any]:
        schema = f"{request.query['catalog_name']}.{request.query['schema_name']}"
        self.schema(schema)
        return {"volumes": [volume for name, volume in self.volumes.items() if _in(name, schema)]}

    def _update_volume(self, request: Request, name: str) -> dict[str, Any]:
        check(VolumesAPI.update, request.json, "name")
        self.volume(name).update(request.json)
        return self.volumes[name]

    def _delete_volume(self, _: Request, name: str) -> None:
        self.volume(name)
        self.need("MANAGE", "Volume", name)
        shutil.rmtree(self._workspace.files.folder.joinpath("Volumes", *name.split(".")), ignore_errors=True)
        del self.volumes[name]

    def _tables(self, request: Request) -> dict[str, Any]:
        schema = f"{request.query['catalog_name']}.{request.query['schema_name']}"
        self.schema(schema)
        return {"tables": [table for name, table in self.tables.items() if _in(name, schema)]}

    def _models(self, request: Request) -> dict[str, Any]:
        schema = f"{request.query['catalog_name']}.{request.query['schema_name']}"
        models = {name: model for name, model in self._workspace.mlflow.models.items() if _in(name, schema)}
        return {
            "registered_models": [
                {"full_name": name, "name": name.rpartition(".")[2], "owner": model.get("owner", "admins")}
                for name, model in models.items()
            ]
        }

    def _table(self, name: str) -> dict[str, Any]:
        if name not in self.tables:
            raise refusal(404, "TABLE_DOES_NOT_EXIST", f"Table '{name}' does not exist.")
        return self.tables[name]

    def _delete_table(self, _: Request, name: str) -> None:
        self._table(name)
        del self.tables[name]

    def _permissions(self, request: Request, kind: str, name: str) -> dict[str, Any]:
        granted = self.grants.get((kind.lower(), name), {})
        effective = "/effective-permissions/" in request.path
        return {
            "privilege_assignments": [
                {
                    "principal": who,
                    "privileges": [{"privilege": p} for p in sorted(what)] if effective else sorted(what),
                }
                for who, what in granted.items()
                if request.query.get("principal", who) == who
            ]
        }

    def _grant(self, request: Request, kind: str, name: str) -> Reply:
        check(GrantsAPI.update, request.json, "securable_type", "full_name")
        self.need("MANAGE", kind.capitalize(), name)
        granted = self.grants.setdefault((kind.lower(), name), {})
        for change in request.json.get("changes", []):
            known = granted.setdefault(change["principal"], set())
            known |= set(change.get("add", []))
            known -= set(change.get("remove", []))
        return Reply({"privilege_assignments": [{"principal": p, "privileges": sorted(w)} for p, w in granted.items()]})

    def _tag(self, request: Request) -> dict[str, Any]:
        tag = parsed(EntityTagAssignment, request.json)
        self.check_tag(tag.tag_key, tag.tag_value or "")
        self.need("APPLY TAG", tag.entity_type, tag.entity_name)
        known = self.tags.setdefault((tag.entity_type, tag.entity_name), {})
        if tag.tag_key in known:
            raise refusal(409, "RESOURCE_ALREADY_EXISTS", f"Tag '{tag.tag_key}' is assigned already.")
        if len(known) >= MOST_TAGS:
            raise refusal(400, "INVALID_PARAMETER_VALUE", f"At most {MOST_TAGS} tags may be assigned.")
        known[tag.tag_key] = tag.tag_value or ""
        return request.json

    def _tags(self, _: Request, kind: str, name: str) -> dict[str, Any]:
        known = self.tags.get((kind, name), {})
        shown = {"entity_type": kind, "entity_name": name}
        return {"tag_assignments": [{**shown, "tag_key": key, "tag_value": value} for key, value in known.items()]}

    def check_tag(self, key: str, value: str) -> None:
        """Refuse a tag that Unity Catalog cannot keep."""
        if any(letter in RESERVED for letter in key) or not key:
            raise refusal(400, "INVALID_PARAMETER_VALUE", f"Tag key {key!r} contains reserved characters: {RESERVED}")
        if len(value) > 1000:
            raise refusal(400, "INVALID_PARAMETER_VALUE", f"The value of tag {key!r} is longer than 1000 characters.")


def _in(name: str, schema: str) -> bool:
    return name.rpartition(".")[0] == schema


def _stamped(found: dict[str, Any], owner: str) -> dict[str, Any]:
    now = int(time.time() * 1000)
    return {**found, "owner": owner, "created_at": now, "created_by": owner, "updated_at": now}
