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


def test_content_and_names_are_read_back(stored: tuple[Files, Reader]) -> None:
    files, _ = stored
    for name in ("lists/b.csv", "lists/deep/a.csv", "page.html"):
        files.put(name, [name.encode()])
    assert files.names("lists") == ["lists/b.csv", "lists/deep/a.csv"]
    assert files.names("nothing") == []
    assert files.get("lists/deep/a.csv") == b"lists/deep/a.csv"
    assert (files.get("lists/c.csv"), files.get("nothing/c.csv")) == (None, None)


@pytest.mark.parametrize(
    ("word", "text", "after"),
    [
        ("C-17", b"C-17, xC-17 C-17x C-17-2 _C-17 (C-17) C-17", b"gone, xC-17 C-17x C-17-2 _C-17 (gone) gone"),
        ("a<b>&c", b"<td>a&lt;b&gt;&amp;c</td> a<b>&c", b"<td>gone</td> gone"),
        ('o"x\N{LATIN SMALL LETTER E WITH ACUTE}', b'{"id": "o\\"x\\u00e9"}', b'{"id": "gone"}'),
        ("4.5", b"4.5 415", b"gone 415"),
    ],
)
def test_a_word_is_replaced_as_a_whole_and_as_pages_write_it(
    stored: tuple[Files, Reader], word: str, text: bytes, after: bytes
) -> None:
    files, read = stored
    files.put("deep/page.html", [text])
    files.put("other.txt", [b"nothing of it"])
    assert files.replace_word(word, "gone") == (("deep/page.html",), ())
    assert (read("deep/page.html"), read("other.txt")) == (after, b"nothing of it")
    assert files.replace_word(word, "gone") == ((), ())


def test_files_called_after_the_word_go_and_models_and_other_files_than_text_stay(stored: tuple[Files, Reader]) -> None:
    files, read = stored
    content = {
        "explanations/C-17.html": b"why",
        "explanations/C-171.html": b"why",
        "model/MLmodel": b"flavors:",
        "model/code/example.json": b'"C-17"',
        "image.png": b"\x00C-17",
    }
    for name, text in content.items():
        files.put(name, [text])
    assert files.replace_word("C-17", "gone") == (("explanations/C-17.html",), ("image.png", "model/code/example.json"))
    assert {name for name in content if read(name) is not None} == {*content} - {"explanations/C-17.html"}


def test_on_a_laptop_tables_are_not_looked_at_and_modes_stay(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    files.put("page.html", [b"C-17"])
    log = tmp_path / "tables" / "features" / "_delta_log"
    log.mkdir(parents=True)
    (log.parent / "part.txt").write_bytes(b"C-17")
    files.replace_word("C-17", "gone")
    assert (log.parent / "part.txt").read_bytes() == b"C-17"
    assert (tmp_path / "page.html").stat().st_mode & 0o777 == 0o600
