"""Ends the records of killed runs in a local MLflow store: runs "running", models "pending"."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse
from urllib.request import url2pathname

from .client import all_pages, ask, connect

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.store.entities import PagedList

__all__ = ["end_killed_runs"]


def end_killed_runs(tracking_uri: str) -> int:
    """End the runs as killed, and remove the models that were not stored to their end, with their files.

    Nothing may write to the store meanwhile. On a server, where others may be at work, nothing is done.

    Returns:
        How many runs and models there were.
    """
    path = Path(tracking_uri.removeprefix("sqlite:///"))
    if not tracking_uri.startswith("sqlite:///") or not path.exists():
        return 0
    client = connect(tracking_uri)

    def clear() -> int:
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        if not experiments:
            return 0

        def page(token: str | None) -> PagedList[Run]:
            return client.search_runs(experiments, "attributes.status = 'RUNNING'", page_token=token)

        runs = list(all_pages(page))
        for run in runs:
            client.set_terminated(run.info.run_id, "KILLED")
        models = [model for model in client.search_logged_models(experiments) if str(model.status) == "PENDING"]
        for model in models:
            client.delete_logged_model(model.model_id)
            place = urlparse(model.artifact_location)
            if place.scheme in ("", "file"):
                shutil.rmtree(url2pathname(place.path), ignore_errors=True)
        return len(runs) + len(models)

    return ask(tracking_uri, "end the runs that were killed", clear)
