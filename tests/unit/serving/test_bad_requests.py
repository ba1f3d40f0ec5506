"""A server that listens is sent what no client should send: it answers in words, goes on answering, and stays small."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fakes.data.deciding import MODEL
from tests.fakes.data.endpoint import FULL
from tests.fakes.data.served import Server

pytestmark = pytest.mark.slow

LIMITS = ("serving.max_megabytes=0.2", "serving.max_rows=50", "serving.body_seconds=0.5", "serving.header_seconds=0.5")
CONNECTIONS = 40
GOOD = json.dumps({"instances": [{"customer_id": "a"}]}).encode()
JSON = "Content-Type: application/json"


class Answer(NamedTuple):
    """What came back on a connection: status, headers by lower-case names, body."""

    status: int
    headers: dict[str, str]
    body: bytes


class Asked(Server):
    """An endpoint in a process of its own, asked over plain sockets."""

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        client.settimeout(10)
        return client

    def send(self, data: bytes) -> list[Answer]:
        """Send bytes on a new connection, and return every answer that comes until it is closed or silent."""
        with self.connect() as client:
            with contextlib.suppress(OSError):  # it may be refused before everything is sent
                client.sendall(data)
            return answers_in(received(client))

    def post(self, body: bytes, *headers: str, path: str = f"/serving-endpoints/{MODEL}/invocations") -> Answer:
        (answer,) = self.send(request("POST", path, body, *(headers or [JSON])))
        return answer

    @property
    def memory(self) -> int:
        """Bytes that the process holds in memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024


def request(
    method: str, path: str, body: bytes = b"", *headers: str, token: str | None = "asks", last: bool = True
) -> bytes:
    """Return a request as it goes over the wire; after the last one the server closes the connection."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers, *([f"Authorization: Bearer {token}"] if token else [])]
    lines += ["Connection: close"] if last else []
    length = (
        []
        if any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers)
        else [f"Content-Length: {len(body)}"]
    )
    return "\r\n".join([*lines, *length, "", ""]).encode("latin-1") + body


def received(client: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(OSError):
        while part := client.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def answers_in(data: bytes) -> list[Answer]:
    found = []
    while data:
        top, _, data = data.partition(b"\r\n\r\n")
        first, *lines = top.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        size = int(headers["content-length"])
        found.append(Answer(int(first.split(" ")[1]), headers, data[:size]))
        data = data[size:]
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    started = Asked(tmp_path_factory.mktemp("served") / "log", *LIMITS, f"serving.max_connections={CONNECTIONS}")
    yield started
    started.end()


def fit_for_a_client(answer: Answer) -> bool:
    """Return whether an answer is in words, has the id of its request, and shows nothing of the program."""
    said = json.loads(answer.body)
    shown = any(word in answer.body for word in (b"Traceback", b'File "', b".py", b"secret"))
    careful = answer.headers["x-content-type-options"] == "nosniff"
    return bool(said.keys() == {"error_code", "message"} and answer.headers["x-request-id"] and careful) and not shown


def rows(text: str) -> bytes:
    return b'{"instances": [{"customer_id": "a", ' + text.encode() + b"}]}"


NOT_READ = {
    "nothing": b"",
    "a space": b" ",
    "truncated": GOOD[:-3],
    "truncated in a text": GOOD[:30],
    "two documents": GOOD + GOOD,
    "no object": b"[1]",
    "null": b"null",
    "NaN": rows('"tenure": NaN'),
    "infinity": rows('"tenure": Infinity'),
    "minus infinity": rows('"tenure": -Infinity'),
    "1e400": rows('"tenure": 1e400'),
    "10 to the 400": rows('"tenure": 1' + "0" * 400),
    "100,000 digits": rows('"tenure": ' + "9" * 100_000),
    "single quotes": b"{'instances': [{}]}",
    "a comment": b"// rows\n" + GOOD,
    "a comma too many": b'{"instances": [{"customer_id": "a"},]}',
    "utf-16": GOOD.decode().encode("utf-16"),
    "utf-32": GOOD.decode().encode("utf-32"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "latin-1": rows('"contract": "é"').decode().encode("latin-1"),
    "utf-8 that is cut": rows('"contract": "é"').replace("é".encode(), "é".encode()[:1]),
    "a lone surrogate": rows('"contract": "\\ud800"'),
    "a surrogate as utf-8": rows('"contract": "?"').replace(b"?", b"\xed\xa0\x80"),
    "a raw NUL": rows('"contract": "?"').replace(b"?", b"\x00"),
    "nested 100,000 deep": b'{"instances": ' + b"[" * 90_000 + b"]" * 90_000 + b"}",
    "nested 1,000 deep as a value": rows('"tenure": ' + "[" * 1000 + "]" * 1000),
    "nested 1,000 deep as a key": b'{"instances": [{"customer_id": ' + b'{"a":' * 1000 + b"1" + b"}" * 1001 + b"]}",
    "nested 1,000 deep as params": b'{"instances": [{}], "params": ' + b"[" * 1000 + b"]" * 1000 + b"}",
    "nested 1,000 deep as a column": b'{"inputs": {"tenure": [' + b"[" * 1000 + b"]" * 1000 + b"]}}",
    "a form": b"instances=1",
    "xml": b"<rows/>",
    "random bytes": bytes(range(256)) * 20,
    "too many rows": json.dumps({"instances": [FULL] * 51}).encode(),
    "no rows": b'{"instances": []}',
}
READ = {
    "a name twice": b'{"instances": [{"customer_id": "nobody", "customer_id": "a"}]}',
    "an escaped NUL": rows('"contract": "\\u0000"'),
    "a number that is a text": rows('"tenure": "1e400"'),
    "a text of 100,000 digits": rows('"tenure": "' + "9" * 100_000 + '"'),
    "a category of 100,000 digits": rows('"contract": "' + "9" * 100_000 + '.0"'),
    "2 to the 64": rows('"tenure": 18446744073709551616'),
    "the largest double": rows('"tenure": 1.7976931348623157e308'),
    "the smallest double": rows('"tenure": 5e-324'),
    "minus zero": rows('"tenure": -0.0'),
    "a whole number for a decimal one": rows('"monthly_charges": 50'),
    "a decimal number for a whole one": rows('"tenure": 10.5'),
    "a number for a category": rows('"contract": 12'),
    "a truth value for a number": rows('"tenure": true'),
    "a name that is empty": rows('"": 1'),
    "a name that is no name": rows('"<script>\\u202e": 1'),
    "10,000 columns": rows(", ".join(f'"c{number}": 1' for number in range(10_000))),
    "an emoji": rows('"contract": "\U0001f600"'),
}


@pytest.mark.parametrize("name", NOT_READ)
def test_a_body_that_cannot_be_read_is_refused_in_words(server: Asked, name: str) -> None:
    answer = server.post(NOT_READ[name])
    assert (answer.status, fit_for_a_client(answer)) == (400, True), answer


@pytest.mark.parametrize("name", READ)
def test_odd_values_are_scored(server: Asked, name: str) -> None:
    answer = server.post(READ[name])
    assert answer.status == 200, answer
    (row,) = json.loads(answer.body)["predictions"]
    assert (row["customer"], row["status"]) == ("a", "ok")
    assert 0 <= row["probability"] <= 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Content-Type: text/csv"], 415),
        (["Content-Type: application/x-www-form-urlencoded"], 415),
        (["Content-Type: multipart/form-data; boundary=x"], 415),
        (["Content-Type: application/jsonp"], 415),
        (["Content-Type: ;;;"], 415),
        ([JSON, "Content-Encoding: gzip"], 415),
        ([JSON, "Content-Encoding: br"], 415),
        ([JSON, "Content-Encoding: identity"], 200),
        (["Content-Type: application/json; charset=utf-8"], 200),
        (["Content-Type: APPLICATION/JSON"], 200),
        (["X-Nothing: 1"], 200),
        ([JSON, "X-Request-Id: \x80\xff"], 200),
        ([JSON, "Accept: text/html"], 200),
    ],
)
def test_only_json_that_is_not_compressed_is_read(server: Asked, headers: list[str], status: int) -> None:
    answer = server.post(GOOD, *headers)
    assert answer.status == status
    assert status == 200 or fit_for_a_client(answer)


@pytest.mark.parametrize(
    "path",
    [
        "/serving-endpoints/other/invocations",
        "/serving-endpoints/../../etc/passwd/invocations",
        "/serving-endpoints/..%2f..%2fetc%2fpasswd/invocations",
        "/serving-endpoints/%00/invocations",
        "/serving-endpoints/%ff%fe/invocations",
        "/serving-endpoints/%3Cscript%3E/invocations",
        "/serving-endpoints//invocations",
        "/serving-endpoints/" + "x" * 8000 + "/invocations",
        "/invocations/",
        "//invocations",
        "/page/../../pyproject.toml",
        "/page/%2e%2e/%2e%2e/pyproject.toml",
    ],
)
def test_a_path_that_is_not_there_is_404(server: Asked, path: str) -> None:
    answer = server.post(GOOD, JSON, path=path)
    assert (answer.status, fit_for_a_client(answer)) == (404, True)
    assert len(answer.body) < 1000


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_another_method_is_405(server: Asked, method: str) -> None:
    (answer,) = server.send(request(method, "/invocations"))
    assert (answer.status, answer.headers["allow"], fit_for_a_client(answer)) == (405, "POST", True)


def test_head_has_no_body(server: Asked) -> None:
    with server.connect() as client:
        client.sendall(request("HEAD", "/invocations"))
        head = received(client)
    assert head.startswith(b"HTTP/1.1 405")
    assert head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # TLS to a port without
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"NOTHING / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
        b"GET / HTTP/1.1\r\nNa me: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        request("POST", "/invocations", GOOD, JSON, "Content-Length: -1"),
        request("POST", "/invocations", GOOD, JSON, "Content-Length: 1e3"),
        request("POST", "/invocations", GOOD, JSON, "Content-Length: 5", "Content-Length: 6"),
        request("POST", "/invocations", GOOD, JSON, "Content-Length: 5", "Transfer-Encoding: chunked"),
        request("POST", "/invocations", b"zz\r\n{}\r\n0\r\n\r\n", JSON, "Transfer-Encoding: chunked"),
        os.urandom(2000),
    ],
)
def test_what_is_no_http_is_refused_in_words(server: Asked, sent: bytes) -> None:
    answer = server.send(sent)[-1]
    assert (400 <= answer.status < 500, fit_for_a_client(answer)) == (True, True)


def test_a_body_may_come_in_chunks(server: Asked) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (GOOD[:7], GOOD[7:])) + b"0\r\n\r\n"
    assert server.post(chunks, JSON, "Transfer-Encoding: chunked").status == 200


def test_a_server_that_ends_answers_what_idle_clients_have_sent(tmp_path: Path) -> None:
    ending = Asked(tmp_path / "log", *LIMITS)
    clients = [ending.connect() for _ in range(3)]
    for client in clients:
        client.sendall(request("POST", "/invocations", GOOD, JSON, last=False))
        assert client.recv(65_536).startswith(b"HTTP/1.1 200")
    ending.process.terminate()
    time.sleep(0.15)
    clients[0].sendall(request("POST", "/invocations", GOOD, JSON, last=False))
    clients[1].sendall(request("GET", "/health/live", last=False))
    last = [answers_in(received(client)) for client in clients]
    assert [[(answer.status, answer.headers["connection"]) for answer in answers] for answers in last] == [
        [(200, "close")],
        [(200, "close")],
        [],
    ]
    assert ending.process.wait(10) is not None


@pytest.mark.parametrize("offer", ["h2c", "websocket", "HTTP/2.0, h2c"])
@pytest.mark.parametrize("name", ["Upgrade", "upgrade", "UPGRADE"])
def test_an_offer_of_another_protocol_is_not_taken_and_the_request_is_answered(
    server: Asked, name: str, offer: str
) -> None:
    head = [JSON, f"Connection: {name}, HTTP2-Settings", f"{name}: {offer}", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"]
    asked = request("POST", "/invocations", GOOD, *head, last=False) + request("POST", "/invocations", GOOD, JSON)
    assert [answer.status for answer in server.send(asked)] == [200, 200]


@pytest.mark.parametrize("first", [10, 40, -len(GOOD), -3])
def test_a_request_may_come_in_two_pieces(server: Asked, first: int) -> None:
    sent = request("POST", "/invocations", GOOD, JSON)
    with server.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(sent[:first])
        time.sleep(0.05)
        client.sendall(sent[first:])
        (answer,) = answers_in(received(client))
    assert answer.status == 200


def test_a_body_beyond_the_limit_is_413_however_it_comes(server: Asked) -> None:
    large = b'{"instances": [{"customer_id": "' + b"x" * 300_000 + b'"}]}'
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (large[:1000], large[1000:])) + b"0\r\n\r\n"
    for answer in (server.post(large), server.post(chunks, JSON, "Transfer-Encoding: chunked")):
        assert (answer.status, fit_for_a_client(answer)) == (413, True)


def test_endless_chunks_are_ended(server: Asked) -> None:
    begun = time.monotonic()
    with server.connect() as client:
        client.sendall(request("POST", "/invocations", b"", JSON, "Transfer-Encoding: chunked"))
        with contextlib.suppress(OSError):
            while time.monotonic() < begun + 10:
                client.sendall(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
                time.sleep(0.001)
    assert time.monotonic() < begun + 5


def test_a_body_that_nobody_reads_is_ended_too(server: Asked) -> None:
    begun = time.monotonic()
    with server.connect() as client:
        client.sendall(request("POST", "/invocations", b"", JSON, "Transfer-Encoding: chunked", token=None, last=False))
        with contextlib.suppress(OSError):
            while time.monotonic() < begun + 10:
                client.sendall(b"1\r\nx\r\n")
                time.sleep(0.02)
    assert time.monotonic() < begun + 5


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"POST /invocations HTTP/1.1\r\nHost: x\r\n", b"X"),
        (b"", b"\r\n"),
        (request("GET", "/health/live", last=False), b"\r\n"),
        (request("GET", "/health/live", last=False), b"G"),
    ],
)
def test_headers_that_do_not_arrive_in_time_end_the_connection(server: Asked, first: bytes, then: bytes) -> None:
    begun = time.monotonic()
    with server.connect() as client:
        client.sendall(first)
        client.settimeout(0.05)
        got = b""
        while time.monotonic() < begun + 10:
            try:
                part = client.recv(65_536)
                if not part:
                    break
                got += part
            except TimeoutError:
                client.sendall(then)
            except OSError:
                break
    assert time.monotonic() < begun + 3
    if first.startswith(b"POST"):
        (answer,) = answers_in(got)
        assert (answer.status, fit_for_a_client(answer)) == (408, True)


def test_a_body_that_does_not_arrive_in_time_is_408(server: Asked) -> None:
    with server.connect() as client:
        client.sendall(request("POST", "/invocations", GOOD[:5], JSON, f"Content-Length: {len(GOOD)}"))
        (answer,) = answers_in(received(client))
    assert (answer.status, fit_for_a_client(answer)) == (408, True)


@pytest.mark.parametrize(
    "headers",
    [
        [f"X-Large: {'x' * 70_000}"],
        [f"X-{number}: {'y' * 100}" for number in range(1000)],
        [f"X-Endless: {'x' * 3_000_000}"],
    ],
)
def test_headers_have_a_largest_size(server: Asked, headers: list[str]) -> None:
    (answer,) = server.send(request("GET", "/health/live", b"", *headers))
    assert (answer.status, fit_for_a_client(answer)) == (431, True)


def test_a_first_line_has_a_largest_size(server: Asked) -> None:
    (answer,) = server.send(request("GET", "/" + "x" * 70_000))
    assert (answer.status, fit_for_a_client(answer)) == (431, True)


def test_requests_in_one_piece_are_answered_in_their_order(server: Asked) -> None:
    bodies = [GOOD, b"{", GOOD]
    sent = b"".join(request("POST", "/invocations", body, JSON, last=False) for body in bodies)
    sent += request("GET", "/health/live")
    assert [answer.status for answer in server.send(sent)] == [200, 400, 200, 200]


def test_more_connections_than_allowed_are_503_and_later_ones_are_answered(server: Asked) -> None:
    held = [server.connect() for _ in range(CONNECTIONS + 5)]
    time.sleep(0.1)
    statuses = []
    for client in held:
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            statuses += [(answer.status, answer.headers["retry-after"]) for answer in answers_in(client.recv(65_536))]
        client.close()
    assert statuses == [(503, "1")] * len(statuses)
    assert 5 <= len(statuses) <= 6
    time.sleep(0.1)
    assert server.post(GOOD).status == 200


def test_a_fault_is_in_the_log_with_its_id_and_shows_a_client_nothing(server: Asked) -> None:
    answer = server.post(b'{"instances": [{"customer_id": "broken"}]}', JSON, "X-Request-Id: fault-77")
    assert (answer.status, fit_for_a_client(answer), answer.headers["x-request-id"]) == (500, True, "fault-77")
    log = server.log.read_text()
    assert "request fault-77 failed" in log
    assert "ZeroDivisionError: a secret" in log


def test_thousands_of_bad_requests_leave_the_server_as_it_was(server: Asked) -> None:
    bad = [request("POST", "/invocations", body, JSON, last=False) for body in NOT_READ.values()]
    bad += [request("POST", "/invocations", GOOD, "Content-Type: text/csv", last=False)]
    bad += [request("GET", "/" + "y" * 5000)]

    def send(rounds: int) -> None:
        for _ in range(rounds):
            statuses = [answer.status for answer in server.send(b"".join(bad))]
            assert statuses == [*[400] * len(NOT_READ), 415, 404]

    send(10)
    before = server.memory
    send(80)
    assert len(bad) * 80 > 2500
    assert server.memory - before < 20e6
    assert server.post(GOOD).status == 200
