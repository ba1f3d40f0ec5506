"""Channels of alerts on any machine: a file, a webhook, mail, and the alerter of the ZenML stack."""

from __future__ import annotations

import json
import os
import smtplib
import ssl
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from http.client import HTTPException
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import HTTPError, URLError

from churn.core.errors import StoreError
from churn.monitoring.settings import AlertSettings
from churn.ports.alerts import AlertChannel, Notice

__all__ = ["FileAlerts", "MailAlerts", "StackAlerts", "WebhookAlerts"]


@dataclass(frozen=True)
class FileAlerts(AlertChannel):
    """A file of JSON lines that is added to, for whoever follows it."""

    path: Path
    name: ClassVar[str] = "file"

    def send(self, notice: Notice) -> None:
        """Add a line, and flush it to the disk."""
        line = json.dumps(notice.content)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
                file.write(f"{line}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written ({error.strerror}): free it, or its disk.") from error


@dataclass(frozen=True)
class WebhookAlerts(AlertChannel):
    """A URL that gets each notice as JSON; its `text` and `content` are what chat services show."""

    settings: AlertSettings
    variable: Callable[[str], str | None] = os.environ.get
    name: ClassVar[str] = "webhook"

    def send(self, notice: Notice) -> None:
        """Post it; any answer of 200 to 299 has taken it. The URL and the token are in no message."""
        url = _secret(self.settings.webhook_variable, self.variable, "the URL of the webhook")
        shown = f"{notice.subject}\n{notice.text}"
        body = {**notice.content, "subject": notice.subject, "text": shown, "content": shown}
        headers = {"Content-Type": "application/json", "Idempotency-Key": notice.notice_id}
        if self.settings.token_variable is not None:
            token = _secret(self.settings.token_variable, self.variable, "the token of the webhook")
            headers["Authorization"] = f"Bearer {token}"
        try:
            request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
            if request.type not in {"http", "https"}:
                raise ValueError
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=self.settings.timeout_seconds):
                pass
        except HTTPError as error:
            reason = f"the webhook answered {error.code}"
        except ValueError:
            reason = f"{self.settings.webhook_variable} holds no URL that begins with http:// or https://"
        except URLError as error:
            reason = f"the webhook cannot be reached ({_kind(error.reason)})"
        except (OSError, HTTPException) as error:
            reason = f"the webhook did not answer ({_kind(error)})"
        else:
            return
        raise StoreError(f"{reason[0].upper()}{reason[1:]}.") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without its body."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True)
class MailAlerts(AlertChannel):
    """Mails by SMTP, encrypted unless the settings say otherwise."""

    settings: AlertSettings
    variable: Callable[[str], str | None] = os.environ.get
    name: ClassVar[str] = "mail"

    def send(self, notice: Notice) -> None:
        """Send one mail to all; where a server refuses some of them, it is not taken."""
        settings, message = self.settings, EmailMessage()
        message["Subject"], message["Date"] = notice.subject, formatdate(notice.at.timestamp())
        message["From"], message["To"] = settings.mail_from, ", ".join(settings.mail_to)
        message["Message-ID"] = f"<{notice.notice_id}@churn>"
        message.set_content(notice.text)
        context = ssl.create_default_context()
        try:
            with self._connected(context) as server:
                if settings.mail_security == "starttls":
                    server.starttls(context=context)
                if settings.mail_user is not None:
                    what = f"the password of {settings.mail_user} at {settings.mail_host}"
                    server.login(settings.mail_user, _secret(settings.mail_password_variable, self.variable, what))
                refused = server.send_message(message)
        except smtplib.SMTPAuthenticationError:
            reason = f"refuses the password of {settings.mail_user} ({settings.mail_password_variable})"
        except (OSError, smtplib.SMTPException) as error:
            reason = f"did not take the mail ({_kind(error)})"
        else:
            if not refused:
                return
            reason = f"refuses {', '.join(refused)}"
        raise StoreError(f"The mail server {settings.mail_host}:{settings.mail_port} {reason}.") from None

    def _connected(self, context: ssl.SSLContext) -> smtplib.SMTP:
        host, port, timeout = self.settings.mail_host, self.settings.mail_port, self.settings.timeout_seconds
        if self.settings.mail_security == "tls":
            return smtplib.SMTP_SSL(host, port, timeout=timeout, context=context)
        return smtplib.SMTP(host, port, timeout=timeout)


@dataclass(frozen=True)
class StackAlerts(AlertChannel):
    """The alerter component of the ZenML stack, such as Slack's or Discord's.

    Attributes:
        alerter: Returns the component; None where the stack has none.
    """

    alerter: Callable[[], Any]
    name: ClassVar[str] = "stack"

    def send(self, notice: Notice) -> None:
        """Post it as text."""
        try:
            alerter = self.alerter()
            if alerter is not None and alerter.post(f"{notice.subject}\n{notice.text}"):
                return
        except Exception as error:  # noqa: BLE001 - whatever a chat service's client raises, the notice is kept
            raise StoreError(f"The alerter of the stack did not take it ({_kind(error)}).") from None
        raise StoreError(f"The alerter of the stack {'did not take it' if alerter else 'is missing'}.")


def _secret(name: str | None, variable: Callable[[str], str | None], what: str) -> str:
    value = variable(name) if name else None
    if not value:
        raise StoreError(f"The environment variable {name} is not set: it is to hold {what}.")
    return value.strip()


def _kind(error: object) -> str:
    """Return what happened without what was sent: messages of libraries may hold addresses and passwords."""
    if isinstance(error, OSError) and error.strerror and error.errno is not None:
        return error.strerror
    return type(error).__name__
