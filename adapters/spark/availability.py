"""Whether Spark can run here, checked without starting it, and whether a run should use it."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from churn.core.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["OLDEST_JAVA", "active_session", "chosen_engine", "java_version", "trouble"]

OLDEST_JAVA = 17
"""What Spark 4 needs at least."""

_STARTED_BY_SPARK = {"DATABRICKS_RUNTIME_VERSION", "PYSPARK_GATEWAY_PORT"}
"""What Databricks and `spark-submit` set for the programs that they start."""


def java_version() -> int | None:
    """Return the major version of the Java that Spark would start; None where there is none that runs."""
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if program is None:
        return None
    try:
        asked = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    version = re.search(r'version "(?:1\.)?(\d+)', asked.stderr)
    return int(version[1]) if version else None


def trouble() -> str | None:
    """Return what Spark lacks on this machine, a colon and the remedy; None where it can run. Nothing is imported."""
    if importlib.util.find_spec("pyspark") is None:
        return "PySpark is not installed: `make spark`, or `pip install '.[spark]'` in an environment of your own"
    java = java_version()
    if java is None:
        return (
            f"there is no Java: install Java {OLDEST_JAVA} (apt-get install openjdk-17-jre-headless), or set JAVA_HOME"
        )
    if java < OLDEST_JAVA:
        return f"Java is version {java}, and Spark needs {OLDEST_JAVA}: install it, or let JAVA_HOME name it"
    return None


def active_session() -> SparkSession | None:
    """Return the session of a notebook, a job or a cluster that this process runs in; None where there is none."""
    if _STARTED_BY_SPARK & os.environ.keys():
        from pyspark.sql import SparkSession

        return SparkSession.builder.getOrCreate()
    if any(sys.modules.get(name) is None for name in ("pyspark", "pyspark.sql")):
        return None  # nobody can have started one, and the import takes a second
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession()


def chosen_engine(asked: Literal["auto", "local", "spark"], rows: int, spark_from: int) -> Literal["local", "spark"]:
    """Return the engine of a run: the one that was asked for, or the one that fits.

    Args:
        asked: `auto` takes Spark where a session is active, or where it can run and there are many rows.
        rows: How many there are to score, about.
        spark_from: From how many rows on `auto` starts a Spark of its own.

    Raises:
        ConfigError: Spark was asked for and cannot run here.
    """
    if asked == "local" or (asked == "auto" and rows < spark_from and active_session() is None):
        return "local"
    if active_session() is not None:
        return "spark"
    lacking = trouble()
    if lacking and asked == "spark":
        raise ConfigError(f"--engine spark cannot be had here, for {lacking}. Or leave it to --engine local.")
    return "local" if lacking else "spark"
