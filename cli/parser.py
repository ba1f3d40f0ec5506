"""The arguments of every command; imports nothing heavy, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from churn.core.program import as_typed

__all__ = [
    "EXIT_CODES",
    "JSON_COMMANDS",
    "PIPELINES",
    "SCENARIOS",
    "THE_PROGRAMS",
    "UsageError",
    "build_parser",
    "parsers",
    "settings_options",
]

_MAX_PROCESSES = 64  # of an endpoint; each holds about 300 MB and a load of the model
THE_PROGRAMS = -1
"""What `--version` without a number stands for."""

JSON_COMMANDS = (
    *("models", "audit", "doctor", "explain", "data describe", "config show", "config explain"),
    *(
        "rollout status",
        "rollout check",
        "campaign effect",
        "campaign import",
        "deployment-job show",
        "endpoint status",
        "alerts show",
        "alerts send",
        "schedule print",
        "simulate",
    ),
)
"""The commands that answer in JSON where `--json` is typed, as every pipeline does."""

EXIT_CODES = {
    0: "done",
    1: "a fault of the program",
    2: "something for you to correct; of `audit`, `doctor`, `endpoint status`, `deployment-job`: they found something",
    3: "the gate refused the version; of `deployment-job wait`: the run failed; "
    "of `rollout check`: it aborted the rollout; of `--pipeline monitoring` and "
    "`retraining`: someone should act; of `alerts`: some are open or wait; of `simulate`: the loop missed a goal",
    4: "the version waits for a person: `approve` or `reject` it, or `rollout start`",
    5: "customers were scored, and more rows than `validation.max_quarantine_share` allows were set aside",
    130: "interrupted (Ctrl-C)",
}

SCENARIOS = ("calm", "price-rise", "new-product", "broken-feed", "seasonal", "late-labels")
"""What may happen in a simulated year."""

PIPELINES = {
    "features": "source → validated rows → feature and label tables",
    "training": "features, then training set → tuning → model → evaluation → @Challenger",
    "deployment": "the gate: @Challenger against @Champion → approval → promotion",
    "inference": "@Champion and the latest features → predictions → whom to contact",
    "monitoring": "predictions, outcomes and the baseline → what has changed, and what to do",
    "retraining": "monitoring, then where it calls for one: a challenger of the newest outcomes → the gate",
}

_EXAMPLES = """\
examples:
  python run.py --pipeline training                           simulated customers, no data needed
  python run.py dataset infer customers.csv > mine.yaml       draft a contract for another table
  python run.py use mine.yaml                                 act on that data set from now on
  python run.py --pipeline training --data customers.csv      deliver your table to it, and train
  python run.py --pipeline deployment                         gate the new model, promote it if it is better
  python run.py --pipeline inference                          score every customer with the champion
  python run.py --pipeline monitoring                         what has changed, and whether to act
  python run.py explain --customer ID                         why this customer is at risk
  python run.py ui                                            ZenML dashboard and MLflow in the browser

exit codes:
""" + "".join(f"  {code:<4} {meaning}\n" for code, meaning in EXIT_CODES.items())


class UsageError(SystemExit):
    """A line that is not understood; its text says why."""

    def __init__(self, message: str) -> None:
        super().__init__(2)
        self._message = message

    def __str__(self) -> str:
        return self._message


class _Parser(argparse.ArgumentParser):
    """Takes options by their whole names, those of the commands below it too: an abbreviation hides typing errors."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse an option that there is not by its name, and an empty value.

        Argparse would first stumble over the value behind the option. An empty value is a variable of a script that was
        never set: the command would act on another data set, version or time than was meant.
        """
        typed = list(sys.argv[1:] if args is None else args)
        options = set(_options(self))
        for before, word in pairwise(["", *typed]):
            if not word.strip() or re.fullmatch(r"--[\w-]+=\s*", word):
                name = word.strip().rstrip("=") or (before if before.startswith("--") else "text")
                self.error(f"argument {name}: the value is empty: give one, or leave it out")
        for word in typed[: typed.index("--")] if "--" in typed else typed:
            if word.startswith("--") and word.partition("=")[0] not in options:
                self.error(f"unrecognized arguments: {word}")
        return super().parse_known_args(typed, namespace)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, the word that may have been meant, and where the help is; exit with 2."""
        sentence = f"{message}{self._meant(message)}"
        print(as_typed(f"{self.prog}: {sentence}\nHelp: python {self.prog} --help"), file=sys.stderr)
        raise UsageError(sentence)

    def _meant(self, message: str) -> str:
        """Return `"; did you mean 'x'?"` for a mistyped word that is named in a message of argparse."""
        choice = re.search(r"argument (\S+): invalid choice: '(.*?)' \(choose from (.*)\)", message)
        unknown = re.search(r"unrecognized arguments: (-\S+)", message)
        if choice is not None:
            where, typed = choice[1], choice[2]
            words = {word: word for word in re.findall(r"[\w.-]+", choice[3])}
            words |= {name: f"--pipeline {name}" for name in PIPELINES if where == "command"}
        elif unknown is not None:
            typed, words = unknown[1].partition("=")[0], {option: option for option in _options(self)}
        else:
            return ""
        close = difflib.get_close_matches(typed, words, n=1)
        return f"; did you mean {words[close[0]]!r}?" if close else ""


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser and those of the commands below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from parsers(below)


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    return (option for sub in parsers(parser) for action in sub._actions for option in action.option_strings)


def build_parser(program: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of every command; `program` is how it is called, by default as this process was."""
    parser = _Parser(
        prog=program or as_typed("run.py"),
        description="The churn lifecycle: run a pipeline, or use one of the commands.",
        epilog=as_typed(_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[settings_options("overrides")],
    )
    _pipeline_options(parser)
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands", help="what to do")
    # A name of its own: what a command collects would replace what was collected before it.
    common = settings_options("command_overrides")
    commands.add_parser("doctor", parents=[common], help="check versions, stack, stores, permissions, ports and disk")
    _data_commands(
        commands.add_parser("data", help="simulate, fetch, describe or erase data, or remove what is old"), common
    )
    _features_commands(
        commands.add_parser("features", help="publish features to the online store, or check it"), common
    )
    _dataset_commands(commands.add_parser("dataset", help="draft a dataset contract from a table"))
    _config_commands(commands.add_parser("config", help="show the settings in force, or explain one"), common)
    _decision_commands(commands, common)
    customer = commands.add_parser(
        "explain", parents=[common], help="why a customer is at risk, and what would change it"
    )
    customer.add_argument("--customer", required=True, metavar="ID", help="the customer's key")
    customer.add_argument("--as-of", metavar="TIME", help="by what was known then (UTC; default: now)")
    customer.add_argument("--out", type=Path, metavar="FILE", help="the page (default: .churn/explanations/<ID>.html)")
    _campaign_commands(commands.add_parser("campaign", help="measure past campaigns, or add contacts to them"), common)
    schedule = commands.add_parser("schedule", help="when the recurring jobs run, for cron, systemd and the stack")
    actions = _actions(schedule)
    printed = actions.add_parser("print", parents=[common], help="print the lines and units to install (schedule.*)")
    printed.add_argument("--format", choices=("cron", "systemd", "stack"), help="one of them (default: all)")
    alerts = commands.add_parser("alerts", help="what monitoring alerts of, and what a channel has not taken yet")
    actions = _actions(alerts)
    actions.add_parser("show", parents=[common], help="the alerts that are open, and the notices that wait")
    actions.add_parser("send", parents=[common], help="send the notices that wait for a channel")
    _endpoint_commands(commands, common)
    _deployment_job_commands(commands.add_parser("deployment-job", help=_DEPLOYMENT_JOB), common)
    _stack_commands(
        commands.add_parser("stack", help="the profiles, and what one has in a Databricks workspace"), common
    )
    _simulate_command(commands, common)
    chosen = commands.add_parser("use", parents=[common], help="choose the data set that commands act on")
    chosen.add_argument("name", nargs="?", metavar="NAME|FILE", help="a contract; without it, which one is chosen")
    script = commands.add_parser("completion", help="print the script that completes `churn` in a shell")
    script.add_argument("shell", choices=("bash", "zsh", "fish", "tcsh"), help="the shell")
    ui = commands.add_parser("ui", parents=[common], help="start the ZenML dashboard and the MLflow UI")
    ui.add_argument("--zenml-port", type=_port, default=8237, metavar="N", help="default: %(default)s")
    ui.add_argument("--mlflow-port", type=_port, default=5000, metavar="N", help="default: %(default)s")
    ui.add_argument("--detach", action="store_true", help="leave them running in the background")
    ui.add_argument("--stop", action="store_true", help="end those that run in the background")
    for subparser in parsers(parser):
        for action in subparser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for choice in action._choices_actions:  # the help of a command says what it does, as the list does
                    text = str(choice.help)
                    action.choices[choice.dest].description = f"{text[:1].upper()}{text[1:]}."
    return parser


def _pipeline_options(parser: _Parser) -> None:
    listed = "; ".join(f"{name}: {what}" for name, what in PIPELINES.items())
    parser.add_argument("--pipeline", choices=PIPELINES, help=listed)
    parser.add_argument("--no-cache", action="store_true", help="run every step, also those whose inputs are unchanged")
    parser.add_argument(
        "--verbose", action="store_true", help="with --pipeline deployment: every check of the gate, not the main ones"
    )
    parser.add_argument(
        "--version",
        type=_count,
        nargs="?",
        const=THE_PROGRAMS,
        metavar="N",
        help="the version of this program; with --pipeline deployment: a model version other than @Challenger",
    )
    parser.add_argument(
        "--as-of", metavar="TIME", help="with --pipeline inference: score what was known then (UTC; default: now)"
    )
    parser.add_argument(
        "--engine", choices=("auto", "local", "spark"), help="with --pipeline inference: where to score (default: auto)"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        default=argparse.SUPPRESS,
        help="with --pipeline monitoring: print the alerts that would be sent; send and write nothing",
    )
    parser.add_argument(
        "--schedule",
        metavar="CRON",
        default=argparse.SUPPRESS,
        help="on Databricks: let the pipeline run by itself, such as '0 6 * * 1' (UTC); `off` ends that",
    )


def _port(typed: str) -> int:
    if not typed.isdecimal() or not 1 <= int(typed) <= 65_535:
        raise argparse.ArgumentTypeError(f"{typed!r} is no port: give a number from 1 to 65535")
    return int(typed)


def _processes(typed: str) -> int:
    if not typed.isdecimal() or not 1 <= int(typed) <= _MAX_PROCESSES:
        raise argparse.ArgumentTypeError(f"{typed!r} is no such number: give 1 to {_MAX_PROCESSES}")
    return int(typed)


def _count(typed: str) -> int:
    if not typed.isdecimal() or int(typed) < 1:
        raise argparse.ArgumentTypeError(f"{typed!r} is no such number: give 1 or more")
    return int(typed)


def settings_options(overrides: str) -> _Parser:
    """Return the options of every command; what `--set` says is collected under the name `overrides`."""
    # Suppressed defaults: a command's would overwrite what stands before the command.
    options = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    group = options.add_argument_group("settings")
    group.add_argument("--stack", metavar="NAME", help="profile configs/NAME.yaml (default: local)")
    group.add_argument("--config", type=Path, metavar="FILE", help="YAML with any keys of configs/base.yaml")
    group.add_argument(
        "--set", dest=overrides, action="append", metavar="KEY.PATH=VALUE", help="one setting; repeatable"
    )
    group.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="a table to deliver to the data set: CSV, JSON lines, Excel, Parquet or Delta",
    )
    group.add_argument(
        "--sheet", metavar="NAME", help="the sheet of a workbook (default: the contract's, or its first)"
    )
    group.add_argument(
        "--dataset",
        metavar="NAME|FILE",
        help="the data set, by its contract (default: the one `use` chose, else telco_simulated)",
    )
    group = options.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="the answer as one line of JSON, all else on standard error")
    group.add_argument("--quiet", action="store_true", help="no progress, summary or hints: only what needs a person")
    group.add_argument("--debug", action="store_true", help="show tracebacks and the libraries' own logs")
    return options


def _actions(parser: _Parser) -> argparse._SubParsersAction[_Parser]:
    return parser.add_subparsers(dest="action", metavar="action", required=True, help="what to do")


def _data_commands(parser: _Parser, common: _Parser) -> None:
    commands = _actions(parser)
    simulate = commands.add_parser("simulate", parents=[common], help="write simulated customers to a Parquet file")
    simulate.add_argument("--out", type=Path, metavar="FILE", help="default: .churn/data/<dataset>.parquet")
    fetch = commands.add_parser("fetch", parents=[common], help="download a public data set and verify its checksum")
    fetch.add_argument("name", help="telco: IBM's Telco customer churn, 7,043 customers")
    commands.add_parser(
        "vacuum", parents=[common], help="remove old table versions and what killed runs left (retention.days)"
    )
    forget = commands.add_parser("forget", parents=[common], help="erase a customer from every table, list and page")
    forget.add_argument("--customer", required=True, metavar="ID", help="the customer's key")
    forget.add_argument("--reason", required=True, metavar="TEXT", help="why, on record for ever: name nobody in it")
    forget.add_argument("--as", dest="name", metavar="NAME", help="who asks for it (default: as with approve)")
    commands.add_parser("describe", parents=[common], help="what a table holds, and how it keeps its contract")


def _features_commands(parser: _Parser, common: _Parser) -> None:
    commands = _actions(parser)
    publish = commands.add_parser("publish", parents=[common], help="bring the online store up to date, then check it")
    publish.add_argument("--full", action="store_true", help="send every customer again, and let nobody else stay")
    commands.add_parser("check", parents=[common], help="compare a sample of the online store with the feature table")
    function = commands.add_parser(
        "function", parents=[common], help="features on demand as SQL functions in the data set's schema"
    )
    function.add_argument("what", choices=("create", "show"), help="create or replace them, or print the statements")


def _campaign_commands(parser: _Parser, common: _Parser) -> None:
    commands = _actions(parser)
    effect = commands.add_parser(
        "effect", parents=[common], help="what contacts changed: the contacted against the control group, in money"
    )
    effect.add_argument("batch", nargs="?", metavar="BATCH", help="one campaign (default: all with this control group)")
    effect.add_argument("--out", type=Path, metavar="FILE", help="the page (default: .churn/campaigns/effect.html)")
    outside = commands.add_parser(
        "import", parents=[common], help="add contacts that were made outside: customer, contacted_at, offer"
    )
    outside.add_argument("file", type=Path, metavar="FILE", help="the table")


_DEPLOYMENT_JOB = "the job on Databricks that judges, approves and deploys each new version"


def _deployment_job_commands(parser: _Parser, common: _Parser) -> None:
    actions = _actions(parser)
    actions.add_parser("create", parents=[common], help="make or change the job, and link it to the registered model")
    actions.add_parser("show", parents=[common], help="the job, whether a new version starts it, and its newest runs")
    repair = actions.add_parser("repair", parents=[common], help="run what failed of a version's newest run again")
    repair.add_argument("--version", type=_count, required=True, metavar="N", help="the version")
    wait = actions.add_parser("wait", parents=[common], help="wait until the newest run of a version has ended")
    wait.add_argument("--version", type=_count, required=True, metavar="N", help="the version")
    wait.add_argument(
        "--until",
        choices=("live", "approval"),
        default="live",
        help="what the exit code 0 means (default: %(default)s)",
    )
    actions.add_parser("unlink", parents=[common], help="let new versions start no job; the job stays")


def _stack_commands(parser: _Parser, common: _Parser) -> None:
    actions = _actions(parser)
    actions.add_parser("list", parents=[common], help="every profile, and which one commands use")
    use = actions.add_parser("use", parents=[common], help="choose the profile that commands use")
    use.add_argument("name", metavar="NAME", help="a profile, such as databricks")
    actions.add_parser("show", parents=[common], help="what a profile is made of")
    actions.add_parser("plan", parents=[common], help="what setup would make or change; nothing is changed")
    actions.add_parser("setup", parents=[common], help="make what is missing in the workspace; typed again: nothing")
    destroy = actions.add_parser("destroy", parents=[common], help="remove what carries the project's mark")
    destroy.add_argument("--plan", action="store_true", help="list what would go; nothing is changed")
    destroy.add_argument("--yes", action="store_true", help="remove it, with every table, model and file in it")
    bundle = actions.add_parser("bundle", parents=[common], help="write databricks.yml for dev, staging and prod")
    bundle.add_argument(
        "--out", type=Path, default=Path("bundle"), metavar="FOLDER", help="where to write it (default: %(default)s)"
    )
    monitor = actions.add_parser(
        "monitor", parents=[common], help="make or change the platform's own monitor of predictions, and the SQL alert"
    )
    monitor.add_argument("--refresh", action="store_true", help="let it compute its figures now, and change nothing")


def _simulate_command(commands: Any, common: _Parser) -> None:
    year = commands.add_parser(
        "simulate", parents=[common], help="live a year month by month, and compare policies of retraining in money"
    )
    year.add_argument("--months", type=_count, default=12, metavar="N", help="how many (default: %(default)s)")
    year.add_argument("--scenario", default="calm", metavar="NAME", help=f"one of {', '.join(SCENARIOS)}")
    year.add_argument(
        "--policies", metavar="LIST", help="beside the loop: some of never, monthly, demo (default: all of them)"
    )
    year.add_argument(
        "--faults", nargs="?", const="all", metavar="LIST", help="with faults that change no table (default: all)"
    )
    year.add_argument("--through-zenml", action="store_true", help="run the pipelines, not the use cases alone; slower")
    year.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the stores of each policy in this new folder")
    year.add_argument(
        "--out", type=Path, metavar="FILE", help="the page (default: .churn/reports/year-<scenario>.html)"
    )


def _endpoint_commands(commands: Any, common: _Parser) -> None:
    serve = commands.add_parser("serve", parents=[common], help="answer scoring requests over HTTP with @Champion")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    serve.add_argument("--port", type=_port, default=8080, metavar="N", help="port to listen at (default: %(default)s)")
    serve.add_argument("--workers", type=_processes, default=1, metavar="N", help="processes (default: %(default)s)")
    serve.add_argument("--no-auth", action="store_true", help="ask for no token; for this machine alone")
    serve.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate (PEM), to answer over HTTPS")
    serve.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key (PEM)")
    serve.add_argument("--detach", action="store_true", help="leave it running in the background")
    endpoint = commands.add_parser("endpoint", help="how the endpoint does, its end, its tokens, and what it logged")
    actions = _actions(endpoint)
    actions.add_parser("status", parents=[common], help="whether it answers, which version, since when, where")
    logs = actions.add_parser("logs", parents=[common], help="the end of its log, also of one that has ended")
    logs.add_argument("--lines", type=_count, default=20, metavar="N", help="how many (default: %(default)s)")
    logs.add_argument("--follow", action="store_true", help="go on with what is added, until it ends or Ctrl-C")
    actions.add_parser("stop", parents=[common], help="end it after the requests that are under way")
    token = actions.add_parser("token", parents=[common], help="create, list or revoke the tokens that requests need")
    token.add_argument("what", choices=("create", "list", "revoke"), help="what to do")
    token.add_argument("--name", metavar="NAME", help="whose token, or what for")
    token.add_argument("--scope", choices=("query", "admin"), default="query", help="scores alone, or metrics as well")
    predictions = actions.add_parser(
        "predictions", parents=[common], help="answers that wait for their move into churn_predictions"
    )
    predictions.add_argument("what", nargs="?", choices=("show", "move"), default="show", help="default: %(default)s")


def _dataset_commands(parser: _Parser) -> None:
    commands = _actions(parser)
    infer = commands.add_parser("infer", help="draft a contract from a table, with what to check")
    infer.add_argument("file", type=Path, metavar="FILE", help="the table")
    infer.add_argument("--name", help="name of the dataset (default: the file's)")
    infer.add_argument(
        "--key", metavar="COLUMN", help="the customer's key; row: number the rows of a table without one"
    )
    infer.add_argument("--label", metavar="COLUMN", help="the outcome, where the guess is wrong")
    infer.add_argument("--time", metavar="COLUMN", help="the event time, where the guess is wrong")
    infer.add_argument("--encoding", metavar="NAME", help="of a CSV or JSON lines, such as cp1252 (default: utf-8)")
    infer.add_argument("--sheet", metavar="NAME", help="of an Excel workbook (default: its first)")
    infer.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)


def _decision_commands(commands: Any, common: _Parser) -> None:
    model = _Parser(add_help=False, parents=[common])
    model.add_argument("--model", metavar="NAME", help="registered model (default: that of the dataset)")
    person = _Parser(add_help=False, parents=[model])
    person.add_argument("--reason", required=True, metavar="TEXT", help="why, for whoever reads the record later")
    person.add_argument(
        "--as",
        dest="name",
        metavar="NAME",
        help="who decides (default: $CHURN_USER, or who is logged in; on Databricks, the user there)",
    )
    for word, what in (("approve", "let a version that waits for it go live"), ("reject", "keep a version from it")):
        command = commands.add_parser(word, parents=[person], help=what)
        command.add_argument("--version", type=_count, required=True, metavar="N", help="the version")
    back = commands.add_parser("rollback", parents=[person], help="let a version be live again that was live before")
    back.add_argument("--to", type=_count, metavar="N", help="a version that was live (default: the one before)")
    _rollout_commands(commands.add_parser("rollout", help="a challenger beside the champion, step by step"), common)
    gone = commands.add_parser("retire", parents=[person], help="declare the model of a version gone, on record")
    gone.add_argument("--version", type=_count, required=True, metavar="N", help="the version")
    commands.add_parser("models", parents=[model], help="versions with aliases, approval, metrics, what was live when")
    audit = commands.add_parser("audit", parents=[model], help="hold the ledger of decisions against all that it names")
    audit.add_argument("--expect", metavar="HASH", help="the hash of a record, kept elsewhere, that must be there")


def _rollout_commands(parser: _Parser, common: _Parser) -> None:
    commands = _actions(parser)
    helps = {
        "start": "let an approved version answer a share of the customers, or score in shadow",
        "status": "who answers whom, what the test says, and what would happen next",
        "advance": "let it answer a larger share",
        "abort": "end it: the champion answers everybody, and the version counts as rejected",
        "check": "look once, for cron: abort, advance, promote or wait",
    }
    actions = {action: commands.add_parser(action, parents=[common], help=text) for action, text in helps.items()}
    for action in ("start", "advance", "abort"):
        command = actions[action]
        needed = action != "advance"
        command.add_argument(
            "--reason", required=needed, metavar="TEXT", help="why, for whoever reads the record later"
        )
        command.add_argument("--as", dest="name", metavar="NAME", help="who decides (default: as with approve)")
    actions["start"].add_argument("--version", type=_count, required=True, metavar="N", help="the version")
    actions["start"].add_argument("--shadow", action="store_true", help="score every row beside it, and answer nobody")
    for action in ("start", "advance"):
        actions[action].add_argument(
            "--share", type=float, metavar="S", help="of the customers, 0 to 1 (default: the next of rollout.shares)"
        )


def _config_commands(parser: _Parser, common: _Parser) -> None:
    commands = _actions(parser)
    commands.add_parser("show", parents=[common], help="the settings of a run, as YAML")
    explained = commands.add_parser(
        "explain", parents=[common], help="what a key means and may be, its value, and who set it"
    )
    explained.add_argument("key", metavar="KEY", help="a key such as money.incentive_cost, or a section such as gate")
    commands.add_parser("schema", help="the JSON schema of the settings")
