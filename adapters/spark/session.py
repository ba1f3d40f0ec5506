"""The Spark session: the active one of the cluster, else a local one."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.core import errors
from churn.core.errors import ChurnError, ConfigError, StoreError

from .availability import active_session, trouble

if TYPE_CHECKING:
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

__all__ = ["spark_session"]

_HOST = "127.0.0.1"
_LEAST_MEMORY = 512 * 1024**2  # Spark refuses to start with less than 450 MiB
_QUERIES = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
}
_SAYS_NOTHING = "An error occurred while calling"
_UNITS = {"K": 1, "M": 2, "G": 3, "T": 4}


@contextmanager
def spark_session(scratch: Path, *, memory: str = "1GB", threads: int = 2) -> Iterator[SparkSession]:
    """Open a session whose times are UTC; an error of ours in a worker is raised as what it is.

    The session of a cluster lends its cluster: what is set here does not touch what else runs in it. Otherwise Spark is
    started on this machine, reachable from nowhere else, and stopped at the end; what it has to say of itself goes to
    `spark.log` in `scratch`.

    Args:
        scratch: An existing folder for logs and spilled rows.
        memory: What the Java side may take, such as "1GB"; at least 512 MB are given. A Python worker for each thread
            comes on top.
        threads: Tasks at a time.

    Raises:
        ConfigError: neither is there a session nor can one be started here.
        StoreError: Spark gave up.
    """
    active = active_session()
    if active is None:
        with _own_context(scratch, memory, threads) as context:
            from pyspark.sql import SparkSession

            yield SparkSession(context)
    else:
        with _explained(scratch):
            # Spark Connect, which serverless compute is, knows no second session on the same connection.
            session = active.newSession() if hasattr(active, "newSession") else active
            for name, value in _QUERIES.items():
                with _unless_fixed(name):
                    session.conf.set(name, value)
            yield session


@contextmanager
def _unless_fixed(name: str) -> Iterator[None]:
    """Let serverless compute keep what it allows nobody to set; the time zone must be ours."""
    try:
        yield
    except Exception as error:
        if name == "spark.sql.session.timeZone" or "CONFIG_NOT_AVAILABLE" not in str(error):
            raise


@contextmanager
def _own_context(scratch: Path, memory: str, threads: int) -> Iterator[SparkContext]:
    lacking = trouble()
    if lacking:
        raise ConfigError(f"Spark cannot be started here, for {lacking}.")
    from pyspark import SparkConf, SparkContext

    settings = SparkConf(loadDefaults=False).setAll(list(_settings(scratch, memory, threads).items()))
    # Both are read from the environment alone: our Python for the workers, and an address that needs no host name.
    with (
        _explained(scratch),
        _environment(PYSPARK_PYTHON=sys.executable, SPARK_LOCAL_IP=_HOST),
        _java(settings, scratch) as gateway,
        _explained(scratch),  # again, for an error says what it is only while Java is there to be asked
    ):
        context = SparkContext(conf=settings, gateway=gateway)
        try:
            yield context
        finally:
            context.stop()


@contextmanager
def _java(settings: SparkConf, scratch: Path) -> Iterator[Any]:
    """Start the Java process that Spark runs in, and see to it that it ends."""
    from pyspark import SparkContext
    from pyspark.java_gateway import launch_gateway

    with (scratch / "spark.log").open("ab") as log:
        gateway: Any = launch_gateway(settings, {"stdout": log, "stderr": log})  # type: ignore[no-untyped-call]
    try:
        yield gateway
    finally:
        gateway.shutdown()
        gateway.proc.stdin.close()  # which ends the process
        gateway.proc.wait()
        # PySpark would go on with the process that has ended.
        SparkContext._gateway = SparkContext._jvm = None


def _settings(scratch: Path, memory: str, threads: int) -> dict[str, str]:
    return {
        "spark.master": f"local[{threads}]",
        "spark.app.name": "churn",
        "spark.driver.memory": f"{_bytes(memory) // 1024**2}m",
        "spark.driver.host": _HOST,
        "spark.driver.bindAddress": _HOST,
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": f"file://{scratch / 'warehouse'}",
        "spark.sql.shuffle.partitions": str(2 * threads),
        "spark.executorEnv.PYTHONPATH": str(Path(__file__).parents[2]),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        **_QUERIES,
    }


def _bytes(memory: str) -> int:
    amount = re.fullmatch(r"([\d.]+) ?([KMGT])i?B", memory)
    if amount is None:
        raise ConfigError(f"The memory limit {memory!r} is not of the form 1GB: correct `resources.memory_limit`.")
    return max(int(float(amount[1]) * 1024 ** _UNITS[amount[2]]), _LEAST_MEMORY)


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before: Mapping[str, str | None] = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _explained(scratch: Path) -> Iterator[None]:
    """Raise what went wrong in a worker as the error that it was there."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("pyspark.", "py4j.")):
            raise
        ours = re.findall(r"^churn\.core\.errors\.(\w+): (.+)$", str(error), re.MULTILINE)
        if ours:
            name, message = ours[-1]
            raise getattr(errors, name, ChurnError)(message) from error
        message = _message(str(error)) or type(error).__name__
        raise StoreError(
            f"Spark gave up ({message}). See {scratch / 'spark.log'}, or do without Spark: --engine local."
        ) from error


def _message(text: str) -> str:
    """Return what went wrong: the last line of a worker's traceback, or else the first line that says something."""
    lines = [line.strip(": ") for line in text.splitlines() if line.strip() and not line.startswith(_SAYS_NOTHING)]
    return lines[-1 if any(line.startswith("Traceback") for line in lines) else 0] if lines else ""
