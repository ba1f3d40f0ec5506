"""From parsed arguments to the settings and the contract of a run."""

from __future__ import annotations

import argparse
import datetime as dt
import shlex
from pathlib import Path

import pytest

from churn.core.errors import ConfigError
from cli.context import CONFIGS, configuration_of, remember, repeated, session_of
from cli.parser import build_parser


def parsed(*line: str):  # type: ignore[no-untyped-def]
    return build_parser().parse_args(["config", "show", *line])


def test_without_arguments_the_shipped_settings_hold() -> None:
    settings, profile, contract = session_of(parsed())
    assert (settings.dataset, settings.data, profile.name) == ("telco_simulated", None, "local")
    assert profile.state == CONFIGS.parent / ".churn"
    assert contract.name == "telco_simulated"


@pytest.mark.parametrize("name", ["customers.csv", "it's mine: 1.csv", "{a}, [b] #c.csv", "No", "007", " x ", "ü.csv"])
def test_a_table_is_found_from_the_working_folder_whatever_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert configuration_of(parsed("--data", name)).settings.data == tmp_path / name


@pytest.mark.parametrize("name", ["saas", "my's: {contract}.yaml", "No", "007"])
def test_a_dataset_is_taken_by_the_name_that_was_typed(name: str) -> None:
    assert configuration_of(parsed("--dataset", name)).settings.dataset == name


def test_an_argument_of_its_own_wins_over_set_and_set_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("dataset: telco\nseed: 3\ndata: in_the_file.csv\n")
    line = ["--config", str(tmp_path / "mine.yaml"), "--set", "dataset=other", "--set", "seed=5"]
    settings, _, contract = session_of(parsed(*line, "--dataset", "saas"))
    assert (settings.dataset, settings.seed, settings.data) == ("saas", 5, Path("in_the_file.csv"))
    assert contract.name == "saas"


def scoring(*options: str) -> argparse.Namespace:
    return build_parser().parse_args(["--pipeline", "inference", *options])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2024-06-30", dt.datetime(2024, 6, 30, tzinfo=dt.UTC)),
        ("2024-06-30T12:30", dt.datetime(2024, 6, 30, 12, 30, tzinfo=dt.UTC)),
        ("2024-06-30T12:30+02:00", dt.datetime(2024, 6, 30, 10, 30, tzinfo=dt.UTC)),
    ],
)
def test_a_time_to_score_at_is_utc_unless_it_says_otherwise(typed: str, meant: dt.datetime) -> None:
    inference = configuration_of(scoring("--as-of", typed, "--engine", "local")).settings.inference
    assert (inference.as_of, inference.engine) == (meant, "local")


@pytest.mark.parametrize("typed", ["yesterday", "2024", "30.06.2024"])
def test_what_is_no_time_is_refused(typed: str) -> None:
    with pytest.raises(ConfigError, match=r"inference\.as_of"):
        configuration_of(scoring("--as-of", typed))


def test_a_stack_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="There is no stack 'cloud'"):
        configuration_of(parsed("--stack", "cloud"))


def test_a_command_without_settings_has_the_shipped_ones() -> None:
    assert configuration_of(build_parser().parse_args(["config", "schema"])) == configuration_of(parsed())


def test_the_next_command_repeats_what_this_one_was_about(tmp_path: Path) -> None:
    options = ["--dataset", "it's mine.yaml", "--set", "seed=5", "--set", "model_name=my model"]
    told = repeated(
        build_parser().parse_args([*options, "--debug", "models", "--set", "seed=6", "--model", "x y"]), "model"
    )
    again = build_parser().parse_args(["models", *shlex.split(told)])
    assert configuration_of(again) == configuration_of(parsed(*options, "--set", "seed=6"))
    assert "--data " not in repeated(parsed("--data", "delivered once.csv"))
    assert again.model == "x y"
    assert repeated(parsed()) == ""


def test_the_sheet_of_one_delivery_takes_the_place_of_the_contracts_and_makes_no_other_data_set() -> None:
    contract, again = session_of(parsed("--sheet", "March")).contract, session_of(parsed()).contract
    assert (contract.file_format.sheet, again.file_format.sheet) == ("March", None)
    assert contract.digest == again.digest


def test_a_chosen_data_set_whose_contract_is_gone_is_told_with_the_way_to_another(tmp_path: Path) -> None:
    contract = tmp_path / "gym.yaml"
    contract.write_bytes((CONFIGS / "datasets" / "telco.yaml").read_bytes())
    typed = parsed("--set", f"profile.state={tmp_path / 'state'}")
    remember(configuration_of(typed).profile, str(contract))
    assert session_of(typed).settings.dataset == str(contract)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["dataset"]
    contract.unlink()
    with pytest.raises(ConfigError, match=r"gym\.yaml'.*`python run\.py use` chose it; .* chooses another"):
        session_of(typed)


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff"])
def test_a_choice_that_cannot_be_read_is_refused_and_not_taken_for_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "dataset").write_bytes(content)
    with pytest.raises(ConfigError, match="holds no name: remove it, then choose anew"):
        configuration_of(parsed("--set", f"profile.state={tmp_path}"))
