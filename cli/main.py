"""From arguments to an exit code; see `EXIT_CODES` of the parser."""

from __future__ import annotations

import argparse
import atexit
import json
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from .parser import build_parser
from .streams import open_streams
from .trouble import explain

__all__ = ["command", "main"]


def command() -> None:
    """Run the command line that this process was started with, and end the process with its exit code."""
    codes: list[int] = []
    atexit.register(_leave, codes)  # the first to register is the last to be called
    codes.append(main())
    sys.exit(codes[0])


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; a user's own mistake never ends in a traceback."""
    open_streams()
    try:
        arguments = _parsed(argv)
    except SystemExit as ended:  # argparse has printed the help, or what is wrong
        return int(ended.code or 0)
    debug = getattr(arguments, "debug", False)
    try:
        code = _dispatch(arguments, debug)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("\nInterrupted. What was finished is kept; the same command goes on from there.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader has seen enough, as `| head` does; what is left must not fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the last place where a fault can be told in words
        if debug:
            traceback.print_exc()
        message = explain(error, _state_folder())
        print(f"\n{message}" if message else _apology(error, debug), file=sys.stderr)
        return 2 if message else 1


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None and arguments.pipeline is None:
        parser.print_help()
        parser.exit()
    if arguments.command is not None and arguments.pipeline is not None:
        parser.error(f"--pipeline and the command {arguments.command!r} exclude each other: leave one of them out")
    if arguments.command is None and arguments.version is not None and arguments.pipeline != "deployment":
        parser.error("--version belongs to --pipeline deployment")
    if arguments.command is None and arguments.pipeline != "inference" and (arguments.as_of or arguments.engine):
        parser.error("--as-of and --engine belong to --pipeline inference")
    return arguments


def _dispatch(arguments: argparse.Namespace, debug: bool) -> int:
    from .environment import prepare

    prepare(debug)
    from . import commands

    if arguments.command is None:
        from .pipelines import run_pipeline

        return run_pipeline(arguments)
    action = "_".join(filter(None, [arguments.command, getattr(arguments, "action", None)]))
    code: int = getattr(commands, action)(arguments)
    return code


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


def _apology(error: Exception, debug: bool) -> str:
    hint = "" if debug else " Run it again with --debug for the traceback."
    return f"\nThe program failed, which is its fault and not yours ({type(error).__name__}: {error}).{hint}"
