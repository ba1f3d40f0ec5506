"""PySpark of a runtime: the client of Spark Connect from Sail's environment, whose sessions answer as they do there."""

import atexit
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

_SITE = Path(os.environ["SAIL_SITE"])
sys.path.append(str(_SITE))  # what the client needs and the project does not have, such as gRPC
__path__ = [str(_SITE / "pyspark")]
exec((_SITE / "pyspark" / "__init__.py").read_text(encoding="utf-8"))

from pyspark.sql.connect.session import SparkSession  # noqa: E402
from sail_session import SailSession  # noqa: E402

_opened = SparkSession.Builder.getOrCreate


@cache
def _answering(session: SparkSession) -> SailSession:
    atexit.register(session.stop)  # with two dozen sessions a server stands still
    return SailSession(session, Path(os.environ["SAIL_WAREHOUSE"]))


def _get_or_create(builder: Any) -> Any:
    return _answering(_opened(builder))


SparkSession.Builder.getOrCreate = _get_or_create
