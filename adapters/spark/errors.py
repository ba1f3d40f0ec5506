"""Errors of Spark as errors of this project."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from churn.core.errors import NotFound, StoreError, WriteConflict

__all__ = ["Outrun", "explained", "is_of_spark", "until_first"]

Result = TypeVar("Result")
_ATTEMPTS = 20
_LONGEST_PAUSE = 2.0  # seconds
_CONFLICT = re.compile(
    r"DELTA_CONCURRENT|Concurrent\w+Exception|DELTA_METADATA_CHANGED|MetadataChangedException|DELTA_PROTOCOL_CHANGED|"
    r"Failed to commit transaction|ALREADY_EXISTS|already exists",
    re.IGNORECASE,
)
_GONE = re.compile(
    r"TABLE_OR_VIEW_NOT_FOUND|TABLE_NOT_FOUND|VERSION_NOT_FOUND|FILE_NOT_(FOUND|EXIST)|VersionNotFound|no such file|"
    r"does not exist|not found|Missing commit file|No commit files found",  # the last: its writer has not committed yet
    re.IGNORECASE,
)


class Outrun(Exception):
    """Another writer made the next version first; nothing was written."""


def is_of_spark(error: Exception) -> bool:
    """Return whether an error comes from Spark, or from the way to it."""
    return type(error).__module__.startswith(("pyspark.", "py4j.", "grpc."))


@contextmanager
def explained(what: str, *, gone: str = "") -> Iterator[None]:
    """Raise what Spark refuses as an error of this project.

    Args:
        what: What is worked on, in words, such as `the table main.telco.features`.
        gone: What to say where that is not there.

    Raises:
        Outrun: another writer was faster.
        NotFound: it is not there; only where `gone` says what that means.
        StoreError: anything else.
    """
    try:
        yield
    except Exception as error:
        if not is_of_spark(error):
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        if _CONFLICT.search(message):
            raise Outrun(message) from error
        if gone and _GONE.search(message):
            raise NotFound(gone) from error
        raise StoreError(
            f"Spark refused to work on {what} ({message[:500]}): `run.py doctor` says what the workspace lacks."
        ) from error


def until_first(what: str, attempt: Callable[[], Result]) -> Result:
    """Repeat an attempt until no other writer is faster.

    Raises:
        WriteConflict: other writers kept winning.
    """
    for number in range(_ATTEMPTS):
        try:
            return attempt()
        except Outrun:
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.02 * 2**number)))
    raise WriteConflict(f"Others changed {what} at each of {_ATTEMPTS} attempts: run the same command again.")
