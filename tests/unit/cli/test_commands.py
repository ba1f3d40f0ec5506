"""The commands beside the pipelines, as far as they need neither a network nor a server."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pandas as pd
import pytest
import yaml

from churn.data.contract import DatasetContract
from churn.settings import Settings
from cli import commands
from cli.context import configuration_of
from cli.parser import build_parser

SMALL = "--set simulation.customers=40 --set simulation.months=4"


def run(line: str) -> int:
    arguments = build_parser().parse_args(shlex.split(line))
    action = "_".join(filter(None, [arguments.command, getattr(arguments, "action", None)]))
    code: int = getattr(commands, action)(arguments)
    return code


def test_the_settings_in_force_are_shown_as_a_file_that_can_be_used_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "config show --set seed=7 --set training_set.cutoff=2024-05-01 --set split.salt=No --data ü.csv"
    assert run(line) == 0
    (tmp_path / "shown.yaml").write_text(capsys.readouterr().out, encoding="utf-8")
    again = configuration_of(build_parser().parse_args(["config", "show", "--config", str(tmp_path / "shown.yaml")]))
    assert again == configuration_of(build_parser().parse_args(shlex.split(line)))


def test_the_schema_knows_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("config schema") == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["properties"]) == set(Settings.model_fields)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("dataset", ["telco_simulated", "saas_simulated"])
def test_simulated_customers_are_written_where_the_user_says(
    dataset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new folder" / "rows.parquet"
    assert run(f"data simulate {SMALL} --dataset {dataset} --out '{path}'") == 0
    told = capsys.readouterr().out
    rows = pd.read_parquet(path)
    assert f"{len(rows):,} simulated rows of {dataset}: {path}\n" in told
    assert len(rows) == 160
    command = shlex.split(told.splitlines()[-1].partition("python run.py ")[2])
    arguments = build_parser().parse_args(command)
    assert (arguments.pipeline, arguments.dataset, arguments.data) == (
        "training",
        dataset.removesuffix("_simulated"),
        path,
    )


def test_simulated_customers_are_written_below_the_state_folder_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"data simulate {SMALL} --set profile.state={tmp_path}") == 0
    assert str(tmp_path / "data" / "telco_simulated.parquet") in capsys.readouterr().out
    assert (tmp_path / "data" / "telco_simulated.parquet").is_file()


def test_a_simulation_is_written_even_where_the_settings_name_a_table(tmp_path: Path) -> None:
    out = tmp_path / "rows.parquet"
    assert run(f"data simulate {SMALL} --data nowhere.csv --out {out}") == 0
    assert len(pd.read_parquet(out)) == 160


@pytest.fixture
def members(tmp_path: Path) -> Path:
    """A table of the user's own, in a file with a name that a dataset may not have."""
    rows = 120
    frame = pd.DataFrame(
        {
            "Member ID": [f"m{row:03d}" for row in range(rows)],
            "Plan": ["gold", "basic", "silver"] * (rows // 3),
            "Visits": [row % 17 for row in range(rows)],
            "Churned": ["Yes" if row % 4 == 0 else "No" for row in range(rows)],
        }
    )
    path = tmp_path / "members_simulated.csv"
    frame.to_csv(path, index=False)
    return path


def test_a_drafted_contract_can_be_used_as_it_is(
    members: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"dataset infer {members}") == 0
    draft = capsys.readouterr().out
    (tmp_path / "mine.yaml").write_text(draft)
    contract = DatasetContract.load(tmp_path / "mine.yaml")
    assert (contract.name, contract.entity_key, contract.label.column) == ("members_simulated", "member_id", "churned")
    assert set(contract.columns) == {"plan", "visits"}


def test_a_draft_goes_by_what_the_user_says(members: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"dataset infer {members} --name gym --key Member_ID --label churned") == 0
    draft = yaml.safe_load(capsys.readouterr().out)
    assert (draft["name"], draft["entity_key"], draft["label"]["column"]) == ("gym", "member_id", "churned")
