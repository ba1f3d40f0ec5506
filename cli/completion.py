"""The script that completes options, commands, files and settings in a shell."""

from __future__ import annotations

import argparse
from pathlib import Path

from .config import setting_keys
from .parser import build_parser, parsers

__all__ = ["completion"]


def completion(arguments: argparse.Namespace) -> int:
    """Print the completion script for a shell."""
    import shtab

    parser = build_parser("churn")
    keys = shtab.cmd("printf '%s\\n' " + " ".join(setting_keys()))
    for below in parsers(parser):
        for action in below._actions:
            if action.type is Path or action.dest == "dataset":
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif action.metavar in ("KEY.PATH=VALUE", "KEY"):
                action.complete = keys  # type: ignore[attr-defined]
    print(shtab.complete(parser, arguments.shell))
    return 0
