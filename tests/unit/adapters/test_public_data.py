from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from adapters.local.public_data import PUBLIC_DATA, PublicData, fetch
from churn.core.errors import ConfigError, StoreError


def catalogue(tmp_path: Path, content: bytes, promised: bytes) -> dict[str, PublicData]:
    published = tmp_path / "published.csv"
    published.write_bytes(content)
    return {"gym": PublicData(published.as_uri(), hashlib.sha256(promised).hexdigest(), "gym.csv")}


def test_what_was_published_is_kept(tmp_path: Path) -> None:
    path = fetch("gym", tmp_path / "data", offers=catalogue(tmp_path, b"id\n1\n", b"id\n1\n"))
    assert path.read_bytes() == b"id\n1\n"


def test_an_intact_copy_is_not_downloaded_again(tmp_path: Path) -> None:
    known = catalogue(tmp_path, b"id\n1\n", b"id\n1\n")
    first = fetch("gym", tmp_path / "data", offers=known)
    (tmp_path / "published.csv").unlink()
    assert fetch("gym", tmp_path / "data", offers=known) == first


def test_something_else_than_was_published_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="sent something else than was published"):
        fetch("gym", tmp_path / "data", offers=catalogue(tmp_path, b"<html>login</html>", b"id\n1\n"))
    assert not (tmp_path / "data").exists()


def test_without_an_answer_the_user_learns_where_to_put_the_file(tmp_path: Path) -> None:
    known = catalogue(tmp_path, b"", b"id\n1\n")
    (tmp_path / "published.csv").unlink()
    with pytest.raises(StoreError, match=rf"does not answer.*copy the file .* to {tmp_path}/data/gym\.csv"):
        fetch("gym", tmp_path / "data", offers=known)


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'telco'"):
        fetch("telcom", tmp_path)


def test_the_published_telco_file_is_the_one_the_checksum_promises(telco_csv: Path) -> None:
    assert hashlib.sha256(telco_csv.read_bytes()).hexdigest() == PUBLIC_DATA["telco"].sha256
