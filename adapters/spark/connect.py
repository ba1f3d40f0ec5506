"""The Spark of a Databricks workspace: that of the job or notebook, or Spark Connect from elsewhere."""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from typing import TYPE_CHECKING, Any

from churn.core.errors import ConfigError, StoreError

from .availability import active_session
from .errors import is_of_spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["workspace_session"]


@cache
def workspace_session(host: str | None = None, config_profile: str | None = None) -> SparkSession:
    """Return a session whose times are UTC: the active one, else of `SPARK_REMOTE`, else of Databricks Connect.

    Args:
        host: Address of the workspace; None takes what Databricks Connect finds by itself.
        config_profile: A profile of `~/.databrickscfg`.

    Raises:
        ConfigError: there is no session here, and nothing that could open one.
        StoreError: the workspace does not give one.
    """
    try:
        session = active_session() or _opened(host, config_profile)
        session.conf.set("spark.sql.session.timeZone", "UTC")
    except Exception as error:
        if isinstance(error, ConfigError) or not (is_of_spark(error) or _of_databricks(error)):
            raise
        raise StoreError(
            f"The workspace gives no Spark session ({' '.join(str(error).split())[:300]}): `run.py doctor` says what "
            "it lacks."
        ) from error
    return session


def _opened(host: str | None, config_profile: str | None) -> Any:
    remote = os.environ.get("SPARK_REMOTE")
    if remote:
        from pyspark.sql import SparkSession

        return SparkSession.builder.remote(remote).getOrCreate()
    if not _has_databricks_connect():
        raise ConfigError(
            "Tables in Unity Catalog are read and written by Spark, and there is no session here. Run the command in a "
            "Databricks job or notebook, or in an environment with `pip install databricks-connect` in place of "
            "PySpark (Python 3.12), or set SPARK_REMOTE to a Spark Connect address."
        )
    from databricks.connect import DatabricksSession

    builder = DatabricksSession.builder.serverless(True)
    if config_profile:
        builder = builder.profile(config_profile)
    return (builder.host(host) if host else builder).getOrCreate()


def _has_databricks_connect() -> bool:
    return importlib.util.find_spec("databricks.connect") is not None


def _of_databricks(error: Exception) -> bool:
    return type(error).__module__.startswith("databricks.")
