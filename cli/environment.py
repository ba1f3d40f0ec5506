"""Environment variables of the libraries, set before they are imported: no telemetry, only useful warnings."""

from __future__ import annotations

import gc
import os
import warnings

__all__ = ["prepare"]

_QUIET = {
    "ZENML_ANALYTICS_OPT_IN": "false",
    "ZENML_LOGGING_VERBOSITY": "ERROR",
    "ZENML_ENABLE_RICH_TRACEBACK": "false",
    "ZENML_ENABLE_REPO_INIT_WARNINGS": "false",
    "ZENML_DISABLE_CLIENT_SERVER_MISMATCH_WARNING": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # it logs, with a traceback, what it raises as well
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "true",
}


_NEW_OBJECTS = 100_000
"""Between two collections of garbage: by default they cost a second and a half while the libraries are imported."""


def prepare(debug: bool) -> None:
    """Set what the user has not set; with `debug` the libraries say all they have to say."""
    gc.set_threshold(_NEW_OBJECTS)
    for name, value in _QUIET.items():
        if not (debug and ("LOGGING" in name or "WARNING" in name)):
            os.environ.setdefault(name, value)
    if not debug:
        warnings.simplefilter("ignore")
