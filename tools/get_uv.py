"""Prints the path of a working uv: the one on PATH, or else the locked version, installed into `.uv/` and nowhere else.

Runs before anything is installed, so it uses the standard library only: a machine may have python3 and make and nothing
else. `uv.lock` names uv's version, files and digests; no file is unpacked whose digest is another.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SetupError", "Wheel", "download", "find_uv", "get_uv", "locked_wheels", "wheel_for"]

ROOT = Path(__file__).resolve().parents[1]
OLDEST = (0, 7)
"""Older versions of uv cannot read this lock file."""
TIMEOUT_SECONDS = 60


class SetupError(Exception):
    """The set-up cannot go on; the message says what to do."""


@dataclass(frozen=True)
class Wheel:
    """One installable file of the lock file."""

    version: str
    url: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name, which says the platform."""
        return self.url.rsplit("/", 1)[-1]


def locked_wheels(lock: Path, package: str = "uv") -> list[Wheel]:
    """Return the files that the lock file names for a package.

    Raises:
        SetupError: the lock file does not hold the package.
    """
    packages = tomllib.loads(lock.read_text(encoding="utf-8"))["package"]
    locked = next((entry for entry in packages if entry["name"] == package), None)
    if locked is None:
        raise SetupError(f"{lock.name} does not lock {package}: install uv yourself and put it on PATH.")
    return [Wheel(locked["version"], file["url"], file["hash"].removeprefix("sha256:")) for file in locked["wheels"]]


def wheel_for(wheels: list[Wheel], system: str, machine: str, libc: str) -> Wheel:
    """Return the file for a platform, as `platform.system()`, `platform.machine()` and `platform.libc_ver()` name it.

    Raises:
        SetupError: there is none.
    """
    architecture = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine.lower(), machine.lower())
    if system == "Darwin":
        patterns = [rf"macosx_\d+_\d+_{'arm64' if architecture == 'aarch64' else architecture}\b"]
    elif system == "Linux":
        # The musl build is linked statically and runs beside any C library.
        patterns = [rf"musllinux_\d+_\d+_{architecture}\b"]
        if libc == "glibc":
            patterns.insert(0, rf"manylinux\w*_{architecture}\b")
    else:
        patterns = []
    for pattern in patterns:
        for wheel in wheels:
            if re.search(pattern, wheel.name):
                return wheel
    raise SetupError(f"There is no uv for {system} on {machine}: install uv yourself and put it on PATH.")


def find_uv(path: str | None = None) -> str | None:
    """Return a uv on the search path that runs and is new enough, or None."""
    executable = shutil.which("uv", path=path)
    return executable if executable and _runs(executable) else None


def download(wheel: Wheel, into: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """Fetch a wheel, check its digest and unpack its program as `into/bin/uv`.

    Raises:
        SetupError: the network does not answer, or the file is not the one that the lock file names.
    """
    url = _mirrored(wheel, environment)
    content = _fetch(url)
    if hashlib.sha256(content).hexdigest() != wheel.sha256:
        raise SetupError(
            f"{_shown(url)} is not the file that uv.lock names (its sha256 differs): nothing was installed."
        )
    program = into / "bin" / "uv"
    program.parent.mkdir(parents=True, exist_ok=True)
    partial = program.with_suffix(".part")
    with zipfile.ZipFile(io.BytesIO(content)) as files:
        partial.write_bytes(next(files.read(name) for name in files.namelist() if name.endswith(".data/scripts/uv")))
    partial.chmod(0o755)
    partial.replace(program)
    return program


def get_uv(lock: Path, into: Path) -> str:
    """Return the path of a working uv, installing it into the folder `into` where there is none.

    Raises:
        SetupError: there is no uv for this platform, or the package index cannot be reached.
    """
    executable = find_uv() or find_uv(str(into / "bin"))
    if executable:
        return executable
    wheels = locked_wheels(lock)
    wheel = wheel_for(wheels, platform.system(), platform.machine(), platform.libc_ver()[0])
    sys.stderr.write(f"Installing uv {wheel.version} into {into}\n")
    program = into / "bin" / "uv"
    if not _installed_by_pip(wheels, into):
        download(wheel, into)
    if not _runs(str(program)):
        raise SetupError(f"{program} does not run: delete {into}, install uv yourself and put it on PATH.")
    return str(program)


def _runs(program: str) -> bool:
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = re.match(r"uv (\d+)\.(\d+)", answer.stdout)
    return answer.returncode == 0 and version is not None and (int(version[1]), int(version[2])) >= OLDEST


def _installed_by_pip(wheels: list[Wheel], into: Path) -> bool:
    """Let pip do it where there is one: it knows the user's mirrors, proxies and certificates."""
    requirement = f"uv=={wheels[0].version} " + " ".join(f"--hash=sha256:{wheel.sha256}" for wheel in wheels)
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--require-hashes",
        "--requirement=/dev/stdin",
        f"--target={into}",
    ]
    command += ["--quiet", "--upgrade", "--retries=1", "--disable-pip-version-check"]
    return subprocess.run(command, input=requirement, text=True, capture_output=True, check=False).returncode == 0


def _mirrored(wheel: Wheel, environment: Mapping[str, str]) -> str:
    """Return where to fetch a file: at the index that the user configured, or where the lock file says."""
    configured = (environment.get(key) for key in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"))
    index = next((url for url in configured if url), None)
    if index is None:
        return wheel.url
    page_url = f"{index.rstrip('/')}/uv/"
    page = _fetch(page_url).decode("utf-8", errors="replace")
    link = re.search(rf'href="((?:[^"]*/)?{re.escape(wheel.name)})[#"]', page)
    if link is None:
        raise SetupError(f"{_shown(page_url)} does not offer {wheel.name}: install uv yourself and put it on PATH.")
    return urllib.parse.urljoin(page_url, str(link[1]))


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
            return bytes(answer.read())
    except (OSError, ValueError, http.client.HTTPException) as cause:
        raise SetupError(
            f"{_shown(url)} does not answer ({getattr(cause, 'reason', cause)}): connect, name your proxy in "
            "HTTPS_PROXY, or install uv yourself and put it on PATH."
        ) from cause


def _shown(url: str) -> str:
    """Return an address without the password that it may hold."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


if __name__ == "__main__":
    try:
        sys.stdout.write(get_uv(ROOT / "uv.lock", ROOT / ".uv") + "\n")
    except SetupError as error:
        sys.exit(str(error))
