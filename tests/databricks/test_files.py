"""Files in a volume keep every promise of their port, and tell what a workspace refuses."""

from __future__ import annotations

import itertools
import time

import pytest

from adapters.databricks.files import VolumeFiles
from adapters.databricks.volumes import Volumes
from churn.core.errors import StoreError
from churn.ports.files import Files
from tests.contract.test_files import *  # noqa: F403 - the suite of the port, with `stored` below
from tests.contract.test_files import Reader

from .workspace import Workspace

numbers = itertools.count()


@pytest.fixture
def stored(shared_workspace: Workspace) -> tuple[Files, Reader]:
    root = f"/Volumes/main/churn/files/{next(numbers)}"
    client = shared_workspace.client()
    client.files.create_directory(root)

    def read(name: str) -> bytes | None:
        path = shared_workspace.files.path(f"{root}/{name}")
        return path.read_bytes() if path.exists() else None

    return VolumeFiles(Volumes(lambda: client.files), root), read


def files_of(workspace: Workspace, retry_timeout_seconds: int = 30) -> VolumeFiles:
    workspace.catalog.add_volume("main.churn.files")
    client = workspace.client(retry_timeout_seconds=retry_timeout_seconds)
    return VolumeFiles(Volumes(lambda: client.files), "/Volumes/main/churn/files")


def test_a_missing_privilege_and_a_missing_volume_are_named_with_the_remedy(workspace: Workspace) -> None:
    files = files_of(workspace)
    workspace.catalog.deny("READ VOLUME", "main.churn.files")
    with pytest.raises(StoreError, match=r"READ VOLUME on Volume 'main\.churn\.files'.*doctor --stack databricks"):
        files.put("a.txt", [b"x"])
    workspace.catalog.volumes.clear()
    with pytest.raises(StoreError, match=r"Volume 'main\.churn\.files' does not exist"):
        files.put("a.txt", [b"x"])


@pytest.mark.parametrize("fault", ["drop", "lose", "throttle"])
def test_an_upload_that_is_interrupted_is_repeated_as_a_whole(workspace: Workspace, fault: str) -> None:
    files, route = files_of(workspace), r"PUT /api/2\.0/fs/files/Volumes/.*"
    if fault == "throttle":
        workspace.faults.refuse(route, 429, times=2)
    else:
        getattr(workspace.faults, fault)(route)
    files.put("lists/a.csv", [b"id\n", b"1\n"])
    assert workspace.files.read("/Volumes/main/churn/files/lists/a.csv") == b"id\n1\n"


def test_a_limit_on_requests_is_waited_for_longer_than_a_workspace_that_is_down(workspace: Workspace) -> None:
    files, path = files_of(workspace, retry_timeout_seconds=1), "/Volumes/main/churn/files/a.csv"
    began = time.monotonic()
    for route in (r"PUT /api/2\.0/fs/files/.*", r"POST /api/2\.0/fs/create-download-url"):
        workspace.faults.refuse(route, 429, times=2, retry_after=1)
    files.put("a.csv", [b"id\n1\n"])
    assert files.get("a.csv") == b"id\n1\n"
    assert workspace.files.read(path) == b"id\n1\n"
    # Newer SDKs take another route to a file where one is refused, and wait for the upload alone.
    assert time.monotonic() - began >= 2, "each answer named a second"


def test_a_volume_that_stays_away_is_told_and_nothing_is_stored(workspace: Workspace) -> None:
    files = files_of(workspace, retry_timeout_seconds=2)
    workspace.faults.refuse(r"PUT /api/2\.0/fs/files/.*", 503, times=100)
    with pytest.raises(StoreError, match=r"a\.txt cannot be written or read .*Timed out"):
        files.put("a.txt", [b"x"])
    assert files.names("lists") == []
    assert not workspace.files.path("/Volumes/main/churn/files/a.txt").exists()


def test_a_file_in_the_way_of_a_folder_in_a_volume_is_an_error_of_the_store(workspace: Workspace) -> None:
    files = files_of(workspace)
    files.put("campaigns", [b"x"])
    with pytest.raises(StoreError, match="cannot be written"):
        files.put("campaigns/list.csv", [b"x"])
