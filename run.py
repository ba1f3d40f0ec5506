"""The command line: `python run.py --help`."""

from __future__ import annotations

from cli.main import command

if __name__ == "__main__":
    command()
