"""What every channel of alerts keeps of its port's promises: a fake, and the real ones against servers of this test."""

from __future__ import annotations

import datetime as dt
import email
import email.policy
import json
import socketserver
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from zenml.alerter.base_alerter import BaseAlerter, BaseAlerterConfig
from zenml.enums import StackComponentType

from adapters.databricks.alerts import VolumeAlerts
from adapters.local.alerts import FileAlerts, MailAlerts, StackAlerts, WebhookAlerts
from churn.core.errors import StoreError
from churn.monitoring.settings import AlertSettings
from churn.ports.alerts import AlertChannel, Notice
from tests.fakes.ports.alerts import InMemoryAlerts
from tests.fakes.ports.files import InMemoryFiles

SECRET = "s3cret-token"
NOTICE = Notice(
    notice_id="0a1b2c",
    event="opened",
    severity="critical",
    title="broken feed (batch)\nBcc: eve@example.com",
    dataset="télco",
    model="churn_telco",
    version=3,
    kind="broken_feed",
    source="batch",
    window="2025-06-01",
    evidence=("Monthly charges (€) is 100 times what it was.",),
    recommendation="Correct the source.",
    page="/srv/churn/reports/monitoring.html",
    at=dt.datetime(2025, 6, 2, tzinfo=dt.UTC),
)


class Case:
    """A channel, what has arrived at its end, and how its end is made to refuse."""

    def __init__(self, channel: AlertChannel, arrived: Callable[[], list[str]], refuse: Callable[[], None]) -> None:
        self.channel, self.arrived, self.refuse = channel, arrived, refuse


@contextmanager
def served(server: socketserver.BaseServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]  # type: ignore[index]
    finally:
        server.shutdown()
        server.server_close()


class Hook(BaseHTTPRequestHandler):
    """A webhook; the server's `answer` is the status, 0 lets the client wait."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server: Any = self.server
        if server.answer == 0:
            time.sleep(1)
            return
        if server.answer < 300:
            server.requests.append((self.path, dict(self.headers), json.loads(body)))
        self.send_response(server.answer)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output clean."""


class Post(socketserver.StreamRequestHandler):
    """A mail server that speaks as much SMTP as a mail needs; its `answer` to a recipient may be a refusal."""

    def handle(self) -> None:
        server: Any = self.server
        self.say("220 here")
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            if word in {"EHLO", "HELO"}:
                self.say("250 here")
            elif word == "RCPT":
                self.say(server.answer)
            elif word == "DATA":
                self.say("354 go on")
                lines = []
                while (text := self.rfile.readline()) not in {b".\r\n", b""}:
                    lines.append(text)
                server.mails.append(b"".join(lines))
                self.say("250 taken")
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 fine" if word in {"MAIL", "RSET"} else "502 no such command")

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def in_memory(folder: Path) -> Iterator[Case]:
    fake = InMemoryAlerts()
    yield Case(fake, lambda: [notice.text for notice in fake.notices], lambda: setattr(fake, "refuses", True))


@contextmanager
def file(folder: Path) -> Iterator[Case]:
    path = folder / "alerts" / "telco.jsonl"

    def arrived() -> list[str]:
        return [json.loads(line)["text"] for line in path.read_text().splitlines()] if path.is_file() else []

    yield Case(FileAlerts(path), arrived, lambda: path.mkdir(parents=True))


class Full(InMemoryFiles):
    """A volume that takes no more, once it is full."""

    is_full = False

    def put(self, name: str, chunks: Iterable[bytes]) -> str:
        if self.is_full:
            raise StoreError("The volume is full.")
        return super().put(name, chunks)


@contextmanager
def volume(folder: Path) -> Iterator[Case]:
    files = Full()

    def arrived() -> list[str]:
        assert {name.rpartition("/")[0] for name in files.content} <= {"alerts/telco"}
        return [json.loads(content)["text"] for content in files.content.values()]

    yield Case(VolumeAlerts(files, "alerts/telco"), arrived, lambda: setattr(files, "is_full", True))


@contextmanager
def webhook(folder: Path) -> Iterator[Case]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.requests, server.answer = [], 200
    with served(server) as port:
        variables = {"HOOK": f"http://127.0.0.1:{port}/{SECRET}", "TOKEN": SECRET}
        settings = AlertSettings(webhook_variable="HOOK", token_variable="TOKEN", timeout_seconds=0.5)
        channel = WebhookAlerts(settings, variables.get)
        arrived = lambda: [body["text"] for _, _, body in server.requests]  # noqa: E731
        yield Case(channel, arrived, lambda: setattr(server, "answer", 403))


@contextmanager
def mail(folder: Path) -> Iterator[Case]:
    server: Any = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Post)
    server.mails, server.answer = [], "250 fine"
    with served(server) as port:
        settings = AlertSettings(
            mail_to=("ada@example.com", "bob@example.com"),
            mail_host="127.0.0.1",
            mail_port=port,
            mail_security="none",
            timeout_seconds=0.5,
        )

        def arrived() -> list[str]:
            parsed = [email.message_from_bytes(raw, policy=email.policy.default) for raw in server.mails]
            assert all(message["Bcc"] is None for message in parsed)
            return [f"{message['Subject']}\n{message.get_content()}" for message in parsed]

        yield Case(MailAlerts(settings), arrived, lambda: setattr(server, "answer", "550 no such user"))


class Chat(BaseAlerter):
    """An alerter of ZenML that keeps what is posted."""

    posted: list[str] = []  # noqa: RUF012 - one for each test, see below
    works = True

    def post(self, message: str, params: Any = None) -> bool:
        if self.works:
            self.posted.append(message)
        return self.works


@contextmanager
def stack(folder: Path) -> Iterator[Case]:
    now = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
    chat = Chat(
        name="chat", id=uuid4(), config=BaseAlerterConfig(), flavor="chat", type=StackComponentType.ALERTER,
        user=uuid4(), created=now, updated=now,
    )  # fmt: skip
    chat.posted = []
    yield Case(StackAlerts(lambda: chat), lambda: chat.posted, lambda: setattr(chat, "works", False))


CHANNELS = [in_memory, file, volume, webhook, mail, stack]


@pytest.fixture(params=CHANNELS, ids=lambda made: str(made.__name__))
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    with request.param(tmp_path) as made:
        yield made


def test_a_notice_arrives_with_evidence_recommendation_and_the_place_of_the_page(case: Case) -> None:
    case.channel.send(NOTICE)
    (text,) = case.arrived()
    for part in (
        *NOTICE.evidence,
        NOTICE.recommendation,
        str(NOTICE.page),
        "broken feed (batch)",
        "churn_telco version 3",
    ):
        assert part in text
    assert case.channel.name


def test_notices_arrive_in_the_order_in_which_they_are_sent(case: Case) -> None:
    for number in range(3):
        case.channel.send(NOTICE.model_copy(update={"notice_id": str(number), "window": f"window {number}"}))
    assert [f"window {number}" in text for number, text in enumerate(case.arrived())] == [True] * 3


def test_a_notice_that_is_not_taken_is_said_without_any_secret_and_may_be_sent_again(case: Case) -> None:
    case.refuse()
    with pytest.raises(StoreError, match=r"\w.*\.$") as refused:
        case.channel.send(NOTICE)
    assert SECRET not in "".join(traceback.format_exception(refused.value))
    assert case.arrived() == []


def test_a_webhook_gets_json_with_a_token_and_an_id_for_what_arrives_twice(tmp_path: Path) -> None:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.requests, server.answer = [], 204
    with served(server) as port:
        variables = {"HOOK": f"http://127.0.0.1:{port}/alerts", "TOKEN": SECRET}
        settings = AlertSettings(webhook_variable="HOOK", token_variable="TOKEN", timeout_seconds=5)
        WebhookAlerts(settings, variables.get).send(NOTICE)
    path, headers, body = server.requests[0]
    assert (path, headers["Authorization"], headers["Idempotency-Key"]) == ("/alerts", f"Bearer {SECRET}", "0a1b2c")
    assert (body["event"], body["severity"], body["kind"], body["version"]) == ("opened", "critical", "broken_feed", 3)
    assert body["subject"] == "[churn] critical: télco: broken feed (batch) Bcc: eve@example.com"


@pytest.mark.parametrize(("answer", "reason"), [(0, "did not answer"), (302, "answered 302"), (500, "answered 500")])
def test_a_webhook_that_hangs_redirects_or_fails_has_not_taken_it(answer: int, reason: str) -> None:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.requests, server.answer = [], answer
    with served(server) as port:
        settings = AlertSettings(webhook_variable="HOOK", timeout_seconds=0.2)
        with pytest.raises(StoreError, match=f"^The webhook {reason}"):
            WebhookAlerts(settings, {"HOOK": f"http://127.0.0.1:{port}/{SECRET}"}.get).send(NOTICE)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "The environment variable HOOK is not set: it is to hold the URL of the webhook."),
        ({"HOOK": f"hooks.example.com/{SECRET}"}, "HOOK holds no URL that begins with http:// or https://."),
        ({"HOOK": f"file:///{SECRET}"}, "HOOK holds no URL that begins with http:// or https://."),
        ({"HOOK": f"http://127.0.0.1:1/{SECRET}"}, "The webhook cannot be reached (Connection refused)."),
    ],
)
def test_an_address_that_is_wrong_is_named_by_its_variable(variables: dict[str, str], said: str) -> None:
    with pytest.raises(StoreError) as refused:
        WebhookAlerts(AlertSettings(webhook_variable="HOOK", timeout_seconds=1), variables.get).send(NOTICE)
    assert str(refused.value) == said


def test_a_mail_is_not_sent_in_clear_where_the_server_offers_no_encryption() -> None:
    server: Any = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Post)
    server.mails, server.answer = [], "250 fine"
    with served(server) as port:
        options: dict[str, Any] = {"mail_host": "127.0.0.1", "mail_port": port, "mail_user": "churn"}
        settings = AlertSettings(mail_to=("ada@example.com",), timeout_seconds=0.5, **options)
        with pytest.raises(StoreError, match="did not take the mail"):
            MailAlerts(settings, {"CHURN_SMTP_PASSWORD": SECRET}.get).send(NOTICE)
    assert server.mails == []


def test_a_stack_without_alerter_has_not_taken_it() -> None:
    with pytest.raises(StoreError, match="The alerter of the stack is missing"):
        StackAlerts(lambda: None).send(NOTICE)
