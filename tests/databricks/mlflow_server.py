"""MLflow's own server, in one process: what `mlflow server` starts, without workers and its job runner.

Arguments: the port, the address of the store, and the root of artifacts.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    port, store, artifacts = sys.argv[1:]
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = os.environ["_MLFLOW_SERVER_REGISTRY_STORE"] = store
    os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = artifacts
    from mlflow.server import app
    from mlflow.server.handlers import initialize_backend_stores
    from werkzeug.serving import run_simple

    initialize_backend_stores(store, store, artifacts)
    run_simple("127.0.0.1", int(port), app, threaded=True)


if __name__ == "__main__":
    main()
