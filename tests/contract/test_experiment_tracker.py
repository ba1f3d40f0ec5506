"""What every experiment tracker keeps of its port's promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from adapters.mlflow.tracker import MlflowTracker
from churn.core.errors import StoreError
from churn.ports.studies import Trial
from churn.ports.tables import TableRef
from churn.ports.tracker import ExperimentTracker
from tests.fakes.ports.tracker import InMemoryTracker


@dataclass
class Recorded:
    """A run's record as it can be read back."""

    params: dict[str, str]
    metrics: dict[str, float]
    datasets: dict[str, tuple[str, int, int]]
    trials: dict[tuple[str, int], tuple[str, float | None, dict[str, str], float]]
    files: dict[str, bytes]
    note: str


@dataclass
class Place:
    """A tracker, and how to read what it recorded."""

    tracker: ExperimentTracker
    read: Callable[[], Recorded]


def in_memory(folder: Path) -> Place:
    tracker = InMemoryTracker()

    def read() -> Recorded:
        return Recorded(
            tracker.params,
            tracker.metrics,
            {name: (ref.content_id, ref.version, ref.rows) for name, ref in tracker.datasets.items()},
            {
                key: (t.state, t.value, {name: str(value) for name, value in t.params.items()}, t.seconds)
                for key, t in tracker.trials.items()
            },
            tracker.files,
            tracker.note,
        )

    return Place(tracker, read)


def mlflow_on_sqlite(folder: Path) -> Place:
    uri = f"sqlite:///{folder}/mlflow.db"
    tracker = MlflowTracker(uri, "training", folder / "artifacts")
    return Place(tracker, lambda: read_mlflow(uri, tracker.run_id()))


def read_mlflow(uri: str, run_id: str) -> Recorded:
    import json

    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    run = client.get_run(run_id)
    nested = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'")
    root = Path(run.info.artifact_uri.removeprefix("file://"))
    return Recorded(
        run.data.params,
        run.data.metrics,
        {
            each.dataset.name: (
                {tag.key: tag.value for tag in each.tags}["digest"],
                json.loads(each.dataset.source)["delta_table_version"],
                json.loads(each.dataset.profile)["num_rows"],
            )
            for each in run.inputs.dataset_inputs
        },
        {
            (trial.data.tags["study"], int(trial.data.tags["trial"])): (
                trial.data.tags["trial_state"],
                trial.data.metrics.get("log_loss"),
                trial.data.params,
                (trial.info.end_time - trial.info.start_time) / 1000,
            )
            for trial in nested
        },
        {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()},
        run.data.tags.get("mlflow.note.content", ""),
    )


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tracker")


@pytest.fixture(params=[in_memory, mlflow_on_sqlite])
def place(request: pytest.FixtureRequest, stores: Path) -> Place:
    made = request.param(stores)
    made.tracker.run_id()
    return made


TRIAL = Trial(number=0, state="COMPLETE", value=0.41, params={"depth": 2, "learning_rate": 0.08}, seconds=12.5)


def test_the_same_run_answers_every_time(place: Place) -> None:
    assert place.tracker.run_id() == place.tracker.run_id() != ""


def test_settings_are_recorded_as_text_and_the_same_again_changes_nothing(place: Place) -> None:
    settings = {"seed": 7, "dataset": "telco", "budget": None, "share": 0.2}
    place.tracker.log_params(settings)
    place.tracker.log_params(settings)
    assert place.read().params == {"seed": "7", "dataset": "telco", "budget": "None", "share": "0.2"}


def test_more_settings_than_one_request_takes_are_all_recorded(place: Place) -> None:
    place.tracker.log_params({f"setting_{index}": index for index in range(250)})
    assert len(place.read().params) == 250


def test_a_setting_cannot_change_its_value(place: Place) -> None:
    place.tracker.log_params({"seed": 7})
    with pytest.raises(StoreError, match="seed"):
        place.tracker.log_params({"seed": 8})
    assert place.read().params == {"seed": "7"}


def test_metrics_are_recorded_under_their_names(place: Place) -> None:
    place.tracker.log_metrics({"roc_auc": 0.847, "slice/contract": 0.5})
    assert place.read().metrics == {"roc_auc": 0.847, "slice/contract": 0.5}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_that_is_no_finite_number_is_refused(place: Place, value: float) -> None:
    with pytest.raises(StoreError, match="lift"):
        place.tracker.log_metrics({"auc": 0.8, "lift": value})
    assert place.read().metrics == {}


def test_a_table_is_an_input_with_its_digest_and_version(place: Place) -> None:
    ref = TableRef(
        dataset="telco", name="churn_training", version=3, rows=7, content_id="d" * 64, key=("id",), uri="/tables/t"
    )
    sample = pa.table({"id": ["a"], "tenure": [3], "charges": [7.5], "senior": [True]})
    place.tracker.log_dataset(ref, sample, label="label")
    assert place.read().datasets == {"telco.churn_training": ("d" * 64, 3, 7)}


def test_each_trial_is_recorded_with_what_it_tried_and_took(place: Place) -> None:
    pruned = Trial(number=1, state="PRUNED", value=None, params={"depth": 6}, seconds=1.0)
    place.tracker.log_trials("telco-a1", [TRIAL, pruned], "log_loss")
    assert place.read().trials == {
        ("telco-a1", 0): ("COMPLETE", 0.41, {"depth": "2", "learning_rate": "0.08"}, 12.5),
        ("telco-a1", 1): ("PRUNED", None, {"depth": "6"}, 1.0),
    }


def test_a_trial_that_is_recorded_already_is_left_alone(place: Place) -> None:
    place.tracker.log_trials("telco-a1", [TRIAL], "log_loss")
    place.tracker.log_trials(
        "telco-a1", [TRIAL, Trial(number=1, state="FAIL", value=None, params={"depth": 3}, seconds=0.5)], "log_loss"
    )
    assert sorted(number for _, number in place.read().trials) == [0, 1]


def test_trials_of_two_studies_do_not_mix(place: Place) -> None:
    place.tracker.log_trials("telco-a1", [TRIAL], "log_loss")
    place.tracker.log_trials("telco-b2", [TRIAL], "log_loss")
    assert sorted(place.read().trials) == [("telco-a1", 0), ("telco-b2", 0)]


def test_files_are_stored_under_their_names_as_text_or_bytes(place: Place) -> None:
    place.tracker.log_file("report.html", "<p>Zürich</p>\n")
    place.tracker.log_file("plots/roc.svg", b"\x00\r\n")
    place.tracker.log_file("report.html", "<p>Bern</p>\n")
    assert place.read().files == {"report.html": b"<p>Bern</p>\n", "plots/roc.svg": b"\x00\r\n"}


@pytest.mark.parametrize("name", ["../escape.txt", "/tmp/absolute.txt", "a/../../b"])
def test_a_file_cannot_leave_the_run(place: Place, name: str) -> None:
    with pytest.raises(StoreError, match="no name for a file"):
        place.tracker.log_file(name, "x")
    assert place.read().files == {}


def test_a_run_is_described_in_markdown_and_the_last_word_counts(place: Place) -> None:
    place.tracker.describe("**refused**")
    place.tracker.describe("**passed** | 0.85 |")
    assert place.read().note == "**passed** | 0.85 |"
