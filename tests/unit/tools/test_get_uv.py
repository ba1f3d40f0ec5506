"""Getting uv onto a machine that has nothing but python3."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.get_uv import SetupError, Wheel, download, find_uv, get_uv, locked_wheels, wheel_for

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
NAMES = [
    "uv-1.2.3-py3-none-macosx_10_12_x86_64.whl",
    "uv-1.2.3-py3-none-macosx_11_0_arm64.whl",
    "uv-1.2.3-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl",
    "uv-1.2.3-py3-none-manylinux_2_17_i686.manylinux2014_i686.whl",
    "uv-1.2.3-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "uv-1.2.3-py3-none-musllinux_1_1_x86_64.whl",
    "uv-1.2.3-py3-none-win_amd64.whl",
]
WHEELS = [Wheel("1.2.3", f"https://files.example/{name}", "0" * 64) for name in NAMES]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """A package index on this machine: files below `/files/`, and a page that links to them at `/simple/uv/`."""
    (tmp_path / "www" / "files").mkdir(parents=True)
    (tmp_path / "www" / "simple" / "uv").mkdir(parents=True)
    handler = functools.partial(QuietHandler, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def program(version: str) -> str:
    return f"#!/bin/sh\necho 'uv {version} (made up)'\n"


def put_uv(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "uv").write_text(program(version))
    (folder / "uv").chmod(0o755)
    return folder / "uv"


def publish(tmp_path: Path, index: str, name: str = NAMES[4]) -> Wheel:
    path = tmp_path / "www" / "files" / name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("uv/__init__.py", "")
        archive.writestr("uv-1.2.3.data/scripts/uvx", "another program")
        archive.writestr("uv-1.2.3.data/scripts/uv", program("1.2.3"))
    return Wheel("1.2.3", f"{index}/files/{name}", hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("system", "machine", "libc", "expected"),
    [
        ("Linux", "x86_64", "glibc", NAMES[4]),
        ("Linux", "x86_64", "", NAMES[5]),
        ("Linux", "aarch64", "glibc", NAMES[2]),
        ("Linux", "aarch64", "", NAMES[2]),
        ("Linux", "i686", "glibc", NAMES[3]),
        ("Darwin", "arm64", "", NAMES[1]),
        ("Darwin", "x86_64", "", NAMES[0]),
    ],
)
def test_each_platform_gets_its_own_file(system: str, machine: str, libc: str, expected: str) -> None:
    assert wheel_for(WHEELS, system, machine, libc).name == expected


@pytest.mark.parametrize(("system", "machine"), [("Linux", "sparc64"), ("Plan9", "x86_64")])
def test_a_platform_without_a_file_is_told_to_install_it(system: str, machine: str) -> None:
    with pytest.raises(SetupError, match=f"no uv for {system} on {machine}: install uv yourself"):
        wheel_for(WHEELS, system, machine, "glibc")


def test_the_lock_file_of_the_project_names_a_file_for_common_platforms() -> None:
    wheels = locked_wheels(ROOT / "uv.lock")
    for platform in [("Linux", "x86_64", "glibc"), ("Linux", "aarch64", "glibc"), ("Darwin", "arm64", "")]:
        assert len(wheel_for(wheels, *platform).sha256) == 64


def test_a_lock_file_without_uv_is_answered_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text('[[package]]\nname = "numpy"\nversion = "2"\nwheels = []\n')
    with pytest.raises(SetupError, match=r"uv\.lock does not lock uv: install uv yourself"):
        locked_wheels(tmp_path / "uv.lock")


def test_a_download_becomes_a_program_that_runs(tmp_path: Path, index: str) -> None:
    installed = download(publish(tmp_path, index), tmp_path / "tools", {})
    assert installed == tmp_path / "tools" / "bin" / "uv"
    assert subprocess.run([installed], capture_output=True, text=True, check=True).stdout == "uv 1.2.3 (made up)\n"
    assert [path.name for path in installed.parent.iterdir()] == ["uv"]


def test_a_file_with_another_digest_is_not_installed(tmp_path: Path, index: str) -> None:
    wheel = publish(tmp_path, index)
    with pytest.raises(SetupError, match=r"is not the file that uv\.lock names .*: nothing was installed"):
        download(Wheel(wheel.version, wheel.url, "0" * 64), tmp_path / "tools", {})
    assert not (tmp_path / "tools").exists()


@pytest.mark.parametrize("variable", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"])
@pytest.mark.parametrize("link", ["../../files/{name}#sha256=abc", "{index}/files/{name}"])
def test_a_configured_index_is_asked_instead(tmp_path: Path, index: str, variable: str, link: str) -> None:
    wheel = publish(tmp_path, index)
    page = f'<a href="{link.format(name=wheel.name, index=index)}">{wheel.name}</a>'
    (tmp_path / "www" / "simple" / "uv" / "index.html").write_text(page)
    elsewhere = Wheel(wheel.version, f"http://127.0.0.1:9/{wheel.name}", wheel.sha256)
    assert download(elsewhere, tmp_path / "tools", {variable: f"{index}/simple/"}).is_file()


def test_an_index_without_the_file_is_named_without_its_password(tmp_path: Path, index: str) -> None:
    (tmp_path / "www" / "simple" / "uv" / "index.html").write_text("nothing here")
    with pytest.raises(SetupError, match=r"/simple/uv/ does not offer uv-1\.2\.3-.*: install uv yourself"):
        download(WHEELS[4], tmp_path / "tools", {"PIP_INDEX_URL": f"{index}/simple"})


def test_a_silent_network_is_answered_with_what_to_do(tmp_path: Path) -> None:
    secret = {"PIP_INDEX_URL": "http://me:secret@127.0.0.1:9/simple"}
    with pytest.raises(SetupError, match=r"^http://127\.0\.0\.1:9/simple/uv/ does not answer.*HTTPS_PROXY") as caught:
        download(WHEELS[4], tmp_path / "tools", secret)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("version", "fits"), [("0.6.99", False), ("0.7.0", True), ("0.13.9", True), ("1.0.0", True)])
def test_a_uv_that_cannot_read_the_lock_file_is_not_used(tmp_path: Path, version: str, fits: bool) -> None:
    assert (find_uv(str(put_uv(tmp_path / "bin", version).parent)) is not None) == fits


def test_a_uv_that_does_not_run_is_not_used(tmp_path: Path) -> None:
    put_uv(tmp_path / "bin", "1.0.0").write_text("#!/bin/sh\necho 'no such version is installed' >&2\nexit 127\n")
    assert find_uv(str(tmp_path / "bin")) is None


def test_what_is_on_the_path_is_used_before_anything_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = put_uv(tmp_path / "bin", "0.13.9")
    monkeypatch.setenv("PATH", f"{on_path.parent}{os.pathsep}{os.environ['PATH']}")
    assert get_uv(tmp_path / "no lock file", tmp_path / "tools") == str(on_path)


def test_what_was_installed_before_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    installed = put_uv(tmp_path / "tools" / "bin", "0.13.9")
    assert get_uv(tmp_path / "no lock file", tmp_path / "tools") == str(installed)
