"""The script that completes options, commands, files and settings in a shell."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from .context import CONFIGS
from .parser import build_parser, parsers

__all__ = ["completion"]


def completion(arguments: argparse.Namespace) -> int:
    """Print the completion script for a shell."""
    import shtab

    parser = build_parser("churn")
    keys = shtab.cmd("printf '%s\\n' " + " ".join(_keys()))
    for below in parsers(parser):
        for action in below._actions:
            if action.type is Path or action.dest == "dataset":
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif action.metavar in ("KEY.PATH=VALUE", "KEY"):
                action.complete = keys  # type: ignore[attr-defined]
    print(shtab.complete(parser, arguments.shell))
    return 0


def _keys() -> list[str]:
    """Return the keys of all settings, as `--set` takes them."""
    base, profile = (
        yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")) for name in ("base", "local")
    )

    def keys(value: Any, path: str) -> Iterator[str]:
        if isinstance(value, dict) and value:
            for key, below in value.items():
                yield from keys(below, f"{path}.{key}" if path else key)
        else:
            yield path

    return list(keys({**base, "profile": profile}, ""))
