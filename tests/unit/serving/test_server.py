"""What the server says before it listens: about its address, its files, and a model that is not live."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from adapters import wiring
from churn.core.errors import ConfigError, NotFound
from churn.settings import read_configuration
from serving.server import ServeOptions, for_this_machine, serve
from tests.fakes.data.case import CONFIGS
from tests.fakes.data.endpoint import CONTRACT

pytestmark = pytest.mark.slow


def options(folder: Path, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> ServeOptions:
    settings, profile = read_configuration(CONFIGS, overrides=[f"profile.state={folder}"])
    monkeypatch.setenv("CHURN_PROFILE", profile.model_dump_json())
    assert wiring.active_profile() == profile
    return ServeOptions(contract=CONTRACT, settings=settings, **{"port": 0, **changed})


def refused(started: ServeOptions) -> None:
    """Start the server, which must find what is wrong before it says that it answers."""
    serve(started, lambda: pytest.fail("it said that it answers"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_without_tokens_nobody_else_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    with pytest.raises(ConfigError, match=f"this machine alone, and {host} is open to others: leave --no-auth out"):
        refused(options(tmp_path, monkeypatch, authenticated=False, host=host))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *[(host, 200) for host in ("127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080")],
        *[
            (host, 400)
            for host in ("evil.example", "evil.example:8080", "localhost.evil.example", "192.0.2.1", "a b", "")
        ],
    ],
)
def test_without_tokens_pages_of_other_names_are_refused(host: str, status: int) -> None:
    http = TestClient(for_this_machine(PlainTextResponse("answered")))
    answer = http.get("/", headers={"host": host})
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error_code"] == "BAD_REQUEST"
        assert "answers as localhost or 127.0.0.1 alone" in answer.json()["message"]
        assert answer.headers["x-request-id"]


def test_a_port_that_is_taken_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"cannot listen at 127\.0\.0\.1:{port} \(Address already in use\)"):
            refused(options(tmp_path, monkeypatch, port=port))


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"no file .*nowhere\.pem: give a certificate and its key"):
        refused(options(tmp_path, monkeypatch, certificate=tmp_path / "nowhere.pem"))


def test_a_key_without_a_certificate_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key.pem").write_text("")
    with pytest.raises(ConfigError, match=r"--tls-key .*key\.pem has no certificate: give --tls-cert too"):
        refused(options(tmp_path, monkeypatch, key=tmp_path / "key.pem"))


@pytest.mark.parametrize("content", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_file_that_is_no_certificate_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=r"cannot answer with --tls-cert .*cert\.pem and --tls-key .*both in PEM"):
        refused(options(tmp_path, monkeypatch, certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem"))


def test_a_data_set_without_a_champion_is_told_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound, match=r"churn_gym has no @Champion .*--pipeline deployment"):
        refused(options(tmp_path, monkeypatch))
