"""A server of PostgreSQL for the tests, in a folder of its own and with ports that nobody else has."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def programs() -> Path | None:
    """Return the folder of the newest server that is installed."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if installed:
        return installed[-1].parent
    found = shutil.which("postgres")
    return Path(found).parent if found else None


@contextmanager
def running() -> Iterator[str]:
    """Start a server whose user `churn` has the password `first`, and return its address without a password."""
    binaries = programs()
    assert binaries is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Not below pytest's own folders, which only their owner may enter: the server refuses to run as root.
    with tempfile.TemporaryDirectory(prefix="postgresql-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "password").write_text("first")
        if os.geteuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres")
        data = str(folder / "data")
        user = ["--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--username=churn", "--no-sync"]
        _as_owner([str(binaries / "initdb"), "-D", data, *user])
        options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off -c max_connections=40"
        control = [str(binaries / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log")]
        _as_owner([*control, "-o", options, "start"])
        try:
            yield f"postgresql://churn@127.0.0.1:{port}/postgres"
        finally:
            _as_owner([*control, "-m", "immediate", "stop"])


def _as_owner(command: Sequence[str]) -> None:
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    done = subprocess.run([*user, *command], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
