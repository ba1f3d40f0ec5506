"""The container file: what is in the image, as whom it runs, and how its health is asked; nothing is built here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cli.parser import build_parser

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LINES = [line.strip() for line in TEXT.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]
STAGES = [
    [line for line in part.splitlines() if line] for part in re.split(r"^(?=FROM )", "\n".join(LINES), flags=re.M)
]
BUILD, FINAL = (stage for stage in STAGES if stage)
PACKED = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]


def listed(word: str) -> list[str]:
    """Return the list that the last instruction of that name has: its exec form, which no shell reads."""
    found = next(line for line in reversed(FINAL) if word in line)
    arguments: list[str] = json.loads(found[found.index("[") :])
    return arguments


def test_the_environment_is_the_locked_one_without_what_tests_need() -> None:
    (sync,) = [line for line in BUILD if " sync " in line]
    assert {"--frozen", "--no-dev", "--no-install-project"} <= set(sync.split())
    assert "tools/get_uv.py" in sync  # checks the digest that the lock file has of uv
    assert not [line for line in LINES if re.search(r"pip install|apt-get|curl|wget|^ADD", line)]


def test_the_base_image_is_a_named_version_of_a_python_that_the_project_takes() -> None:
    images = {line.split()[1] for line in LINES if line.startswith("FROM")}
    assert len(images) == 1
    found = re.fullmatch(r"python:3\.(\d+)-slim-[a-z]+", images.pop())
    assert found is not None
    assert 11 <= int(found[1]) <= 13


def test_it_runs_as_a_user_who_is_not_root_and_owns_the_state_alone() -> None:
    users = [line.split()[1] for line in FINAL if line.startswith("USER")]
    assert users == ["10001"]
    after = FINAL[FINAL.index("USER 10001") :]
    assert not [line for line in after if line.startswith(("RUN", "COPY"))]
    assert not [line for line in FINAL if re.search(r"--chown|chmod|sudo", line)]
    assert [line.split()[1] for line in FINAL if line.startswith("VOLUME")] == ["/state"]
    assert "ln -s /state .churn" in TEXT


def test_its_commands_are_read_by_no_shell_so_that_sigterm_reaches_the_server() -> None:
    assert listed("ENTRYPOINT") == ["python", "run.py"]
    arguments = build_parser().parse_args(listed("CMD"))
    assert (arguments.host, arguments.port, arguments.no_auth) == ("0.0.0.0", 8080, False)


def test_nothing_secret_goes_into_the_image() -> None:
    assert not re.search(r"token|password|secret|api_?key", TEXT.lower())
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert next(line for line in ignored if not line.startswith("#")) == "*"
    for name in (".churn", ".git", ".env", "tests", ".venv"):
        assert name not in PACKED


def test_the_image_has_every_package_of_the_program() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages | {"configs", "run.py", "pyproject.toml", "uv.lock", "tools/get_uv.py"} <= set(PACKED)
    assert all((ROOT / name).exists() for name in PACKED)
    compiled = next(line for line in FINAL if "compileall" in line)
    assert packages <= set(compiled.split())


@contextmanager
def answering(status: int) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health/ready" else 404)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (503, 1)])
def test_its_health_is_that_a_version_is_loaded(status: int, expected: int) -> None:
    program, *arguments = listed("HEALTHCHECK")
    assert program == "python"
    with answering(status) as port:
        asked = [argument.replace(":8080", f":{port}") for argument in arguments]
        assert f":{port}/" in asked[-1]
        done = subprocess.run([sys.executable, *asked], capture_output=True, check=False, timeout=30)
    assert done.returncode == expected
