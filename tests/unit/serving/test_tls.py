"""The endpoint over HTTPS."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.fakes.data.served import Server
from tests.unit.serving.test_bad_requests import GOOD, JSON, answers_in, received, request

pytestmark = pytest.mark.slow


def certified(folder: Path) -> tuple[Path, Path]:
    """Return the files of a certificate for this machine and its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=localhost")
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "endpoint.pem", folder / "endpoint.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return files


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    folder = tmp_path_factory.mktemp("served")
    files = certified(folder)
    started = Server(folder / "log", "serving.header_seconds=0.5", tls=files)
    yield started, files[0]
    started.end()


def connected(server: tuple[Server, Path]) -> ssl.SSLSocket:
    plain = socket.create_connection(("localhost", server[0].port), timeout=10)
    return ssl.create_default_context(cafile=server[1]).wrap_socket(plain, server_hostname="localhost")


def test_a_request_is_answered_over_https(server: tuple[Server, Path]) -> None:
    with connected(server) as client:
        client.sendall(request("POST", "/invocations", GOOD, JSON))
        (answer,) = answers_in(received(client))
    assert answer.status == 200
    assert b'"status":"ok"' in answer.body


def test_slow_headers_end_the_connection_over_https_too(server: tuple[Server, Path]) -> None:
    begun = time.monotonic()
    with connected(server) as client:
        client.sendall(b"POST /invocations HTTP/1.1\r\n")
        (answer,) = answers_in(received(client))
    assert (answer.status, time.monotonic() - begun < 3) == (408, True)


def test_plain_http_gets_no_answer_and_hurts_nobody(server: tuple[Server, Path]) -> None:
    with socket.create_connection(("localhost", server[0].port), timeout=10) as client:
        client.sendall(request("GET", "/health/live"))
        assert b"HTTP/1.1" not in received(client)
    test_a_request_is_answered_over_https(server)
