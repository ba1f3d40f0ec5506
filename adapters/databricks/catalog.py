"""One schema of Unity Catalog: SQL statements that only Databricks has, such as keys, comments and tags."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from churn.core.errors import NotFound
from churn.data.tables import EVENT_TIME
from churn.ports.tables import TableRef

from ..spark.errors import explained
from ..spark.frames import arrow_schema, viewed
from ..spark.sql import qualified, quoted, text

__all__ = ["KEPT", "TableText", "UnityCatalog", "frame_at", "key_statements", "text_statements"]

KEY = "churn.key"
"""The table property that holds the columns of the key, as JSON."""
KEPT = "interval 3650 days"
"""How long Databricks keeps replaced files and the log: `run.py data vacuum` decides what goes, not the platform."""
_PROPERTIES = {
    "delta.enableChangeDataFeed": "true",
    "delta.isolationLevel": "Serializable",
    "delta.logRetentionDuration": KEPT,
    "delta.deletedFileRetentionDuration": KEPT,
}


@dataclass(frozen=True)
class TableText:
    """What a table says of itself in Catalog Explorer.

    Attributes:
        comment: What a row is.
        columns: What each column means, by name; names that the table lacks are passed over.
        tags: Keys and values.
    """

    comment: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def key_statements(table: str, constraint: str, key: Iterable[str], nullable: Iterable[str] = ()) -> list[str]:
    """Return what makes a key the primary key of a table, whatever that was before.

    Args:
        table: Its full name, quoted.
        constraint: The name of the constraint.
        key: The columns; the event time is a time series, by which Databricks joins as of a time.
        nullable: Those that are null in some row, where the key has grown: there is no primary key then.
    """
    columns, gaps = list(key), set(nullable)
    statements = [f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {quoted(constraint)}"]
    statements += [
        f"ALTER TABLE {table} ALTER COLUMN {quoted(name)} SET NOT NULL" for name in columns if name not in gaps
    ]
    if not gaps:
        parts = ", ".join(quoted(name) + (" TIMESERIES" if name == EVENT_TIME else "") for name in columns)
        statements.append(f"ALTER TABLE {table} ADD CONSTRAINT {quoted(constraint)} PRIMARY KEY ({parts})")
    return statements


def text_statements(table: str, texts: TableText, comments: Mapping[str, str | None]) -> list[str]:
    """Return what gives a table its comment and tags, and columns their comments.

    Args:
        table: Its full name, quoted.
        texts: The comment, tags and meanings of columns that it should have.
        comments: The present comments of its columns, by name.
    """
    statements = [
        f"ALTER TABLE {table} ALTER COLUMN {quoted(name)} COMMENT {text(meaning)}"
        for name, meaning in texts.columns.items()
        if name in comments and comments[name] != meaning
    ]
    if texts.comment:
        statements.append(f"COMMENT ON TABLE {table} IS {text(texts.comment)}")
    if texts.tags:
        pairs = ", ".join(f"{text(key)} = {text(value)}" for key, value in texts.tags.items())
        statements.append(f"ALTER TABLE {table} SET TAGS ({pairs})")
    return statements


def frame_at(session: Any, ref: TableRef) -> Any:
    """Return the rows of a version, as batch scoring reads them."""
    schema, _, table = ref.uri.rpartition(".")
    return UnityCatalog(session, schema).rows(table, ref.version)


class UnityCatalog:
    """The tables of one schema.

    Args:
        session: A Spark session of the workspace, classic or Spark Connect, whose times are UTC.
        schema: Catalog and schema, such as `main.telco`.
    """

    def __init__(self, session: Any, schema: str) -> None:
        self.session = session
        self.schema = schema

    def name(self, table: str) -> str:
        """Return the full name of a table as SQL writes it."""
        return f"{qualified(self.schema)}.{quoted(table)}"

    def newest(self, table: str) -> int | None:
        """Return the newest version of a table; None where there is none."""
        history = self.history(table, newest_only=True)
        return max(history) if history else None

    def history(self, table: str, *, newest_only: bool = False) -> dict[int, dt.datetime]:
        """Return when each version of a table was committed (UTC); nothing where there is no table."""
        try:
            with explained(f"the table {self.schema}.{table}", gone="no table"):
                history = self.session.sql(f"DESCRIBE HISTORY {self.name(table)}")
                rows = (history.limit(1) if newest_only else history).toArrow()
        except NotFound:
            return {}
        if "version" not in rows.column_names:  # another writer is making the table: it has no version yet
            return {}
        commits = rows.select(["version", "timestamp"]).to_pylist()
        return {commit["version"]: commit["timestamp"].astimezone(dt.UTC) for commit in commits}

    def key(self, table: str) -> tuple[str, ...]:
        """Return the columns that identify a row, as the table says; empty where it does not."""
        return tuple(json.loads(self.properties(table).get(KEY, "[]")))

    def properties(self, table: str) -> dict[str, str]:
        """Return the properties of a table."""
        rows = self.session.sql(f"SHOW TBLPROPERTIES {self.name(table)}").toArrow().to_pylist()
        return {row["key"]: row["value"] for row in rows}

    def rows(self, table: str, version: int | None = None) -> Any:
        """Return a table as a frame, as it was at a version or is now."""
        at = "" if version is None else f" VERSION AS OF {version}"
        return self.session.sql(f"SELECT * FROM {self.name(table)}{at}")

    def create(self, table: str, rows: Any, key: Iterable[str], **properties: str) -> None:
        """Make a table of a frame in one commit, which nobody sees half of.

        Raises:
            Outrun: there is a table by now.
        """
        properties = {**self.properties_at_creation(), KEY: json.dumps(list(key)), **properties}
        pairs = ", ".join(f"{text(name)} = {text(value)}" for name, value in properties.items())
        with viewed(rows) as view:
            self.run(
                table, f"CREATE TABLE {self.name(table)} USING DELTA TBLPROPERTIES ({pairs}) AS SELECT * FROM {view}"
            )

    def append(self, table: str, rows: Any) -> None:
        """Add the rows of a frame to a table."""
        with explained(f"the table {self.schema}.{table}"):
            rows.write.format("delta").mode("append").saveAsTable(self.name(table))

    def overwrite(self, table: str, rows: Any, *, other_columns: bool) -> None:
        """Make a frame the whole content of a table, in one commit.

        Args:
            table: The table.
            rows: The rows.
            other_columns: Whether the columns become those of `rows`, too.
        """
        with explained(f"the table {self.schema}.{table}"):
            written = rows.write.format("delta").mode("overwrite")
            written.option("overwriteSchema", str(other_columns).lower()).saveAsTable(self.name(table))

    def drop(self, table: str) -> None:
        """Remove a table with all its versions, if it is there."""
        self.run(table, f"DROP TABLE IF EXISTS {self.name(table)}")

    def properties_at_creation(self) -> dict[str, str]:
        """Return the properties that every table of ours has."""
        return dict(_PROPERTIES)

    def declare(self, table: str, key: Iterable[str], texts: TableText, nullable: Iterable[str] = ()) -> None:
        """Give a table its key, comment and tags; what a row holds stays."""
        key_columns, name = tuple(key), self.name(table)
        if self.key(table) != key_columns:
            self.run(table, f"ALTER TABLE {name} SET TBLPROPERTIES ({text(KEY)} = {text(json.dumps(key_columns))})")
        comments = {field.name: field.metadata.get("comment") for field in self.rows(table).schema.fields}
        key_comes = key_statements(name, f"{table}_key", key_columns, nullable)
        self.govern(table, [*key_comes, *text_statements(name, texts, comments)])

    def release(self, table: str) -> None:
        """Drop the primary key, so that columns of it may go."""
        self.govern(table, [f"ALTER TABLE {self.name(table)} DROP CONSTRAINT IF EXISTS {quoted(f'{table}_key')}"])

    def govern(self, table: str, statements: Iterable[str]) -> None:
        """Run statements that change what Unity Catalog says of a table, and no row."""
        for statement in statements:
            self.run(table, statement)

    def vacuum(self, table: str, since: dt.datetime | None = None) -> int:
        """Remove the files that no version since a time needs, or but the newest; return their bytes as the log says.

        Deletion vectors are applied first, for they hide rows that the files still hold. An hour is added, for the
        clock runs on until Databricks begins.
        """
        name, hours = self.name(table), 0
        if since is not None:
            hours = max(0, math.ceil((self.now() - since).total_seconds() / 3600) + 1)
        set_retention = "ALTER TABLE {} SET TBLPROPERTIES ('delta.deletedFileRetentionDuration' = '{}')"
        self.govern(table, [f"REORG TABLE {name} APPLY (PURGE)", set_retention.format(name, f"interval {hours} hours")])
        try:
            self.run(table, f"VACUUM {name}")
        finally:
            self.govern(table, [set_retention.format(name, KEPT)])
        history = self.session.sql(f"DESCRIBE HISTORY {name}").where("operation = 'VACUUM START'")
        metrics = [row["operationMetrics"] for row in history.limit(1).toArrow().to_pylist()]
        return int(dict(metrics[0] or ()).get("sizeOfDataToDelete", 0)) if metrics else 0

    def now(self) -> dt.datetime:
        """Return the engine's time (UTC), which is that of the commits."""
        server_time: dt.datetime = self.session.sql("SELECT current_timestamp() AS now").toArrow()["now"][0].as_py()
        return server_time.astimezone(dt.UTC)

    def tables(self) -> list[str]:
        """Return the names of the schema's tables."""
        rows = self.session.sql(f"SHOW TABLES IN {qualified(self.schema)}").toArrow().to_pylist()
        return sorted(row["tableName"] for row in rows)

    def fetched(self, table: str, rows: Any) -> pa.Table:
        """Return the rows of a frame, in the types that tables hold; raises as `explained` does."""
        with explained(f"the table {self.schema}.{table}"):
            return rows.toArrow().cast(arrow_schema(rows))

    def run(self, table: str, statement: str) -> pa.Table:
        """Run a statement about a table; raises as `explained` does."""
        with explained(f"the table {self.schema}.{table}"):
            return self.session.sql(statement).toArrow()
