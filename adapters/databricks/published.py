"""The feature table as Databricks publishes it to an online store of its own, beside our rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from churn.core.errors import StoreError
from churn.core.progress import note
from churn.ports.online import OnlineColumns, OnlineWriter, Publication

from ..local.online_postgresql import PostgresOnlineStore
from .workspace import explained, tags_of

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

    from churn.profile import DatabricksSettings

__all__ = ["PublishedOnlineStore", "publish_table", "tell_lag"]


class PublishedOnlineStore(PostgresOnlineStore):
    """Our rows in PostgreSQL; `also` is called after each publication of them that came to its end."""

    def __init__(self, *arguments: Any, also: Callable[[Publication], object], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._also = also

    @contextmanager
    def publishing(self, columns: OnlineColumns, *, full: bool) -> Iterator[OnlineWriter]:
        """Publish our rows, then the table."""
        before = self.publication()
        with super().publishing(columns, full=full) as writer:
            yield writer
        published = self.publication()
        if published is not None and published != before:
            try:
                self._also(published)
            except StoreError as error:  # the endpoint reads our rows: a release does not depend on the other copy
                note("publish", str(error))


def publish_table(client: WorkspaceClient, settings: DatabricksSettings, schema: str, table: str) -> str:
    """Let Databricks publish a feature table, and return the name of the online table.

    Args:
        client: The client.
        settings: The workspace, with `publish_table`.
        schema: `catalog.schema` of the data set.
        table: The feature table.

    Raises:
        StoreError: there is no such online store or it is not available, or the table is refused.
    """
    from databricks.sdk.service.ml import OnlineStoreState, PublishSpec, PublishSpecPublishMode

    asked = settings.publish_table
    assert asked is not None
    with explained(f"look at the online store {asked.online_store}"):
        store = client.feature_store.get_online_store(asked.online_store)
    if store is None or store.state != OnlineStoreState.AVAILABLE:
        state = "not there" if store is None or store.state is None else store.state.value
        raise StoreError(
            f"The online store {asked.online_store} (profile.databricks.publish_table.online_store) is {state}: start "
            "it in the workspace, and publish again. Our own rows are online."
        )
    online = f"{schema}.{table}_online"
    with explained(f"publish {schema}.{table} to the online store {asked.online_store}"):
        client.feature_store.publish_table(
            f"{schema}.{table}",
            PublishSpec(
                online_store=asked.online_store,
                online_table_name=online,
                publish_mode=PublishSpecPublishMode(asked.mode),
                tags=tags_of(settings),
            ),
        )
    return online


def tell_lag(client: WorkspaceClient, online: str, version: int) -> bool:
    """Return whether a synced table has a version of its source, and say so where it lags or has failed.

    Args:
        client: The client.
        online: The full name of the synced table.
        version: The version of the source.
    """
    with explained(f"look at the synced table {online}"):
        status = client.postgres.get_synced_table(f"synced_tables/{online}").status
    state = status.detailed_state.value if status and status.detailed_state else "unknown"
    done = status.last_processed_commit_version if status else None
    if done is not None and done >= version and "FAILED" not in state:
        return True
    has = "nothing yet" if done is None else f"version {done}"
    why = f": {status.message}" if status and status.message else ""
    note(
        "publish",
        f"the synced table {online} has {has} of the features, and version {version} is published ({state}{why}); "
        "our own rows, which the endpoint reads, are of that version. Its page in Catalog Explorer says why it waits",
    )
    return False
