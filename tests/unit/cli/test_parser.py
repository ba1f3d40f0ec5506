"""What can be typed after `python run.py`, and what is refused."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import pytest

from cli import commands
from cli.context import configuration_of
from cli.main import main
from cli.parser import EXIT_CODES, PIPELINES, UsageError, build_parser, parsers

ROOT = Path(__file__).parents[3]
COMMANDS = {
    "doctor": "doctor",
    "data simulate": "data_simulate",
    "data fetch telco": "data_fetch",
    "data describe": "data_describe",
    "data vacuum": "data_vacuum",
    "data forget --customer 7590-VHVEG --reason asked": "data_forget",
    "features publish --full": "features_publish",
    "features check": "features_check",
    "features function create": "features_function",
    "campaign effect 3f2a": "campaign_effect",
    "campaign import calls.csv": "campaign_import",
    "alerts show --json": "alerts_show",
    "alerts send": "alerts_send",
    "schedule print --format cron": "schedule_print",
    "serve --port 8081 --no-auth": "serve",
    "serve --detach --workers 2": "serve",
    "endpoint status --json": "endpoint_status",
    "endpoint logs --lines 50 --follow": "endpoint_logs",
    "endpoint stop": "endpoint_stop",
    "endpoint token create --name me": "endpoint_token",
    "endpoint predictions move": "endpoint_predictions",
    "endpoint predictions": "endpoint_predictions",
    "deployment-job create": "deployment_job_create",
    "deployment-job show --json": "deployment_job_show",
    "deployment-job repair --version 2": "deployment_job_repair",
    "deployment-job unlink": "deployment_job_unlink",
    "deployment-job wait --version 2 --until approval": "deployment_job_wait",
    "stack bundle --out bundle": "stack_bundle",
    "stack monitor --refresh": "stack_monitor",
    "dataset infer members.csv": "dataset_infer",
    "config show": "config_show",
    "config explain money.incentive_cost": "config_explain",
    "config schema": "config_schema",
    "approve --version 2 --reason good": "approve",
    "reject --version 2 --reason bad": "reject",
    "rollback --reason bad": "rollback",
    "rollout start --version 2 --share 0.1 --reason first": "rollout_start",
    "rollout status": "rollout_status",
    "rollout advance --share 0.3": "rollout_advance",
    "rollout abort --reason bad": "rollout_abort",
    "rollout check": "rollout_check",
    "retire --version 2 --reason gone": "retire",
    "models": "models",
    "use saas": "use",
    "stack list": "stack_list",
    "stack use hybrid": "stack_use",
    "stack show --stack databricks": "stack_show",
    "stack plan --stack databricks": "stack_plan",
    "stack setup --stack databricks": "stack_setup",
    "stack destroy --plan --stack databricks": "stack_destroy",
    "audit": "audit",
    "explain --customer 7590-VHVEG": "explain",
    "ui": "ui",
    "completion zsh": "completion",
    "simulate --months 3 --scenario price-rise": "simulate",
}


def parse(line: str) -> argparse.Namespace:
    return build_parser().parse_args(shlex.split(line))


def refused(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(UsageError, match=r"\w") as caught:
        parse(line)
    assert caught.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(("line", "function"), COMMANDS.items())
def test_every_command_has_a_function(line: str, function: str) -> None:
    arguments = parse(line)
    words = filter(None, [arguments.command, getattr(arguments, "action", None)])
    assert "_".join(words).replace("-", "_") == function
    assert callable(getattr(commands, function))


def test_every_function_has_a_command() -> None:
    assert set(COMMANDS.values()) == set(commands.__all__)


def test_the_pipelines_on_offer_are_those_there_are() -> None:
    assert set(PIPELINES) == {path.stem for path in (ROOT / "pipelines").glob("[a-z]*.py")}
    for name in PIPELINES:
        assert parse(f"--pipeline {name}").pipeline == name


def test_a_pipeline_takes_every_setting_and_set_as_often_as_it_is_given() -> None:
    arguments = parse(
        "--pipeline training --stack cloud --config mine.yaml --set a.b=1 --set c=[2] --data in.csv --dataset own.yaml "
        "--no-cache --debug"
    )
    assert vars(arguments) == {
        "command": None,
        "pipeline": "training",
        "stack": "cloud",
        "config": Path("mine.yaml"),
        "overrides": ["a.b=1", "c=[2]"],
        "data": Path("in.csv"),
        "dataset": "own.yaml",
        "no_cache": True,
        "verbose": False,
        "version": None,
        "as_of": None,
        "engine": None,
        "debug": True,
    }


@pytest.mark.parametrize("line", ["doctor", "data simulate", "data describe", "data fetch telco", "config show", "ui"])
def test_a_setting_may_stand_before_or_after_a_command(line: str) -> None:
    setting = "--stack cloud --dataset saas --debug"
    before, after = parse(f"{setting} {line}"), parse(f"{line} {setting}")
    assert vars(before) == vars(after)


def test_overrides_before_and_after_a_command_are_both_kept() -> None:
    settings, _ = configuration_of(parse("--set seed=7 --set tuning.max_trials=3 config show --set seed=8"))
    assert (settings.seed, settings.tuning.max_trials) == (8, 3)


def test_what_is_not_given_is_not_there_so_that_the_settings_decide() -> None:
    assert not {"stack", "config", "overrides", "command_overrides", "data", "dataset", "debug"} & set(
        vars(parse("--pipeline training"))
    )


@pytest.mark.parametrize(
    ("line", "abbreviated"),
    [
        ("--pipe training", "--pipe"),
        ("--pipeline training --no-ca", "--no-ca"),
        ("--pipeline training --sta cloud", "--sta"),
        ("doctor --deb", "--deb"),
        ("data simulate --datas saas", "--datas"),
        ("dataset infer x.csv --lab left", "--lab"),
        ("config show --conf mine.yaml", "--conf"),
        ("ui --det", "--det"),
    ],
)
def test_an_abbreviation_is_refused(line: str, abbreviated: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert abbreviated in refused(line, capsys)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("--pipeline trainig", "argument --pipeline: invalid choice: 'trainig'"),
        ("train", "argument command: invalid choice: 'train'"),
        ("data", "the following arguments are required: action"),
        ("data simulat", "argument action: invalid choice: 'simulat'"),
        ("data fetch", "the following arguments are required: name"),
        ("dataset infer", "the following arguments are required: FILE"),
        ("explain", "the following arguments are required: --customer"),
        ("config schema --set seed=1", "unrecognized arguments: --set"),
        ("ui --zenml-port many", "argument --zenml-port: 'many' is no port: give a number from 1 to 65535"),
        ("ui --zenml-port -1", "argument --zenml-port: '-1' is no port"),
        ("ui --mlflow-port 65536", "argument --mlflow-port: '65536' is no port"),
        ("ui --mlflow-port 0", "argument --mlflow-port: '0' is no port"),
        ("serve --port 99999", "argument --port: '99999' is no port"),
        ("serve --workers 0", "argument --workers: '0' is no such number: give 1 to 64"),
        ("serve --workers 9999999", "argument --workers: '9999999' is no such number: give 1 to 64"),
        ("simulate --months -1", "argument --months: '-1' is no such number"),
        ("endpoint logs --lines many", "argument --lines: 'many' is no such number"),
        ("rollback --to 0 --reason x", "argument --to: '0' is no such number"),
        ("approve --version 1.5 --reason x", "argument --version: '1.5' is no such number"),
        ("--pipeline", "argument --pipeline: expected one argument"),
        ("--pipeline inference --engine abacus", "argument --engine: invalid choice: 'abacus'"),
    ],
)
def test_a_line_that_is_not_understood_is_refused_with_the_word(
    line: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert named in refused(line, capsys)


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("modles", "models"),
        ("docter", "doctor"),
        ("training", "--pipeline training"),
        ("inferense", "--pipeline inference"),
        ("--pipeline trian", "training"),
        ("--pipeline deploy", "deployment"),
        ("data descrbe", "describe"),
        ("config shw", "show"),
        ("doctor --dbug", "--debug"),
        ("--pipeline training --datas x.csv", "--data"),
        ("--pipeline training --no-cahe", "--no-cache"),
        ("models --modell x", "--model"),
        ("ui --detatch", "--detach"),
        ("--pipeline inference --engine sparc", "spark"),
    ],
)
def test_a_mistyped_word_is_told_with_the_one_that_may_have_been_meant(
    line: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(line, capsys).splitlines()
    assert told[0].endswith(f"; did you mean {meant!r}?")
    assert told[1].startswith("Help: python run.py")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("--pipeline training --dataset ''", "--dataset"),
        ("--pipeline inference --as-of ''", "--as-of"),
        ("--stack= --pipeline training", "--stack"),
        ("models --dataset=' '", "--dataset"),
        ("approve --version 1 --reason ''", "--reason"),
        ("use ''", "text"),
    ],
)
def test_an_empty_value_is_refused_by_the_name_of_its_option(
    line: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=f"argument {name}: the value is empty"):
        build_parser().parse_args(shlex.split(line))
    assert build_parser().parse_args(["models", "--set=campaign.offer="]).command_overrides == ["campaign.offer="]


def test_a_word_that_is_like_no_other_gets_no_guess(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean" not in refused("xyzzy", capsys)


def test_every_command_and_option_has_its_help() -> None:
    for each in parsers(build_parser()):
        assert each.description, each.prog
        assert [action.dest for action in each._actions if not action.help] == [], each.prog


def test_the_help_lists_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parse("--help")
    text = capsys.readouterr().out.partition("exit codes:")[2]
    for code, meaning in EXIT_CODES.items():
        assert f"  {code:<4} {meaning}" in text


def test_the_help_names_every_pipeline_and_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parse("--help")
    text = capsys.readouterr().out
    for word in (*PIPELINES, *(line.split()[0] for line in COMMANDS), "--stack", "--config", "--set", "--data"):
        assert word in text


def test_a_schedule_belongs_to_a_pipeline_on_a_stack_that_starts_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--schedule", "0 6 * * *", "doctor"]) == 2
    assert "--schedule belongs to --pipeline" in capsys.readouterr().err
    assert not hasattr(build_parser().parse_args(["--pipeline", "monitoring"]), "schedule")
