"""The doctor: each check finds what is wrong, says what to do, and touches nothing."""

from __future__ import annotations

import datetime as dt
import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from adapters.local import machine_checks as machine
from adapters.local import store_checks as stores
from adapters.local.doctor import diagnose
from adapters.local.servers import HOST
from tests.permissions import may_only_be_read, public_folder

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Iterator[Path]:
    """A home without anything in it; ZenML's configuration would lie in `home/zenml`."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("ZENML_")]:
            patch.delenv(name)
        patch.setenv("ZENML_CONFIG_PATH", str(tmp_path / "zenml"))
        yield tmp_path


def database(path: Path, revision: str, stacks: tuple[str, ...] = ()) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("CREATE TABLE alembic_version (version_num TEXT)")
        store.execute("INSERT INTO alembic_version VALUES (?)", [revision])
        store.execute("CREATE TABLE stack (name TEXT)")
        store.executemany("INSERT INTO stack VALUES (?)", [[name] for name in stacks])
    return path


def zenml_database(home: Path, revision: str, stacks: tuple[str, ...] = ()) -> Path:
    return database(home / "zenml" / "local_stores" / "default_zen_store" / "zenml.db", revision, stacks)


def examine(home: Path) -> dict[tuple[str, str], str]:
    findings = diagnose(ROOT, home / "state", home / "state" / "tables", f"sqlite:///{home}/mlflow.db", "churn_local")
    return {(finding.area, finding.name): finding.status for finding in findings}


@pytest.mark.slow
def test_a_fresh_machine_is_fit_and_stays_fresh(home: Path) -> None:
    statuses = examine(home)
    assert "fail" not in statuses.values()
    assert list(home.iterdir()) == []


@pytest.mark.slow
def test_every_trouble_comes_with_its_remedy(home: Path) -> None:
    zenml_database(home, "from the future")
    database(home / "mlflow.db", "from the future")
    (home / "state").write_text("in the way")
    findings = diagnose(ROOT, home / "state", home / "state" / "tables", f"sqlite:///{home}/mlflow.db", "churn_local")
    troubles = {(finding.area, finding.name) for finding in findings if finding.status == "fail"}
    assert troubles == {("zenml", "store"), ("mlflow", "store"), ("state", "folder"), ("tables", "folder")}
    assert all(finding.remedy for finding in findings if finding.status != "ok")


@pytest.mark.parametrize(
    ("running", "status"), [((3, 10), "fail"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "fail"), ((4, 0), "fail")]
)
def test_python_must_be_one_that_was_tested(running: tuple[int, int], status: str) -> None:
    assert machine.python_version(running).status == status


def test_libraries_are_compared_with_the_lock_file(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["numpy>=2", "pytest[extra]==9.*"]\n')
    lock = '[[package]]\nname = "numpy"\nversion = "{}"\n[[package]]\nname = "pytest"\nversion = "0.1"\n'
    (tmp_path / "uv.lock").write_text(lock.format(__import__("numpy").__version__))
    found = machine.libraries(tmp_path)
    assert (found.status, found.remedy) == ("warn", "uv sync --frozen installs the tested versions")
    assert found.found == f"pytest {pytest.__version__} (tested: 0.1)"


def test_a_library_that_is_not_installed_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["no-such-library>=1", "pytest"]\n')
    (tmp_path / "uv.lock").write_text("package = []\n")
    found = machine.libraries(tmp_path)
    assert (found.status, found.found, found.remedy) == ("fail", "not installed: no-such-library", "make train")


def test_a_checkout_without_a_lock_file_is_told_so(tmp_path: Path) -> None:
    assert machine.libraries(tmp_path).status == "warn"


@pytest.mark.parametrize(("gib", "status"), [(1.99, "fail"), (2, "warn"), (3.99, "warn"), (4, "ok")])
def test_memory_has_a_floor_and_a_comfortable_size(gib: float, status: str) -> None:
    assert machine.memory(int(gib * 1024**3)).status == status


@pytest.mark.parametrize(("gib", "status"), [(0.99, "fail"), (1, "warn"), (4.99, "warn"), (5, "ok")])
def test_disk_has_a_floor_and_a_comfortable_size(tmp_path: Path, gib: float, status: str) -> None:
    assert machine.disk(tmp_path / "not" / "yet", int(gib * 1024**3)).status == status


def test_memory_and_disk_of_this_machine_can_be_read(tmp_path: Path) -> None:
    assert "GiB" in machine.memory().found
    assert "GiB free" in machine.disk(tmp_path / "not" / "yet").found


def test_a_port_in_use_is_no_trouble_but_is_said() -> None:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        taken = server.getsockname()[1]
        assert machine.port("ZenML", taken).status == "warn"
    assert machine.port("ZenML", taken).status == "ok"


def test_a_clock_behind_the_program_itself_is_wrong() -> None:
    assert machine.clock(dt.datetime(2001, 1, 1, tzinfo=dt.UTC)).status == "fail"
    assert machine.clock(dt.datetime.now(dt.UTC) + dt.timedelta(days=400)).status == "ok"


def test_a_folder_that_everybody_may_write_to_is_warned_of(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    assert machine.folder("state", "folder", folder).status == "ok"
    folder.chmod(0o777)
    assert machine.folder("state", "folder", folder).remedy == f"chmod -R o-w {folder}"


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o740])
def test_a_folder_that_others_may_read_is_warned_of_unless_it_is_shared(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(mode)
    assert machine.folder("state", "folder", folder).remedy.startswith(f"chmod -R go= {folder}, or set profile.shared")
    assert machine.folder("state", "folder", folder, shared=True).status == "ok"


def test_an_installation_that_was_interrupted_or_lost_files_is_a_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site" / "half").mkdir(parents=True)
    (tmp_path / "site" / "half" / "__init__.py").touch()
    info = tmp_path / "site" / "half-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: half\nVersion: 1.0\n")
    (info / "RECORD").write_text("half/__init__.py,,\nhalf/core.py,,\nhalf-1.0.dist-info/RECORD,,\n")
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["half>=1"]\n')
    (tmp_path / "uv.lock").write_text('[[package]]\nname = "half"\nversion = "1.0"\n')
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    finding = machine.libraries(tmp_path)
    assert (finding.status, finding.found) == ("fail", "files are missing: half")
    (tmp_path / "site" / "half" / "core.py").touch()
    assert machine.libraries(tmp_path).status == "ok"
    (tmp_path / ".uv").mkdir()
    (tmp_path / ".uv" / "installing").touch()
    assert "interrupted" in machine.libraries(tmp_path).found


def test_a_read_only_folder_is_a_trouble() -> None:
    with public_folder() as folder, may_only_be_read(folder):
        assert machine.folder("state", "folder", folder / "state").status == "fail"


def test_a_checkout_without_a_commit_is_warned_of(tmp_path: Path) -> None:
    assert machine.git(tmp_path).status == "warn"


def test_a_library_without_byte_code_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "uncompiled").mkdir()
    (tmp_path / "uncompiled" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    found = machine.byte_code("uncompiled")
    assert found.status == "warn"
    assert found.remedy.endswith(f"-m compileall -q {tmp_path}")
    assert machine.byte_code("no_such_library").status == "fail"


@pytest.mark.parametrize(
    ("revision", "zenml", "mlflow"),
    [
        ("0.98.0", "ok", "fail"),
        ("0.40.0", "ok", "fail"),
        ("0.0.future", "fail", "fail"),
        ("451aebb31d03", "fail", "fail"),
    ],
)
def test_a_store_must_have_a_schema_that_the_library_reads(home: Path, revision: str, zenml: str, mlflow: str) -> None:
    zenml_database(home, revision)
    database(home / "mlflow.db", revision)
    assert stores.zenml_store().status == zenml
    assert stores.mlflow_store(f"sqlite:///{home}/mlflow.db").status == mlflow


def test_an_older_mlflow_store_is_told_how_to_be_brought_up_to_date(home: Path) -> None:
    uri = f"sqlite:///{database(home / 'mlflow.db', '451aebb31d03')}"
    assert stores.mlflow_store(uri).remedy == f"copy the file, then: mlflow db upgrade {uri}"


def test_a_damaged_store_is_a_trouble(home: Path) -> None:
    zenml_database(home, "0.98.0").write_bytes(b"not a database" * 500)
    (home / "mlflow.db").write_bytes(b"not a database" * 500)
    assert stores.zenml_store().found.startswith(f"{home}/zenml/local_stores/default_zen_store/zenml.db (damaged)")
    assert stores.mlflow_store(f"sqlite:///{home}/mlflow.db").status == "fail"


def test_a_store_with_a_damaged_page_is_a_trouble(home: Path) -> None:
    path = database(home / "mlflow.db", "451aebb31d03")
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("CREATE TABLE runs AS SELECT zeroblob(100000) AS run")
    content = path.read_bytes()
    path.write_bytes(content[:-8192] + b"\xff" * 8192)
    assert "(damaged)" in stores.mlflow_store(f"sqlite:///{path}").found


def test_the_stack_is_found_once_it_is_registered(home: Path) -> None:
    assert stores.zenml_stack("churn_local").found == "churn_local is registered by the first run"
    zenml_database(home, "0.98.0", ("default", "churn_local_3fa2"))
    assert stores.zenml_stack("churn_local").found == "churn_local_3fa2"


def test_a_client_of_a_dead_server_is_told_how_to_return(home: Path) -> None:
    (home / "zenml").mkdir()
    (home / "zenml" / "config.yaml").write_text("store: {type: rest, url: 'http://me:secret@127.0.0.1:9'}\n")
    found = stores.zenml_store()
    assert found.status == "fail"
    assert found.remedy.endswith("zenml logout")
    assert "secret" not in found.found


def test_an_mlflow_server_that_does_not_answer_is_a_trouble() -> None:
    found = stores.mlflow_store("http://127.0.0.1:9")
    assert (found.status, found.remedy) == ("fail", "start that server, or correct profile.mlflow.tracking_uri")


def test_runs_in_a_workspace_are_looked_into_with_the_workspace() -> None:
    found = stores.mlflow_store("databricks")
    assert (found.status, found.remedy) == ("ok", "")
