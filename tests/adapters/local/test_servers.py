"""Servers of this machine end with the program that started them."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_interrupts_nothing_and_is_obeyed_at_the_next_look(number: signal.Signals) -> None:
    program = (
        "import os; from adapters.local import servers; servers.end_with_this_process([])\n"
        f"os.kill(os.getpid(), {int(number)}); print('goes on', flush=True); servers.watch([])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.stdout, ended.returncode) == ("goes on\n", 128 + number)
