"""The application of MLflow's pages, restricted to its own address; `adapters.local.zenml_ui` starts it.

MLflow itself lets the pages of every server of this machine change what it holds.
"""

from __future__ import annotations

import os

from ..local.guard import OwnAddressOnly

__all__ = ["STORE", "guarded"]

STORE = "CHURN_MLFLOW_STORE"
"""The environment variable with the address of the store."""


def guarded() -> OwnAddressOnly:
    """Return MLflow's application on the store that the environment names; raises as MLflow does if it is none."""
    from mlflow.server import constants
    from mlflow.server.handlers import initialize_backend_stores

    uri, root = os.environ[STORE], "mlflow-artifacts:/"
    # As `mlflow server` sets them for the processes that it starts.
    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: uri,
        constants.REGISTRY_STORE_URI_ENV_VAR: uri,
        constants.ARTIFACT_ROOT_ENV_VAR: root,
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: "./mlartifacts",
    }
    initialize_backend_stores(uri, uri, root)
    from mlflow.server.fastapi_app import app

    return OwnAddressOnly(app)
