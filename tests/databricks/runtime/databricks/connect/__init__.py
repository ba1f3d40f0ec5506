"""Databricks Connect for tests: its builder, which opens a session on Sail."""

from __future__ import annotations

import os
from typing import Any, Self


class DatabricksSession:
    """What the project calls of Databricks Connect's own."""

    class builder:  # noqa: N801 - its name there
        """Takes what it is told, and finds the one server that there is."""

        @classmethod
        def serverless(cls, enabled: bool) -> type[Self]:
            """Serverless compute."""
            assert enabled
            return cls

        @classmethod
        def host(cls, host: str) -> type[Self]:
            """The address of the workspace."""
            assert host.startswith("http")
            return cls

        @classmethod
        def getOrCreate(cls) -> Any:
            """Return the session of this process."""
            from pyspark.sql import SparkSession

            return SparkSession.builder.remote(os.environ["SAIL_REMOTE"]).getOrCreate()
