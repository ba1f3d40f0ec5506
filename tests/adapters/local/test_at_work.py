"""Who works in a folder, and what is cleared of those who were killed there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from adapters.local.at_work import AtWork, remove_unheld
from adapters.local.files import LocalFiles
from adapters.local.killed_runs import clear

ROOT = Path(__file__).parents[3]
WORKS = "import sys, time; from pathlib import Path; from adapters.local.at_work import AtWork; "


@pytest.fixture
def worker(tmp_path: Path) -> subprocess.Popen[bytes]:
    """Another process that is at work in `tmp_path` until it is ended."""
    code = f"{WORKS}AtWork(Path({str(tmp_path)!r})).note(); print('noted', flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_process_is_seen_until_it_ends_and_leaves_nothing(tmp_path: Path, worker: subprocess.Popen[bytes]) -> None:
    assert AtWork(tmp_path).anybody()
    assert AtWork(tmp_path).left_by_killed() == []
    worker.communicate()
    assert not AtWork(tmp_path).anybody()
    assert [*tmp_path.iterdir()] == []


def test_a_killed_process_is_not_at_work_and_its_note_says_that_it_was(
    tmp_path: Path, worker: subprocess.Popen[bytes]
) -> None:
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    assert not AtWork(tmp_path).anybody()
    assert len(AtWork(tmp_path).left_by_killed()) == 1


def test_a_folder_that_is_not_there_or_cannot_be_written_has_no_notes(tmp_path: Path) -> None:
    AtWork(tmp_path / "nowhere").note()
    assert not (tmp_path / "nowhere").exists()
    assert not AtWork(tmp_path / "nowhere").anybody()


def test_a_note_that_cannot_be_opened_counts_as_somebody_at_work(tmp_path: Path) -> None:
    (tmp_path / ".at-work-of-another-user").mkdir()
    assert AtWork(tmp_path).anybody()
    assert AtWork(tmp_path).left_by_killed() == []


def test_nothing_is_cleared_while_another_run_is_at_work(tmp_path: Path, worker: subprocess.Popen[bytes]) -> None:
    calls: list[int] = []
    assert clear(tmp_path, lambda: calls.append(1) or 1) is None  # type: ignore[func-returns-value]
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    assert clear(tmp_path, lambda: calls.append(1) or 1) == 1  # type: ignore[func-returns-value]
    assert calls == [1]
    assert [*tmp_path.iterdir()] == []


def test_drafts_of_files_and_locks_that_nobody_holds_are_cleared(tmp_path: Path) -> None:
    LocalFiles(tmp_path).put("campaigns/list.csv", [b"x"])
    (tmp_path / "campaigns" / ".draft-k2l").write_bytes(b"half")
    (tmp_path / "mlflow.db.lock").touch()
    with FileLock(tmp_path / "held.lock"):
        clear(tmp_path, lambda: 0)
        assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"list.csv", "held.lock"}


def test_a_draft_is_what_a_killed_writer_of_a_file_leaves(tmp_path: Path) -> None:
    def killed_half_way() -> None:
        code = f"""
import os, signal
from pathlib import Path
from adapters.local.files import LocalFiles
def chunks():
    yield b"half"
    os.kill(os.getpid(), signal.SIGKILL)
LocalFiles(Path({str(tmp_path)!r})).put("campaigns/list.csv", chunks())
"""
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)

    killed_half_way()
    assert len([*(tmp_path / "campaigns").iterdir()]) == 1
    clear(tmp_path, lambda: 0)
    assert [*(tmp_path / "campaigns").iterdir()] == []


def test_whoever_waits_for_a_lock_that_is_removed_still_gets_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "work.lock"
    code = f"{WORKS}from filelock import FileLock\nfor _ in range(200):\n with FileLock({str(path)!r}):\n"
    code += f"  p = Path({str(tmp_path / 'inside')!r}); assert not p.exists(); p.touch(); time.sleep(.001); p.unlink()"
    workers = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) for _ in range(2)]
    while any(worker.poll() is None for worker in workers):
        remove_unheld([path])
        time.sleep(0.0005)
    assert [worker.returncode for worker in workers] == [0, 0]


def test_temporary_files_of_a_run_are_told_from_others_and_go_with_it(tmp_path: Path) -> None:
    code = f"""
import tempfile, sys
from pathlib import Path
from adapters.local.killed_runs import start
start(Path({str(tmp_path / "state")!r}), lambda: 0)
print(tempfile.mkdtemp(), flush=True)
sys.stdin.read()
"""
    (tmp_path / "state").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    def started() -> tuple[subprocess.Popen[str], Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    ended, folder = started()
    assert folder.is_dir()
    assert folder.parent.parent.stat().st_mode & 0o777 == 0o700
    ended.communicate()
    assert {path.name for path in tmp_path.iterdir()} == {"state"}
    killed, left = started()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert left.is_dir()
    following, _ = started()
    assert not left.exists()
    following.communicate()
    assert {path.name for path in tmp_path.iterdir()} == {"state"}
