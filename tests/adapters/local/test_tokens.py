"""Tokens of the endpoint: shown once, kept as hashes, several at a time, and revoked at once."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from adapters.local.tokens import TokenFile
from churn.core.errors import ConfigError, NotFound, StoreError

NOW = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "endpoint" / "gym.tokens.json"


def test_a_token_may_do_what_its_scope_says_and_is_nowhere_in_the_file(path: Path) -> None:
    tokens = TokenFile(path)
    asks, rules = tokens.create("crm", "query", NOW), tokens.create("ops", "admin", NOW)
    assert [TokenFile(path).scope_of(text) for text in (asks, rules, "other", "")] == ["query", "admin", None, None]
    assert asks not in path.read_text()
    assert [(token.name, token.scope, token.created_at) for token in tokens.tokens()] == [
        ("crm", "query", NOW),
        ("ops", "admin", NOW),
    ]


def test_a_server_notices_a_token_that_was_made_or_revoked_meanwhile(path: Path) -> None:
    server, admin = TokenFile(path), TokenFile(path)
    first = admin.create("old", "query", NOW)
    assert server.scope_of(first) == "query"
    second = admin.create("new", "query", NOW)
    admin.revoke("old")
    assert [server.scope_of(first), server.scope_of(second)] == [None, "query"]


def test_a_name_stands_once_and_one_that_is_not_there_is_refused_with_those_that_are(path: Path) -> None:
    tokens = TokenFile(path)
    tokens.create("crm", "query", NOW)
    with pytest.raises(ConfigError, match="'crm' is taken"):
        tokens.create("crm", "admin", NOW)
    with pytest.raises(ConfigError, match="needs a name of its own, and none was given: give one with --name"):
        tokens.create(" ", "admin", NOW)
    with pytest.raises(NotFound, match="no token 'crn'; there are: crm"):
        tokens.revoke("crn")


def test_a_damaged_file_lets_nobody_in(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(StoreError, match=r"tokens in .*gym\.tokens\.json cannot be read: .* is no JSON text"):
        TokenFile(path).scope_of("x")


def test_a_file_of_a_newer_format_lets_nobody_in(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"format": 2, "tokens": []}')
    with pytest.raises(StoreError, match=r"has format 2, and this version of the project reads up to 1"):
        TokenFile(path).scope_of("x")
