from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from churn.core.errors import ContractError
from churn.data.contract import DatasetContract, snake_case

MINIMAL: dict[str, Any] = {
    "name": "gym",
    "description": "Members of a gym.",
    "entity_key": "member_id",
    "event_time": {"column": "month"},
    "label": {"column": "left", "positive": 1, "negative": 0, "window_days": 30},
    "columns": {"visits": {"type": "integer", "description": "visits a month"}},
}


def load(tmp_path: Path, changes: dict[str, Any] | None = None, **more: Any) -> DatasetContract:
    path = tmp_path / "gym.yaml"
    path.write_text(yaml.safe_dump({**MINIMAL, **(changes or {}), **more}))
    return DatasetContract.load(path)


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("customerID", "customer_id"),
        ("SeniorCitizen", "senior_citizen"),
        ("StreamingTV", "streaming_tv"),
        ("Customer ID", "customer_id"),
        ("monthly-charges ($)", "monthly_charges"),
        ("already_snake", "already_snake"),
        ("número de llamadas", "numero_de_llamadas"),
        ("nu\u0301mero", "numero"),
        ("Straße", "strasse"),
        ("customer.id", "customer_id"),
        ("tenure [months]", "tenure_months"),
        ("charge<monthly>", "charge_monthly"),
        ("contrat 📄", "contrat"),
    ],
)
def test_column_names_have_one_spelling(name: str, normal: str) -> None:
    assert snake_case(name) == normal


def test_a_new_dataset_is_one_file(tmp_path: Path) -> None:
    contract = load(tmp_path)
    assert contract.kinds == {"visits": "numeric"}
    assert contract.label.positive == "1"
    assert contract.table("features").key == ("member_id", "transaction_ts")


def test_a_bare_yes_in_yaml_is_text_and_a_bare_true_is_what_a_truth_value_is_spelled_as(tmp_path: Path) -> None:
    path = tmp_path / "gym.yaml"
    text = yaml.safe_dump(MINIMAL).replace("positive: 1", "positive: Yes").replace("negative: 0", "negative: false")
    path.write_text(text)
    label = DatasetContract.load(path).label
    assert (label.positive, label.negative) == ("Yes", "false")


def test_an_as_of_without_a_time_zone_is_utc(tmp_path: Path) -> None:
    contract = load(tmp_path, event_time={"column": None, "as_of": "2024-01-01"})
    assert contract.event_time.as_of == dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def with_column(**column: Any) -> dict[str, Any]:
    return {"columns": {"visits": {"type": "integer", "description": "visits", **column}}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"entity_kee": "x"}, "unknown key `entity_kee`; did you mean 'entity_key'"),
        (with_column(tpye="integer"), "unknown key `columns.visits.tpye`; did you mean 'type'"),
        (with_column(min=5, max=1), "`min` 5 is above `max` 1"),
        (with_column(allowed=["a"]), "has `min` and `max`, not `allowed`"),
        ({"columns": {"Visits": {"type": "integer", "description": "v"}}}, "normalised name, 'visits'"),
        ({"columns": {"left": {"type": "integer", "description": "v"}}}, "the model would learn from it"),
        ({"truth": "visits"}, "the model would learn from it"),
        ({"slices": ["visit"]}, "'visit', which is not in `columns`; did you mean 'visits'"),
        ({"monthly_revenue": "mrr"}, "`monthly_revenue` names 'mrr'"),
        ({"name": "My Gym"}, "lower-case name"),
        ({"event_time": {"column": None}}, "name the `column` of the event time"),
        ({"label": {**MINIMAL["label"], "negative": 1}}, "are both '1'"),
        ({"label": {**MINIMAL["label"], "window_days": -1}}, "label.window_days"),
        ({"features": [{"name": "f", "compute": "x", "inputs": ["visits"], "description": "f"}]}, "neither built in"),
        ({"feature_module": "absent.py"}, "is not a Python file"),
    ],
)
def test_a_wrong_contract_is_refused_with_the_remedy(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        load(tmp_path, changes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: [unclosed", "is not valid YAML at line"),
        (b"- a\n- b", "must hold keys and values"),
        (b"name: \xff\xfe", "UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_contract_is_told_in_words(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "gym.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ContractError, match=message):
        DatasetContract.load(path)


def test_values_of_a_contract_are_spelled_as_those_of_a_table(tmp_path: Path) -> None:
    contract = load(
        tmp_path,
        label={"column": "left", "positive": "True", "negative": "FALSE", "window_days": 30},
        columns={"paid": {"type": "categorical", "allowed": [True, "True", "1.0", "None"], "description": "paid"}},
    )
    assert (contract.label.positive, contract.label.negative) == ("true", "false")
    assert contract.columns["paid"].allowed == ("true", "1", "None")


def test_how_files_are_written_changes_no_digest(tmp_path: Path) -> None:
    assert load(tmp_path, file_format={"encoding": "cp1252", "decimal": ","}).digest == load(tmp_path).digest


@pytest.mark.parametrize(
    ("file_format", "message"),
    [
        ({"encoding": "utf-99"}, "Python knows no encoding 'utf-99'"),
        ({"decimal": ",", "thousands": ","}, "`decimal` and `thousands` are both ','"),
        ({"currency": ""}, "at least 1 character"),
    ],
)
def test_a_file_format_that_cannot_be_is_refused(tmp_path: Path, file_format: dict[str, str], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        load(tmp_path, file_format=file_format)


@pytest.mark.parametrize("name", ["customer_value", "probability", "label", "split", "treated", "ingested_at"])
def test_an_input_cannot_be_called_like_a_column_of_the_tables_themselves(name: str) -> None:
    with pytest.raises(
        ValidationError, match=rf"call it '{name}_input', and list the source's name under its `aliases`"
    ):
        DatasetContract.model_validate(
            {
                "name": "toy",
                "description": "Made-up customers.",
                "entity_key": "customer_id",
                "event_time": {"column": None, "as_of": "2024-01-01"},
                "label": {"column": "churn", "positive": "1", "negative": "0", "window_days": 30},
                "columns": {name: {"type": "number", "description": "something"}},
            }
        )
