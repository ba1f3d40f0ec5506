"""The features pipeline as a user types it: the first run on a machine, then IBM's table, again and in part."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from churn.data.tables import EVENT_TIME, INGESTED_AT
from churn.ports.tables import TableRef
from tests.e2e.project import ROOT, Callers, Project, Ran

pytestmark = pytest.mark.timeout(300)

CHANGED, ADDED = 10, 5
SECRETS = {
    name: f"of-{name.lower()}-7Qx"
    for name in ("CHURN_ONLINE_PASSWORD", "MLFLOW_TRACKING_PASSWORD", "DATABRICKS_TOKEN", "PGPASSWORD")
}


@pytest.fixture(scope="module")
def project(new_user: Callable[..., Project]) -> Project:
    return new_user("features", fresh=True).with_environment(**SECRETS)


@pytest.fixture(scope="module")
def checkout() -> set[str]:
    return set(entries(ROOT))


@pytest.fixture(scope="module")
def first(project: Project, checkout: set[str]) -> Ran:
    return project.run_cold(*project.arguments("features"))


@pytest.fixture(scope="module")
def telco(project: Project, first: Ran, telco_csv: Path) -> Ran:
    return project.features(dataset="telco", data=telco_csv).succeeded()


@pytest.fixture(scope="module")
def telco_tables(project: Project, telco: Ran) -> dict[str, TableRef]:
    return project.tables("telco")


@pytest.fixture(scope="module")
def update(project: Project, telco_csv: Path) -> Path:
    """The last rows of IBM's file with some charges changed, and some customers more."""
    with telco_csv.open(newline="") as file:
        rows = list(csv.DictReader(file))[-100:]
    for row in rows[:CHANGED]:
        row["MonthlyCharges"] = "99.5"
    rows += [{**row, "customerID": f"NEW-{number}"} for number, row in enumerate(rows[:ADDED])]
    path = project.work / "update.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def entries(folder: Path) -> list[str]:
    caches = ("__pycache__", ".hypothesis", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache")
    return sorted(path.name for path in folder.iterdir() if path.name not in caches)


def rows_of(project: Project, ref: TableRef) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = project.store(ref.dataset).read(ref).drop_columns([INGESTED_AT]).to_pylist()
    return rows


def test_the_first_run_on_a_machine_ends_with_a_summary_and_without_a_complaint(project: Project, first: Ran) -> None:
    assert first.succeeded().cached == set()
    assert "1,800 of 1,800 rows accepted, 0 in quarantine." in first.out
    assert f"Table   {project.state}/tables/telco_simulated/churn_features, version 0, 1,800 rows" in first.out
    assert "Next    python run.py --pipeline training" in first.out


def test_no_secret_of_the_environment_is_in_anything_that_it_leaves(project: Project, first: Ran) -> None:
    left = [path for place in (project.state, project.home) for path in place.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in left)
    assert any(path.suffix == ".log" for path in left)
    contents = {str(path): path.read_bytes() for path in left} | {"printed": (first.out + first.err).encode()}
    assert {
        place for place, content in contents.items() for one in SECRETS.values() if one.encode() in content
    } == set()


def test_it_writes_in_the_home_and_in_the_state_folder_alone(project: Project, checkout: set[str], first: Ran) -> None:
    assert entries(project.work) == []
    assert entries(project.temporary) == []
    assert set(entries(ROOT)) - checkout == set()
    assert entries(project.state) == [*("artifacts", "durations.json", "logs", "mlflow.db", "mlflow.db.lock", "tables")]


def test_it_calls_nobody(project: Project, first: Ran, callers: Callers) -> None:
    assert callers.called == []
    refused = project.run("data", "fetch", "telco", f"--set=profile.state={project.state}")
    assert "telco" in refused.paragraph
    assert callers.called[0].startswith("CONNECT raw.githubusercontent.com"), "the proxy hears who is called"


def test_a_simulation_fills_every_table(project: Project, first: Ran) -> None:
    tables = project.tables("telco_simulated")
    assert {name: ref.rows for name, ref in tables.items()} == {
        "bronze_customers": 1800,
        "churn_features": 1800,
        "churn_labels": 900,
    }
    features = project.store("telco_simulated").read(tables["churn_features"])
    assert not {"churn", "label", "true_probability"} & set(features.column_names)


def test_ibms_file_loads_as_it_is_published(project: Project, telco: Ran, telco_tables: dict[str, TableRef]) -> None:
    assert "7,043 of 7,043 rows accepted, 0 in quarantine." in telco.out
    assert {ref.rows for ref in telco_tables.values()} == {7043}
    features = rows_of(project, telco_tables["churn_features"])
    without_bill = [row for row in features if row["total_charges"] is None]
    assert [row["tenure"] for row in without_bill] == [0] * 11
    labels = rows_of(project, telco_tables["churn_labels"])
    assert sum(row["label"] for row in labels) == 1869


def test_the_same_file_again_changes_no_table(
    project: Project, telco_csv: Path, telco_tables: dict[str, TableRef]
) -> None:
    project.features(dataset="telco", data=telco_csv).succeeded()
    assert project.tables("telco") == telco_tables


def test_a_file_that_overlaps_replaces_rows_and_adds_others(
    project: Project, update: Path, telco_tables: dict[str, TableRef]
) -> None:
    project.features(dataset="telco", data=update).succeeded()
    tables = project.tables("telco")
    before, after = (
        {(row["customer_id"], row[EVENT_TIME]): row for row in rows_of(project, one["churn_features"])}
        for one in (telco_tables, tables)
    )
    assert len(after) == 7043 + ADDED
    changed = [row for key, row in after.items() if before.get(key) != row and key in before]
    assert [row["monthly_charges"] for row in changed] == [99.5] * CHANGED
    assert {ref.version for ref in tables.values()} == {1}
    assert len(before) == 7043, "the version before is there still"
