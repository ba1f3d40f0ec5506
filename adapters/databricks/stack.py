"""What the project needs in a workspace before the first run: found by its mark, made, compared, and removed.

A schema carries the tags of the project as its properties, a volume as the end of its comment, a job as tags: each in
the call that makes it, so that an answer that is lost leaves nothing that nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from churn.core.errors import NotFound, StoreError
from churn.data.contract import DatasetContract
from churn.profile import DatabricksSettings

from .code import store
from .jobs import SECRET, find_jobs, place_job, settings_of
from .lakebase import awaited, place_project
from .payloads import differences
from .resources import resources
from .secrets import forget
from .workspace import client_of, explained, mark_of, tags_of

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.jobs import BaseJob

__all__ = ["Owned", "Piece", "destroy", "owned", "plan", "setup"]

Change = Literal["make", "change", "same", "not ours"]


@dataclass(frozen=True)
class Piece:
    """Something that must be there.

    Attributes:
        kind: What it is: schema, volume, workspace folder, Lakebase project, job.
        name: Its full name.
        wanted: What the project sets of it.
        present: The same as it is now; None where there is no such thing.
        ours: Whether it carries the project's mark; what others made is used and never changed or removed.
    """

    kind: str
    name: str
    wanted: Mapping[str, Any]
    present: Mapping[str, Any] | None = None
    ours: bool = False

    @property
    def change(self) -> Change:
        """What `setup` does with it."""
        if self.present is None:
            return "make"
        if not self.ours:
            return "not ours"
        return "same" if self.differences() == {} else "change"

    def differences(self) -> dict[str, tuple[Any, Any]]:
        """Return each setting that differs by its path: as it is, and as it is wanted."""
        return differences(self.present or {}, self.wanted)


@dataclass(frozen=True)
class Owned:
    """Something in the workspace that carries the project's mark, and what goes with it."""

    kind: str
    name: str
    holds: tuple[str, ...] = ()
    remove: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)


def plan(
    settings: DatabricksSettings,
    contract: DatasetContract,
    *,
    files: bool,
    lakebase: str | None = None,
    jobs: Sequence[Mapping[str, Any]] = (),
) -> list[Piece]:
    """Return everything that must be there, compared with what is; changes nothing.

    Args:
        settings: The workspace.
        contract: The data set.
        files: Whether files and artifacts lie in the volume too.
        lakebase: The endpoint of Lakebase with the online store; None where that is elsewhere.
        jobs: The jobs, as the API takes them.

    Raises:
        StoreError: the workspace refuses or does not answer, or the catalog is not there.
    """
    client, mark, own_schema = client_of(settings), tags_of(settings), settings.schema_of(contract)
    with explained(f"read the catalog {settings.catalog}"):
        client.catalogs.get(settings.catalog)
    wanted = resources(settings, contract, "")
    schemas = {f"{settings.catalog}.{name}": schema for name, schema in wanted["schemas"].items()}
    names = [own_schema, *(name for name in schemas if files and name != own_schema)]
    pieces = [_schema(client, name, schemas[name], mark) for name in names]
    if files:
        (volume,) = wanted["volumes"].values()
        pieces.append(_volume(client, f"{settings.catalog}.{settings.volume}", volume["comment"], mark_of(mark)))
    pieces.append(_folder(client, settings))
    if lakebase is not None:
        pieces.append(_lakebase(client, settings, lakebase))
    return [*pieces, *(_job(client, settings, job) for job in jobs)]


def setup(
    settings: DatabricksSettings,
    contract: DatasetContract,
    *,
    files: bool,
    lakebase: str | None = None,
    jobs: Sequence[Mapping[str, Any]] = (),
    code: Mapping[str, bytes] | None = None,
) -> list[Piece]:
    """Make what is missing, change what differs, and return what was done; typed again it does nothing.

    Each thing is looked up, made, and looked up again, since an answer may be lost after its effect. `code` is what the
    jobs run, by its path in the volume.
    """
    from databricks.sdk.errors import BadRequest, ResourceConflict

    client, look = client_of(settings), partial(plan, settings, contract, files=files, lakebase=lakebase, jobs=jobs)
    done = look()
    for piece in done:
        if piece.change not in ("make", "change"):
            continue
        with explained(f"{piece.change} the {piece.kind} {piece.name}"):
            try:
                if piece.kind == "job":
                    place_job(client, settings, piece.wanted)
                elif piece.change == "make":
                    _make(client, piece, tags_of(settings))
                else:
                    _change(client, piece)
            except (BadRequest, ResourceConflict):  # made meanwhile, or by a request whose answer was lost
                if (piece.kind, piece.name, "make") in {(other.kind, other.name, other.change) for other in look()}:
                    raise
    store(client, code or {})
    if lacking := [f"{piece.kind} {piece.name}" for piece in look() if piece.change in ("make", "change")]:
        raise StoreError(f"Somebody else changed {', '.join(lacking)} at the same time: type the command again.")
    return done


def owned(settings: DatabricksSettings) -> list[Owned]:
    """Return what carries the mark of this project, in the order in which it can be removed; changes nothing."""
    client, mark = client_of(settings), tags_of(settings)
    with explained("list what the project made"):
        jobs = [
            Owned("job", job.settings.name or "", (), partial(_remove_job, client, settings, job))
            for job in client.jobs.list()
            if job.settings and mark.items() <= (job.settings.tags or {}).items()
        ]
        schemas = list(client.schemas.list(settings.catalog))
        volumes = [
            Owned("volume", volume.full_name or "", (), partial(client.volumes.delete, volume.full_name or ""))
            for schema in schemas
            if not _marked(schema.properties, mark) and schema.name != "information_schema"
            for volume in _volumes(client, settings.catalog, schema.name or "")
            if mark_of(mark) in (volume.comment or "")
        ]
        whole = [
            Owned(
                "schema",
                schema.full_name or "",
                tuple(_inside(client, settings.catalog, schema.name or "")),
                partial(client.schemas.delete, schema.full_name or "", force=True),
            )
            for schema in schemas
            if _marked(schema.properties, mark)
        ]
    return [*jobs, *_served(client, mark), *_projects(client, mark), *volumes, *whole]


def destroy(settings: DatabricksSettings) -> list[Owned]:
    """Remove what carries the mark of this project, and return it.

    Raises:
        StoreError: one of them cannot be removed; those before it are, and the same command goes on with the rest.
    """
    marked = owned(settings)
    for number, resource in enumerate(marked):
        try:
            with explained(f"remove the {resource.kind} {resource.name}"):
                resource.remove()
        except NotFound:  # removed by a request whose answer was lost
            continue
        except StoreError as error:
            raise StoreError(
                f"{error} {number} of {len(marked)} are removed: the same command, typed again, goes on with the rest."
            ) from error
    return marked


def _schema(client: WorkspaceClient, name: str, asked: Mapping[str, Any], mark: Mapping[str, str]) -> Piece:
    wanted = {"comment": asked["comment"], "properties": dict(mark)}
    schema = _looked_up(lambda: client.schemas.get(name), f"read the schema {name}")
    if schema is None:
        return Piece("schema", name, wanted)
    present = {"comment": schema.comment, "properties": dict(schema.properties or {})}
    return Piece("schema", name, wanted, present, _marked(schema.properties, mark))


def _volume(client: WorkspaceClient, name: str, comment: str, mark: str) -> Piece:
    wanted = {"comment": comment}
    volume = _looked_up(lambda: client.volumes.read(name), f"read the volume {name}")
    if volume is None:
        return Piece("volume", name, wanted)
    return Piece("volume", name, wanted, {"comment": volume.comment}, mark in (volume.comment or ""))


def _folder(client: WorkspaceClient, settings: DatabricksSettings) -> Piece:
    what = f"look for the workspace folder {settings.folder}"
    folder = _looked_up(lambda: client.workspace.get_status(settings.folder), what)
    return Piece("workspace folder", settings.folder, {}, None if folder is None else {}, ours=False)


def _lakebase(client: WorkspaceClient, settings: DatabricksSettings, endpoint: str) -> Piece:
    project = "/".join(endpoint.split("/")[:2])
    present = _looked_up(lambda: client.postgres.get_project(project), f"look for the Lakebase project {project}")
    tags = {tag.key: tag.value for tag in _tags_of_project(present)}
    wanted = {"endpoint": endpoint}
    return Piece(
        "Lakebase project", project, wanted, None if present is None else wanted, _marked(tags, tags_of(settings))
    )


def _job(client: WorkspaceClient, settings: DatabricksSettings, wanted: Mapping[str, Any]) -> Piece:
    name = str(wanted["name"])
    with explained(f"look for the job {name}"):
        jobs = find_jobs(client, settings, name)
        present = settings_of(client, jobs[0]) if jobs else None
    return Piece("job", name, wanted, present, ours=True)


def _tags_of_project(project: Any) -> Iterator[Any]:
    for part in (project.spec, project.status) if project else ():
        yield from (part.custom_tags if part else None) or ()


def _served(client: WorkspaceClient, mark: Mapping[str, str]) -> list[Owned]:
    """Return the endpoints of Model Serving, and the SQL alerts, which have no tags: their text names the project."""
    with explained("list the endpoints of Model Serving"):
        endpoints = [
            Owned("endpoint", str(endpoint.name), (), partial(client.serving_endpoints.delete, str(endpoint.name)))
            for endpoint in client.serving_endpoints.list()
            if _marked({str(tag.key): str(tag.value) for tag in endpoint.tags or ()}, mark)
        ]
    alerts = _looked_up(lambda: list(client.alerts_v2.list_alerts()), "list SQL alerts") or []
    return endpoints + [
        Owned("SQL alert", alert.display_name, (), partial(client.alerts_v2.trash_alert, str(alert.id)))
        for alert in alerts
        if mark_of(mark) in (alert.custom_summary or "")
    ]


def _projects(client: WorkspaceClient, mark: Mapping[str, str]) -> Iterator[Owned]:
    for project in _looked_up(lambda: list(client.postgres.list_projects()), "list Lakebase projects") or []:
        if _marked({str(tag.key): str(tag.value) for tag in _tags_of_project(project)}, mark):
            yield Owned("Lakebase project", str(project.name), (), partial(_gone, client, str(project.name)))


def _remove_job(client: WorkspaceClient, settings: DatabricksSettings, job: BaseJob) -> None:
    """Remove a job, and before it what that of a schedule reaches ZenML with."""
    parameters = settings_of(client, job).get("parameters", ())
    named = {parameter["name"]: parameter.get("default") for parameter in parameters}
    if settings.jobs and (secret := named.get(SECRET)):
        forget(client, settings, secret)
    client.jobs.delete(job.job_id or 0)


def _gone(client: WorkspaceClient, project: str) -> None:
    awaited(client.postgres.delete_project(project), f"remove the Lakebase project {project}")


def _make(client: WorkspaceClient, piece: Piece, mark: Mapping[str, str]) -> None:
    from databricks.sdk.service.catalog import VolumeType

    if piece.kind == "Lakebase project":
        place_project(client, piece.wanted["endpoint"], mark)
        return
    if piece.kind == "schema":
        catalog, _, name = piece.name.partition(".")
        client.schemas.create(
            name, catalog, comment=piece.wanted["comment"], properties=dict(piece.wanted["properties"])
        )
    elif piece.kind == "volume":
        catalog, schema, name = piece.name.split(".")
        client.volumes.create(catalog, schema, name, VolumeType.MANAGED, comment=piece.wanted["comment"])
    else:
        client.workspace.mkdirs(piece.name)


def _change(client: WorkspaceClient, piece: Piece) -> None:
    if piece.kind == "schema":
        client.schemas.update(piece.name, comment=piece.wanted["comment"], properties=dict(piece.wanted["properties"]))
    else:
        client.volumes.update(piece.name, comment=piece.wanted["comment"])


def _looked_up(look: Callable[[], Any], what: str) -> Any:
    """Return what is there, or None."""
    from databricks.sdk.errors import NotFound

    with explained(what):
        try:
            return look()
        except NotFound:
            return None


def _volumes(client: WorkspaceClient, catalog: str, schema: str) -> Iterator[Any]:
    """Yield the volumes of a schema that may be looked into."""
    from databricks.sdk.errors import PermissionDenied

    try:
        yield from client.volumes.list(catalog, schema)
    except PermissionDenied:
        return


def _inside(client: WorkspaceClient, catalog: str, schema: str) -> Iterator[str]:
    yield from (f"table {table.full_name}" for table in client.tables.list(catalog, schema))
    yield from (f"volume {volume.full_name}" for volume in client.volumes.list(catalog, schema))
    models = client.registered_models.list(catalog_name=catalog, schema_name=schema)
    yield from (f"model {model.full_name}" for model in models)


def _marked(properties: Mapping[str, str] | None, mark: Mapping[str, str]) -> bool:
    return mark.items() <= (properties or {}).items()
