"""What every store of files keeps of its port's promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.local.files import LocalFiles
from churn.core.errors import StoreError
from churn.ports.files import Files
from tests.fakes.ports.files import InMemoryFiles
from tests.permissions import may_only_be_read, public_folder

Reader = Callable[[str], bytes | None]


def in_memory(folder: Path) -> tuple[Files, Reader]:
    files = InMemoryFiles()
    return files, files.content.get


def on_disk(folder: Path) -> tuple[Files, Reader]:
    def read(name: str) -> bytes | None:
        path = folder / "files" / name
        return path.read_bytes() if path.exists() else None

    return LocalFiles(folder / "files"), read


@pytest.fixture(params=[in_memory, on_disk])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Files, Reader]:
    make: Callable[[Path], tuple[Files, Reader]] = request.param
    return make(tmp_path)


def test_the_chunks_are_the_content_in_their_order(stored: tuple[Files, Reader]) -> None:
    files, read = stored
    location = files.put("campaigns/3f2a.csv", iter([b"id,", b"", b"rank\r\n", b"\x00\xff"]))
    assert read("campaigns/3f2a.csv") == b"id,rank\r\n\x00\xff"
    assert location.endswith("campaigns/3f2a.csv")


def test_a_file_without_chunks_is_empty(stored: tuple[Files, Reader]) -> None:
    files, read = stored
    files.put("empty.txt", [])
    assert read("empty.txt") == b""


def test_a_second_content_takes_the_place_of_the_first(stored: tuple[Files, Reader]) -> None:
    files, read = stored
    first = files.put("page.html", [b"a long first page"])
    assert files.put("page.html", [b"short"]) == first
    assert read("page.html") == b"short"


def test_content_that_breaks_off_leaves_what_was_there(stored: tuple[Files, Reader]) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ValueError("no more rows")

    files, read = stored
    with pytest.raises(ValueError, match="no more rows"):
        files.put("list.csv", broken())
    assert read("list.csv") is None
    files.put("list.csv", [b"whole"])
    with pytest.raises(ValueError, match="no more rows"):
        files.put("list.csv", broken())
    assert read("list.csv") == b"whole"


def test_a_deleted_file_is_gone_and_may_be_deleted_again(stored: tuple[Files, Reader]) -> None:
    files, read = stored
    files.put("a/b.txt", [b"x"])
    files.put("a/c.txt", [b"y"])
    for _ in range(2):
        files.delete("a/b.txt")
    assert (read("a/b.txt"), read("a/c.txt")) == (None, b"y")


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "../up", "a/../b", "a//b", ".hidden", "a/.hidden", "a\\b", "a b", "ü", "a/", "-r", "a\n"],
)
def test_a_name_that_is_not_valid_is_refused(stored: tuple[Files, Reader], name: str) -> None:
    files, _ = stored
    with pytest.raises(StoreError, match="is not a valid file name"):
        files.put(name, [b"x"])
    with pytest.raises(StoreError, match="is not a valid file name"):
        files.delete(name)


def test_on_a_laptop_only_the_user_can_read_them_and_no_draft_is_left(tmp_path: Path) -> None:
    path = Path(LocalFiles(tmp_path / "state").put("campaigns/deep/list.csv", [b"x"]))
    assert path.stat().st_mode & 0o777 == 0o600
    assert {folder.stat().st_mode & 0o777 for folder in (path.parent, path.parent.parent)} == {0o700}
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_named_with_the_remedy() -> None:
    with public_folder() as folder:
        files = LocalFiles(folder)
        with may_only_be_read(folder), pytest.raises(StoreError, match=r"list\.csv cannot be written .*permissions"):
            files.put("list.csv", [b"x"])


def test_a_file_in_the_way_of_a_folder_is_an_error_of_the_store(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    files.put("campaigns", [b"x"])
    with pytest.raises(StoreError, match="cannot be written"):
        files.put("campaigns/list.csv", [b"x"])
