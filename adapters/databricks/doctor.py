"""The checks of `run.py doctor` in a workspace: credentials, clock, privileges, runtime. Nothing is changed.

A job of one task, which leaves no more than its run, shows whether tasks reach ZenML's server.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from churn.core.errors import ChurnError, StoreError
from churn.profile import DatabricksSettings, Profile

from ..local.machine_checks import Finding
from ..local.zenml import store_url
from ..spark.sql import qualified
from .lakebase import check_endpoint
from .reach import reached_by_a_job
from .workspace import client_of, explained

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

__all__ = ["diagnose_workspace"]

_SKEW_SECONDS = 60
_NEEDED = {
    "catalog": ("USE_CATALOG",),
    "schema": ("USE_SCHEMA", "CREATE_TABLE", "CREATE_MODEL"),
    "volume": ("READ_VOLUME", "WRITE_VOLUME"),
    "function": ("EXECUTE", "APPLY_TAG"),  # which a model is; the SDK knows no CREATE_MODEL_VERSION
}
_KEPT = "delta.deletedFileRetentionDuration"


def diagnose_workspace(profile: Profile, schema: str, now: dt.datetime) -> list[Finding]:
    """Return what was found of the workspace of a profile.

    Args:
        profile: The profile, which has a workspace.
        schema: `catalog.schema` of the data set.
        now: The time here (UTC).

    Returns:
        The findings; where the workspace cannot be reached, that alone.
    """
    settings = profile.workspace
    try:
        client = client_of(settings)
        with explained("say who you are"):
            me = client.api_client.do("GET", "/api/2.0/preview/scim/v2/Me", response_headers=["Date"])
        assert isinstance(me, dict)
    except StoreError as error:
        message, _, remedy = str(error).rpartition(": ")
        return [Finding("databricks", "workspace", "fail", message or str(error), remedy.rstrip("."))]
    user = str(me.get("userName"))
    findings = [
        Finding("databricks", "workspace", "ok", f"{client.config.host}, as {user}"),
        Finding("databricks", "credentials", "ok", _credentials(client)),
        _clock(me.get("Date"), now),
        *_places(client, profile, settings, schema, user),
        *_models(client, schema, user),
        *_zenml(client, profile),
    ]
    if settings.jobs is not None:
        findings += [_runtime(settings), _retention(client, schema), _online(client, profile)]
    return findings


def _credentials(client: WorkspaceClient) -> str:
    """Return which link of the SDK's chain was taken."""
    config = client.config
    named = {"pat": "DATABRICKS_TOKEN", "oauth-m2m": "DATABRICKS_CLIENT_ID"}.get(config.auth_type or "", "")
    if config.profile:
        return f"{config.auth_type}, from the profile {config.profile} of ~/.databrickscfg"
    return f"{config.auth_type}, from {named if os.environ.get(named) else 'what the SDK found'}"


def _clock(date: Any, now: dt.datetime) -> Finding:
    if not date:
        return Finding("databricks", "clock", "warn", "the workspace does not say its time", "compare it by hand")
    skew = (now - parsedate_to_datetime(str(date))).total_seconds()
    offset = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the workspace"
    if abs(skew) > _SKEW_SECONDS:
        return Finding(
            "databricks", "clock", "fail", offset, "set this machine's clock: logins and presigned URLs expire"
        )
    return Finding("databricks", "clock", "ok", offset)


def _places(
    client: WorkspaceClient, profile: Profile, settings: DatabricksSettings, schema: str, user: str
) -> Iterator[Finding]:
    """Yield whether catalog, schema and volume are there, and which privilege is missing on each."""
    setup = f"python run.py stack setup --stack {profile.name}"
    places: list[tuple[str, str, Any, str]] = [
        ("catalog", settings.catalog, client.catalogs.get, "CREATE CATALOG, or name another in databricks.catalog"),
        ("schema", schema, client.schemas.get, setup),
    ]
    if profile.adapters == "databricks":
        outer = f"{settings.catalog}.{settings.volume.partition('.')[0]}"
        places += [("schema", outer, client.schemas.get, setup)] if outer != schema else []
        places.append(("volume", f"{settings.catalog}.{settings.volume}", client.volumes.read, setup))
    for kind, name, read, remedy in places:
        try:
            with explained(f"read the {kind} {name}"):
                owner = read(name).owner
                missing = [] if owner == user else _missing(client, kind, name, user)
        except ChurnError as error:
            reason = str(error).partition(": ")[2].partition(". Ask")[0].rstrip(".")
            privilege = reason.partition("does not have ")[2].partition(" on ")[0]
            grant = f"GRANT {privilege} ON {kind.upper()} {qualified(name)} TO `{user}`"
            yield Finding("databricks", f"{kind} {name}", "fail", reason, grant if privilege else remedy)
            return
        if missing:
            shown = ", ".join(missing).replace("_", " ")
            grant = f"GRANT {shown} ON {kind.upper()} {qualified(name)} TO `{user}`"
            yield Finding("databricks", f"{kind} {name}", "fail", f"without {shown}", grant)
        else:
            yield Finding("databricks", f"{kind} {name}", "ok", "there, with every privilege that is needed")


def _models(client: WorkspaceClient, schema: str, user: str) -> Iterator[Finding]:
    """Yield for each registered model of the data set what may not be done with it."""
    catalog, _, name = schema.partition(".")
    try:
        with explained(f"list the models of {schema}"):
            models = list(client.registered_models.list(catalog_name=catalog, schema_name=name))
            for model in models:
                full_name = str(model.full_name)
                missing = [] if model.owner == user else _missing(client, "function", full_name, user)
                if missing:
                    shown = ", ".join(missing).replace("_", " ")
                    grant = f"GRANT {shown} ON FUNCTION {qualified(full_name)} TO `{user}`"
                    yield Finding("databricks", f"model {full_name}", "fail", f"without {shown}", grant)
                else:
                    yield Finding(
                        "databricks", f"model {full_name}", "ok", "there, with every privilege that is needed"
                    )
    except ChurnError as error:
        yield Finding("databricks", "models", "warn", str(error), "see the schema above")


def _missing(client: WorkspaceClient, kind: str, name: str, user: str) -> list[str]:
    granted = client.grants.get_effective(kind, name, principal=user).privilege_assignments or []
    held = {privilege.privilege.value for row in granted for privilege in row.privileges or [] if privilege.privilege}
    return [] if held & {"ALL_PRIVILEGES", "MANAGE"} else [needed for needed in _NEEDED[kind] if needed not in held]


def _zenml(client: WorkspaceClient, profile: Profile) -> Iterator[Finding]:
    """Is ZenML's store one that a job can reach, where jobs run the steps?"""
    url, jobs = store_url(), profile.stack["orchestrator"].flavor == "churn_databricks"
    if url.startswith("http"):
        message = f"{url}; logs and pictures need the project's wheel in the server" if jobs else url
        yield Finding("databricks", "ZenML server", "ok", message)
        if jobs:
            yield reached_by_a_job(client, profile.workspace, url)
    elif jobs:
        remedy = "zenml login https://…: a job cannot reach a store on this machine"
        yield Finding("databricks", "ZenML server", "fail", "ZenML's store is on this machine", remedy)
    else:
        yield Finding("databricks", "ZenML server", "ok", "none is needed: the steps run here")


def _runtime(settings: DatabricksSettings) -> Finding:
    from .code import differences

    assert settings.jobs is not None
    local_version = ".".join(map(str, sys.version_info[:2]))
    try:
        changed = differences(settings.jobs)
    except ChurnError as error:
        return Finding("databricks", "runtime", "warn", str(error), "python run.py stack plan --stack databricks")
    message = f"Python 3.12 there, {local_version} here; {len(changed)} packages are replaced (stack plan names them)"
    same = local_version == "3.12"
    remedy = "" if same else "PYTHON=/path/to/python3.12 make train: the last digits of a model may differ else"
    return Finding("databricks", "runtime", "ok" if same else "warn", message, remedy)


def _online(client: WorkspaceClient, profile: Profile) -> Finding:
    """Is there an online store that a job can publish to?"""
    online = profile.online
    if online.store == "sqlite":  # which the settings allow with `serving.deploy=never` alone
        return Finding("databricks", "online store", "ok", "none: releases publish nothing, and no endpoint can serve")
    if online.store == "lakebase":
        try:
            check_endpoint(client, online.address, profile.name)
        except ChurnError as error:
            message, _, remedy = str(error).partition(" Make it: ")
            return Finding("databricks", "online store", "fail", message, remedy or "see the error above")
    return Finding("databricks", "online store", "ok", f"{online.store} at {online.address}")


def _retention(client: WorkspaceClient, schema: str) -> Finding:
    """Do the tables keep the versions that registered models name?"""
    catalog, _, name = schema.partition(".")
    try:
        with explained(f"list the tables of {schema}"):
            tables = list(client.tables.list(catalog, name))
    except ChurnError as error:
        return Finding("databricks", "retention", "warn", str(error), "see the schema above")
    lacking = [table.name or "" for table in tables if _KEPT not in (table.properties or {})]
    if lacking:
        remedy = "run the pipeline that writes them again: it sets the property"
        message = f"{', '.join(lacking)}: Databricks removes replaced files after 7 days"
        return Finding("databricks", "retention", "warn", message, remedy)
    return Finding("databricks", "retention", "ok", f"{len(tables)} tables keep their versions")
