"""Fixtures of the tests that run Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from adapters.spark.availability import trouble
from adapters.spark.session import spark_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def java(require: Callable[[object, str], None]) -> Iterator[None]:
    """What Spark needs is there; Java compiles little, for there is little to do."""
    lacking = trouble()
    require(lacking is None, f"Spark; {lacking}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
        yield


@pytest.fixture(scope="module")
def spark(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session as a cluster would have opened it; what asks for one while it is there is lent it."""
    with spark_session(tmp_path_factory.mktemp("spark"), memory="1GB") as session:
        yield session
