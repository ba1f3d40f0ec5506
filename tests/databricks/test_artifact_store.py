"""The artifact store on a volume does what ZenML's local one does, method by method."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from zenml.artifact_stores import BaseArtifactStore, LocalArtifactStore, LocalArtifactStoreConfig
from zenml.enums import StackComponentType
from zenml.io import fileio

from adapters.databricks.artifact_store import VolumeArtifactStore, VolumeArtifactStoreConfig, VolumeArtifactStoreFlavor

from .workspace import Workspace

numbers = itertools.count()


def store_of(kind: type[BaseArtifactStore], config: object, flavor: str) -> BaseArtifactStore:
    now = datetime.now(UTC)
    about = {"flavor": flavor, "type": StackComponentType.ARTIFACT_STORE, "user": None, "created": now, "updated": now}
    return kind(name="store", id=uuid4(), config=config, **about)


@pytest.fixture(params=["local", "volumes"])
def store(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    shared_workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> BaseArtifactStore:
    """A store whose root, an empty folder, is there."""
    if request.param == "local":
        made = store_of(LocalArtifactStore, LocalArtifactStoreConfig(path=str(tmp_path)), "local")
    else:
        for name, value in shared_workspace.environment().items():
            monkeypatch.setenv(name, value)
        config = VolumeArtifactStoreConfig(path=f"volumes://main/churn/files/stores/{next(numbers)}")
        made = store_of(VolumeArtifactStore, config, "volumes")
    made.makedirs(made.path)
    return made


def write(store: BaseArtifactStore, name: str, content: bytes) -> str:
    path = f"{store.path}/{name}"
    with store.open(path, "wb") as file:
        file.write(content)
    return path


def read(store: BaseArtifactStore, path: str) -> bytes:
    with store.open(path, "rb") as file:
        return bytes(file.read())


def test_every_abstract_method_is_there() -> None:
    names = [name for name, method in vars(BaseArtifactStore).items() if getattr(method, "__isabstractmethod__", False)]
    assert len(names) == 14
    assert [name for name in names if name not in vars(VolumeArtifactStore)] == []
    flavor = VolumeArtifactStoreFlavor()
    assert (flavor.name, flavor.type, flavor.implementation_class) == (
        "volumes",
        StackComponentType.ARTIFACT_STORE,
        VolumeArtifactStore,
    )


def test_bytes_and_text_are_read_back(store: BaseArtifactStore) -> None:
    assert read(store, write(store, "a.bin", b"\x00\xff\r\n")) == b"\x00\xff\r\n"
    path = f"{store.path}/a.txt"
    with store.open(path, "w") as file:
        file.write("Zürich\n")
        file.writelines(["a\n", "b"])
    with store.open(path) as file:
        assert [file.readline(), *file] == ["Zürich\n", "a\n", "b"]
    assert read(store, path) == "Zürich\na\nb".encode()


def test_a_file_that_is_opened_to_be_written_is_emptied_first(store: BaseArtifactStore) -> None:
    path = write(store, "a.txt", b"a long first content")
    assert read(store, write(store, "a.txt", b"short")) == b"short"
    with store.open(path, "w"):
        pass
    assert (read(store, path), store.size(path)) == (b"", 0)


def test_a_reader_can_go_back(store: BaseArtifactStore) -> None:
    with store.open(write(store, "a.bin", b"0123456789"), "rb") as file:
        file.seek(4)
        assert (file.read(2), file.tell()) == (b"45", 6)


def test_a_new_file_must_not_be_there(store: BaseArtifactStore) -> None:
    path = f"{store.path}/a.txt"
    with store.open(path, "x") as file:
        file.write("first")
    with pytest.raises(FileExistsError):
        store.open(path, "x")
    assert read(store, path) == b"first"


def test_what_is_not_there_cannot_be_read_removed_or_measured(store: BaseArtifactStore) -> None:
    missing = f"{store.path}/none"
    calls: list[Callable[[], object]] = [
        lambda: store.open(missing),
        lambda: store.remove(missing),
        lambda: store.size(missing),
        lambda: store.stat(missing),
        lambda: store.listdir(missing),
        lambda: store.rmtree(missing),
        lambda: store.copyfile(missing, f"{store.path}/copy"),
        lambda: store.rename(missing, f"{store.path}/copy"),
        lambda: store.mkdir(f"{missing}/below"),
    ]
    for call in calls:
        with pytest.raises(FileNotFoundError, match="none"):
            call()
    assert (store.exists(missing), store.isdir(missing), store.glob(missing), list(store.walk(missing))) == (
        False,
        False,
        [],
        [],
    )


def test_files_and_folders_exist_and_are_told_apart(store: BaseArtifactStore) -> None:
    store.mkdir(f"{store.path}/deep")
    path = write(store, "deep/a.txt", b"abc")
    assert store.exists(path)
    assert store.exists(f"{store.path}/deep")
    assert (store.isdir(path), store.isdir(f"{store.path}/deep")) == (False, True)
    assert (store.size(path), store.stat(path).st_size) == (3, 3)
    assert abs(store.stat(path).st_mtime - datetime.now(UTC).timestamp()) < 60


def test_folders_are_made_once_or_again(store: BaseArtifactStore) -> None:
    for _ in range(2):
        store.makedirs(f"{store.path}/a/b/c")
    assert store.isdir(f"{store.path}/a/b/c")
    with pytest.raises(FileExistsError):
        store.mkdir(f"{store.path}/a")


def test_a_copy_is_equal_and_replaces_nothing_unless_it_is_told_to(store: BaseArtifactStore) -> None:
    source, target = write(store, "a", b"new"), write(store, "b", b"old")
    with pytest.raises(FileExistsError):
        store.copyfile(source, target)
    assert read(store, target) == b"old"
    store.copyfile(source, target, overwrite=True)
    assert (read(store, source), read(store, target)) == (b"new", b"new")


def test_a_renamed_file_or_folder_is_at_its_new_place_alone(store: BaseArtifactStore) -> None:
    source, target = write(store, "a", b"new"), write(store, "b", b"old")
    with pytest.raises(FileExistsError):
        store.rename(source, target)
    store.rename(source, target, overwrite=True)
    assert (store.exists(source), read(store, target)) == (False, b"new")
    store.makedirs(f"{store.path}/from/deep")
    write(store, "from/deep/c", b"c")
    store.rename(f"{store.path}/from", f"{store.path}/to")
    assert (store.exists(f"{store.path}/from"), read(store, f"{store.path}/to/deep/c")) == (False, b"c")


def test_a_listing_has_names_and_many_of_them(store: BaseArtifactStore) -> None:
    assert store.listdir(store.path) == []
    names = [f"file {number}.txt" for number in range(10)]
    for name in names:
        write(store, name, b"")
    store.makedirs(f"{store.path}/folder")
    assert sorted(map(str, store.listdir(store.path))) == sorted([*names, "folder"])


def test_a_walk_visits_every_folder_from_above_or_below(store: BaseArtifactStore) -> None:
    for name in ("a.txt", "one/b.txt", "one/two/c.txt"):
        store.makedirs(f"{store.path}/{name}".rpartition("/")[0])
        write(store, name, b"")
    expected = [("", ["one"], ["a.txt"]), ("/one", ["two"], ["b.txt"]), ("/one/two", [], ["c.txt"])]
    above = [(str(folder).removeprefix(store.path), dirs, files) for folder, dirs, files in store.walk(store.path)]
    below = [str(folder).removeprefix(store.path) for folder, _, _ in store.walk(store.path, topdown=False)]
    assert above == expected
    assert below == ["/one/two", "/one", ""]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.txt", ["a.txt", "b.txt"]),
        ("?.csv", ["a.csv"]),
        ("[ab].txt", ["a.txt", "b.txt"]),
        ("*/c.txt", ["deep/c.txt"]),
        ("deep/*", ["deep/c.txt"]),
        ("a.txt", ["a.txt"]),
        ("*", ["a.csv", "a.txt", "b.txt", "deep"]),
        ("none*", []),
    ],
)
def test_a_pattern_finds_what_it_finds_on_a_disk(store: BaseArtifactStore, pattern: str, found: list[str]) -> None:
    store.makedirs(f"{store.path}/deep")
    for name in ("a.txt", "b.txt", "a.csv", ".hidden", "deep/c.txt"):
        write(store, name, b"")
    assert sorted(map(str, store.glob(f"{store.path}/{pattern}"))) == [f"{store.path}/{name}" for name in found]


def test_a_folder_goes_with_all_that_is_in_it(store: BaseArtifactStore) -> None:
    for name in ("one/a", "one/two/b", "one/two/c"):
        store.makedirs(f"{store.path}/{name}".rpartition("/")[0])
        write(store, name, b"x")
    keep = write(store, "keep", b"x")
    store.rmtree(f"{store.path}/one")
    assert (store.exists(f"{store.path}/one"), store.exists(keep)) == (False, True)


def test_names_with_spaces_percent_signs_and_umlauts_are_kept(store: BaseArtifactStore) -> None:
    for name in ("a b", "100%25", "grün", "a+b&c=d", "#1?"):
        assert read(store, write(store, name, name.encode())) == name.encode()
        assert name in store.listdir(store.path)


def test_zenml_reaches_it_by_its_paths(store: BaseArtifactStore) -> None:
    path = f"{store.path}/by_zenml.txt"
    with fileio.open(path, "w") as file:
        file.write("hello")
    assert fileio.exists(path)
    assert fileio.listdir(store.path) == ["by_zenml.txt"]


def test_a_path_outside_of_the_store_is_refused(store: BaseArtifactStore) -> None:
    root = store.path.rpartition("/")[0]
    for path in (f"{root}/elsewhere/x", f"{store.path}/../../x"):
        with pytest.raises(FileNotFoundError):
            store.open(path)


@pytest.fixture
def volumes(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> BaseArtifactStore:
    workspace.catalog.add_volume("main.churn.files")
    for name, value in workspace.environment().items():
        monkeypatch.setenv(name, value)
    config = VolumeArtifactStoreConfig(path="volumes://main/churn/files/artifacts")
    return store_of(VolumeArtifactStore, config, "volumes")


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_a_file_whose_writing_fails_leaves_what_was_there(volumes: BaseArtifactStore, mode: str) -> None:
    path = write(volumes, "a.txt", b"whole")

    def fail() -> None:
        with volumes.open(path, mode) as file:
            file.write("half" if mode == "w" else b"half")
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        fail()
    assert read(volumes, path) == b"whole"


@pytest.mark.parametrize("mode", ["a", "ab", "r+", "w+"])
def test_a_volume_appends_and_changes_nothing(volumes: BaseArtifactStore, mode: str) -> None:
    assert volumes.config.IS_IMMUTABLE_FILESYSTEM
    with pytest.raises(ValueError, match=r"is not possible in a volume: write the whole file"):
        volumes.open(f"{volumes.path}/log.txt", mode)


def test_a_missing_privilege_is_an_error_of_permissions(workspace: Workspace, volumes: BaseArtifactStore) -> None:
    workspace.catalog.deny("READ VOLUME", "main.churn.files")
    with pytest.raises(PermissionError, match="READ VOLUME"):
        write(volumes, "a", b"x")


def test_another_scheme_is_refused() -> None:
    with pytest.raises(Exception, match="supported schemes"):
        VolumeArtifactStoreConfig(path="/Volumes/main/churn/files")
