"""From arguments to an exit code; see `EXIT_CODES` of the parser."""

from __future__ import annotations

import argparse
import atexit
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TextIO

from churn.core.errors import ConfigError

from .hints import in_full, repeating
from .output import print_json, results_alone, wants_json
from .parser import JSON_COMMANDS, THE_PROGRAMS, build_parser
from .run_log import RunLog
from .streams import open_streams
from .trouble import explain

__all__ = ["command", "main"]

_ACTIONS = {
    *("approve", "reject", "rollback", "retire", "features_check", "features_publish"),
    *("rollout_start", "rollout_advance", "rollout_abort"),
    *("deployment_job_create", "deployment_job_repair", "deployment_job_unlink", "stack_bundle"),
    "stack_monitor",
    *("data_fetch", "data_forget", "data_simulate", "data_vacuum"),
}
"""Commands that are typed for what they do, of which `--quiet` leaves nothing; the others answer a question."""
_JOBS = {"features_publish", "endpoint_predictions", "rollout_check", "campaign_effect", "data_vacuum"}
"""Commands that recur, of which one run at a time works on a data set."""


def command() -> None:
    """Run the command line that this process was started with, and end the process with its exit code."""
    codes: list[int] = []
    atexit.register(_leave, codes)  # the first to register is the last to be called
    codes.append(main(started=time.monotonic() - time.process_time()))
    sys.exit(codes[0])


def main(argv: Sequence[str] | None = None, started: float | None = None) -> int:
    """Run one command line and return its exit code; a user's own mistake never ends in a traceback.

    Args:
        argv: What was typed after the program's name; by default what this process was started with.
        started: When the command was started, by `time.monotonic`; by default now.
    """
    started = time.monotonic() if started is None else started
    open_streams()
    typed = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = _parsed(typed)
    except SystemExit as ended:  # the help was printed, or what is wrong with the line
        if ended.code and "--json" in typed:
            print_json({"exit": ended.code, "error": str(ended)})
        return int(ended.code or 0)
    log, out = RunLog(typed), sys.stdout
    try:
        if wants_json(arguments) and arguments.command in {None, "simulate"}:  # libraries print while these work
            out = arguments.results = results_alone()
        with repeating(arguments):
            code = _dispatch(arguments, log, started, out)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as interrupted:
        kept = "What was finished is kept; the same command goes on from there."
        text = f"Interrupted. {' '.join(getattr(interrupted, '__notes__', [kept]))}"
        print(f"\n{text}", file=sys.stderr)
        if wants_json(arguments):
            print_json({"exit": 130, "error": text, "log": log.path}, out)
        return 130
    except BrokenPipeError:
        # The reader has seen enough, as `| head` does; what is left must not fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the last place where a fault can be told in words
        return _failed(error, arguments, log, out)
    finally:
        log.close()


def _failed(error: Exception, arguments: argparse.Namespace, log: RunLog, out: TextIO) -> int:
    """Tell what went wrong, in the log with its traceback, and return the exit code."""
    debug = getattr(arguments, "debug", False)
    if debug:
        traceback.print_exc()
    message = explain(error, _state_folder())
    with repeating(arguments):
        code, text = (2, in_full(message)) if message else (1, _apology(error))
    if log.path is None and code == 1:
        with suppress(Exception):  # where the settings cannot be read, nobody knows the place of the logs
            from .context import configuration_of

            settings, profile = configuration_of(arguments)
            log.open(profile.state / "logs", arguments.command or arguments.pipeline, settings.retention.log_days)
    log.failed(error, text)
    where = f" Log: {log.path}" if log.path else ("" if debug or message else " --debug shows the traceback.")
    from .console import plain_console

    plain_console(sys.stderr).print(f"\n{text}{where}")
    if wants_json(arguments):
        kind = {"pipeline": arguments.pipeline, "run": None, "version": None, "verdict": "failed", "report": None}
        print_json({**(kind if arguments.pipeline else {}), "exit": code, "error": text, "log": log.path}, out)
    return code


def _parsed(typed: Sequence[str]) -> argparse.Namespace:
    parser = build_parser()
    arguments = parser.parse_args(typed)
    if arguments.command is None and arguments.pipeline is None:
        if arguments.version == THE_PROGRAMS:
            print(_version())
        else:
            parser.print_help()
        parser.exit()
    if arguments.version == THE_PROGRAMS:
        parser.error("--version needs the number of a version here, as `models` lists them")
    if arguments.command is not None and arguments.pipeline is not None:
        parser.error(f"--pipeline and the command {arguments.command!r} exclude each other: leave one of them out")
    if arguments.command is None and arguments.version is not None and arguments.pipeline != "deployment":
        parser.error("--version belongs to --pipeline deployment")
    if arguments.command is None and arguments.pipeline != "inference" and (arguments.as_of or arguments.engine):
        parser.error("--as-of and --engine belong to --pipeline inference")
    if hasattr(arguments, "dry_run") and arguments.pipeline != "monitoring":
        parser.error("--dry-run belongs to --pipeline monitoring")
    if arguments.command is not None and hasattr(arguments, "schedule"):
        parser.error("--schedule belongs to --pipeline")
    words = filter(None, [arguments.command, getattr(arguments, "action", None)])
    if wants_json(arguments) and arguments.command is not None and " ".join(words) not in JSON_COMMANDS:
        parser.error(f"--json belongs to the pipelines and to {', '.join(JSON_COMMANDS)}")
    return arguments


def _version() -> str:
    """Return the version of the program, of Python, and the place of the code."""
    from importlib.metadata import PackageNotFoundError, version

    from .context import CHECKOUT

    try:
        program = version("churn-lifecycle")
    except PackageNotFoundError:
        program = "(not installed)"
    if CHECKOUT:
        program = program.partition("+")[0]  # the digest is of the code as it was when the environment was made
    return f"churn {program}, Python {sys.version.split()[0]}, {Path(__file__).resolve().parents[1]}"


def _dispatch(arguments: argparse.Namespace, log: RunLog, started: float, out: TextIO) -> int:
    from .environment import prepare

    prepare(getattr(arguments, "debug", False))
    if hasattr(arguments, "data") and not arguments.data.exists():  # refused before anything is imported
        if re.match(r"\w{2,}:/", str(arguments.data)):
            raise ConfigError("`--data` takes a file or folder of this machine, not an address: download it first.")
        raise ConfigError(f"There is no data at {arguments.data.resolve()}: check `--data`.")
    if arguments.command is None:
        from .pipelines import run_pipeline

        result = run_pipeline(arguments, log, started)
        if wants_json(arguments):
            print_json(result, out)
        return int(result["exit"])
    from . import commands

    action = "_".join(filter(None, [arguments.command, getattr(arguments, "action", None)])).replace("-", "_")
    run = getattr(commands, action)
    if action in _JOBS and getattr(arguments, "what", "move") == "move":
        from .context import alone, session_of

        with alone(session_of(arguments).workspace, action):
            return _run(run, arguments, action)
    return _run(run, arguments, action)


def _run(run: Callable[[argparse.Namespace], int], arguments: argparse.Namespace, action: str) -> int:
    if getattr(arguments, "quiet", False) and action in _ACTIONS:
        with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
            return int(run(arguments))
    return int(run(arguments))


def _leave(codes: list[int]) -> None:
    """End the process at once: to take apart half a million objects of the libraries would take two more seconds."""
    if codes:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(codes[0])


def _state_folder() -> Path | None:
    """Return the state folder of the profile that `wiring.activate` left for this process, if any."""
    profile = os.environ.get("CHURN_PROFILE")
    return Path(json.loads(profile)["state"]) if profile else None


def _apology(error: Exception) -> str:
    return f"The program failed, which is its fault and not yours ({type(error).__name__}: {error})."
