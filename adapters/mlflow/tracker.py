"""The record of a training run in MLflow: its settings, data, metrics, files and nested trials."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import pyarrow as pa

from churn.core.errors import StoreError
from churn.ports.studies import Trial
from churn.ports.tables import TableRef
from churn.ports.tracker import ExperimentTracker

from .client import all_pages, ask, connect, ensure_experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, Run
    from mlflow.store.entities import PagedList

__all__ = ["MlflowTracker", "active_run_id"]

T = TypeVar("T")

_A_BATCH = 100  # MLflow takes no more parameters in one request
_DIGEST_CHARACTERS = 36
_STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
_STUDY, _TRIAL, _STATE = "study", "trial", "trial_state"


def active_run_id() -> str | None:
    """Return the id of the run that MLflow's fluent API has open here, as an orchestrator opens it for a step."""
    import mlflow

    run = mlflow.active_run()
    return None if run is None else str(run.info.run_id)


class MlflowTracker(ExperimentTracker):
    """One run of one MLflow experiment.

    As a context manager it ends the run that it opened itself, as failed where an error passes; a run that it was
    attached to is its owner's to end.

    Args:
        tracking_uri: The tracking store.
        experiment: The experiment's name; made where there is none.
        artifact_root: As `ensure_experiment` takes it.
        run_id: The run to attach to; None opens one.
        run_name: The name of a run that is opened.
    """

    def __init__(
        self,
        tracking_uri: str,
        experiment: str,
        artifact_root: str | Path | None,
        run_id: str | None = None,
        run_name: str | None = None,
    ) -> None:
        self._uri = tracking_uri
        self._experiment = experiment
        self._artifact_root = artifact_root
        self._attached_to = run_id
        self._run_name = run_name

    def __enter__(self) -> Self:
        self.run_id()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._attached_to is None:
            status = "FINISHED" if error is None else "FAILED"
            self._ask("end the run", lambda: self._client.set_terminated(self.run_id(), status))

    def run_id(self) -> str:
        """Return the id of the run, opening it on first use."""
        return str(self._run.info.run_id)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record the settings of the run, in batches."""
        self._log(self.run_id(), params, {})

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Record numbers under their names, in batches."""
        self._log(self.run_id(), {}, metrics)

    def log_dataset(self, ref: TableRef, sample: pa.Table, label: str) -> None:
        """Record a table as an input of the run; MLflow keeps 36 characters of a digest, the tag has them all."""
        from mlflow.entities import DatasetInput, InputTag
        from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

        tags = {
            MLFLOW_DATASET_CONTEXT: "training",
            "digest": ref.content_id,
            "version": str(ref.version),
            "label": label,
        }
        dataset = DatasetInput(_dataset(ref, sample), [InputTag(key, value) for key, value in tags.items()])
        self._ask(f"record the table {ref.name!r}", lambda: self._client.log_inputs(self.run_id(), [dataset]))

    def log_trials(self, study: str, trials: Sequence[Trial], objective: str) -> None:
        """Record each trial as a nested run; one that a killed process left half recorded is completed."""
        recorded = self._recorded(study)
        for trial in trials:
            run = recorded.get(trial.number)
            if run is None or run.info.status == "RUNNING":
                self._log_trial(study, trial, objective, run)

    def log_file(self, name: str, content: str | bytes) -> None:
        """Store a file with the run, in place of one of the same name."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.name:
            raise StoreError(f"{name!r} is no name for a file of a run: use a relative path without `..`.")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / path.name
            file.write_bytes(content.encode() if isinstance(content, str) else content)
            within = None if path.parent == PurePosixPath(".") else str(path.parent)
            self._ask(f"store the file {name!r}", lambda: self._client.log_artifact(self.run_id(), str(file), within))

    def describe(self, text: str) -> None:
        """Set the description that MLflow shows on the page of the run."""
        from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

        self._ask("describe the run", lambda: self._client.set_tag(self.run_id(), MLFLOW_RUN_NOTE, text))

    @cached_property
    def _client(self) -> MlflowClient:
        return connect(self._uri)

    @cached_property
    def _run(self) -> Run:
        attached_to = self._attached_to
        if attached_to is not None:
            return self._ask(f"find the run {attached_to!r}", lambda: self._client.get_run(attached_to))
        experiment = ensure_experiment(self._uri, self._experiment, self._artifact_root)
        return self._ask("open a run", lambda: self._client.create_run(experiment, run_name=self._run_name))

    def _ask(self, what: str, call: Callable[[], T]) -> T:
        return ask(self._uri, what, call)

    def _log(self, run_id: str, params: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        from mlflow.entities import Metric, Param

        for name, value in metrics.items():
            if not math.isfinite(value):
                raise StoreError(
                    f"The metric {name!r} is {value}: record finite numbers, and leave out what is undefined."
                )
        now = _now()
        texts = [Param(name, str(value)) for name, value in params.items()]
        numbers = [Metric(name, float(value), now, 0) for name, value in metrics.items()]
        for start in range(0, max(len(texts), len(numbers)), _A_BATCH):
            batch = slice(start, start + _A_BATCH)
            log = partial(self._client.log_batch, run_id, metrics=numbers[batch], params=texts[batch])
            self._ask("record parameters and metrics", log)

    def _log_trial(self, study: str, trial: Trial, objective: str, run: Run | None) -> None:
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

        tags = {MLFLOW_PARENT_RUN_ID: self.run_id(), _STUDY: study, _TRIAL: str(trial.number), _STATE: trial.state}
        end = _now()
        nested = run or self._ask(
            f"open a run for trial {trial.number}",
            lambda: self._client.create_run(
                self._run.info.experiment_id,
                start_time=end - round(trial.seconds * 1000),
                tags=tags,
                run_name=f"trial {trial.number}",
            ),
        )
        run_id = nested.info.run_id
        self._log(run_id, trial.params, {} if trial.value is None else {objective: trial.value})
        self._ask(
            f"end the run of trial {trial.number}",
            lambda: self._client.set_terminated(run_id, _STATUS.get(trial.state, "FINISHED"), end),
        )

    def _recorded(self, study: str) -> dict[int, Run]:
        of_this_run = f"tags.`mlflow.parentRunId` = '{self.run_id()}'"

        def page(token: str | None) -> PagedList[Run]:
            return self._client.search_runs([self._run.info.experiment_id], of_this_run, page_token=token)

        runs: list[Run] = self._ask("list the trials", lambda: list(all_pages(page)))
        return {int(run.data.tags[_TRIAL]): run for run in runs if run.data.tags.get(_STUDY) == study}


def _dataset(ref: TableRef, sample: pa.Table) -> Dataset:
    from mlflow.data.delta_dataset_source import DeltaDatasetSource
    from mlflow.entities import Dataset
    from mlflow.types.schema import ColSpec, Schema

    # By hand: MLflow's own inference from a frame warns of every column of whole numbers.
    schema = Schema([ColSpec(_mlflow_type(column.type), column.name) for column in sample.schema])
    source = DeltaDatasetSource(path=ref.uri, delta_table_version=ref.version)
    return Dataset(
        name=f"{ref.dataset}.{ref.name}",
        digest=ref.content_id[:_DIGEST_CHARACTERS],
        source_type="delta_table",
        source=source.to_json(),
        schema=json.dumps({"mlflow_colspec": schema.to_dict()}),
        profile=json.dumps({"num_rows": ref.rows, "num_columns": sample.num_columns}),
    )


def _mlflow_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "long"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "double"
    return "datetime" if pa.types.is_temporal(kind) else "string"


def _now() -> int:
    return int(time.time() * 1000)
