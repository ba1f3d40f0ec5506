"""Several processes of one server: one that is killed is replaced, and SIGTERM ends all of them soon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SERVER = """
import socket, uvicorn
from serving.server import Workers

async def answer(scope, receive, send):
    pass

if __name__ == "__main__":
    config = uvicorn.Config("answer:answer", workers=2, lifespan="off", log_level="warning")
    Workers(config, [socket.create_server(("127.0.0.1", 0))]).run()
"""


def workers_of(pid: int) -> list[int]:
    """Return the processes that answer."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def until(holds: Callable[[], bool], seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_process_is_replaced_also_where_it_hung_before_and_sigterm_ends_all(tmp_path: Path) -> None:
    (tmp_path / "answer.py").write_text(SERVER)
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    parent = subprocess.Popen([sys.executable, "answer.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path})
    try:
        until(lambda: len(workers_of(parent.pid)) == 2, 30)
        first, second = workers_of(parent.pid)
        os.kill(first, signal.SIGSTOP)
        time.sleep(1.2)  # in which it is looked after
        os.kill(first, signal.SIGKILL)
        until(lambda: len({*workers_of(parent.pid)} - {first}) == 2, 20)
        assert second in workers_of(parent.pid)
        parent.terminate()
        parent.wait(20)
    finally:
        parent.kill()
        parent.wait(10)
