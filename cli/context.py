"""From parsed arguments to the settings, the data set and the workspace of a command."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from churn.core.errors import ChurnError, ConfigError
from churn.data.contract import DatasetContract
from churn.profile import Profile
from churn.settings import Configuration, Settings, load_contract, read_configuration

if TYPE_CHECKING:
    from churn.lifecycle.workspace import Workspace

__all__ = [
    "CHECKOUT",
    "CONFIGS",
    "Session",
    "actor_of",
    "alone",
    "chosen_stack",
    "configuration_of",
    "overrides_of",
    "remember",
    "remember_stack",
    "repeated",
    "session_of",
    "writable",
]

CONFIGS = Path(str(files("configs"))).resolve()
CHECKOUT = CONFIGS.parent if (CONFIGS.parent / "pyproject.toml").is_file() else None
"""The folder of the project, None where it was installed from a wheel: the state is then in the working directory."""
_REMEMBERED = "dataset"


class Session(NamedTuple):
    """What a command works with."""

    settings: Settings
    profile: Profile
    contract: DatasetContract

    @property
    def workspace(self) -> Workspace:
        """The ports of the data set."""
        from adapters.wiring import connect

        return connect(self.contract, self.settings.model_name, self.profile)


def configuration_of(arguments: argparse.Namespace) -> Configuration:
    """Return the settings and the profile that the arguments ask for; raises as `read_configuration` does.

    Unless the profile is shared, whatever this process makes from now on can be read by this user alone.
    """
    stack, extra = getattr(arguments, "stack", None) or chosen_stack(), getattr(arguments, "config", None)
    configuration = read_configuration(
        CONFIGS,
        stack,
        extra,
        overrides_of(arguments),
        defaults=getattr(arguments, "defaults", ()),
        project=CHECKOUT or Path.cwd(),
        remembered=_remembered,
    )
    if not configuration.profile.shared:
        os.umask(0o077)  # tables, lists and pages hold customers
    return configuration


def chosen_stack() -> str:
    """Return the profile that commands use: the one that `stack use` chose, else `local`."""
    try:
        return _chosen().read_text(encoding="utf-8").strip() or "local"
    except (OSError, UnicodeDecodeError):
        return "local"


def remember_stack(name: str) -> None:
    """Let commands of this checkout use a profile until another one is chosen.

    Raises:
        ConfigError: there is no such profile, or the choice cannot be written.
    """
    read_configuration(CONFIGS, name, project=CHECKOUT or Path.cwd())
    try:
        _write_whole(_chosen(), name)
    except OSError as error:
        raise ConfigError(f"{_chosen()} cannot be written ({error.strerror}): name the stack by --stack.") from error


def _chosen() -> Path:
    return (CHECKOUT or Path.cwd()) / ".churn" / "stack"


def overrides_of(arguments: argparse.Namespace) -> list[str]:
    """Return what the command line sets, as `--set` takes it, in the order in which later ones win."""
    overrides = [*getattr(arguments, "overrides", []), *getattr(arguments, "command_overrides", [])]
    if dataset := getattr(arguments, "dataset", None):
        overrides.append(f"dataset={_quoted(dataset)}")
    if data := getattr(arguments, "data", None):
        overrides.append(f"data={_quoted(str(data.resolve()))}")
    if as_of := getattr(arguments, "as_of", None):
        overrides.append(f"inference.as_of={_quoted(as_of)}")
    if engine := getattr(arguments, "engine", None):
        overrides.append(f"inference.engine={engine}")
    return overrides


def session_of(arguments: argparse.Namespace) -> Session:
    """Return the settings, the profile and the data set, whose workbooks are read at the sheet that was asked for.

    Raises as `read_configuration` and `load_contract` do.
    """
    settings, profile = configuration_of(arguments)
    try:
        contract = load_contract(CONFIGS, settings.dataset)
    except ChurnError as error:
        if hasattr(arguments, "dataset") or settings.dataset != _remembered(profile.state):
            raise
        raise type(error)(f"{error} `python run.py use` chose it; `python run.py use NAME` chooses another.") from error
    if sheet := getattr(arguments, "sheet", None):
        written = contract.file_format.model_copy(update={"sheet": sheet})
        contract = contract.model_copy(update={"file_format": written})
    return Session(settings, profile, contract)


def actor_of(arguments: argparse.Namespace, session: Session) -> str:
    """Return who acts: who the profile's workspace says, or on this machine whom `--as` names.

    Raises:
        ConfigError: `--as` names somebody where the workspace knows who it is.
    """
    name: str | None = arguments.name
    if name is not None and session.profile.adapters != "local":
        raise ConfigError(
            f"--as {name} is refused with --stack {session.profile.name}: whoever acts is recorded under the name that "
            "the workspace knows. Log in as that person, or leave --as out."
        )
    return session.workspace.identity if name is None else name


@contextmanager
def alone(workspace: Workspace, job: str, *, patience: float = 1.0) -> Iterator[None]:
    """Let one run of a job at a time work on a data set; one that waits longer than `patience` seconds says so."""
    tables = workspace.tables  # made before the time is taken: what is imported for it takes seconds
    text = f"Another `{job.replace('_', ' ')}` works on {workspace.contract.name}: this one waits until it has ended."
    timer = threading.Timer(patience, print, [text], {"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        with tables.exclusive(f"job_{job}"):
            timer.cancel()
            yield
    finally:
        timer.cancel()


def writable(path: Path) -> Path:
    """Return a path that a command was told to write to, with its folder made.

    Raises:
        ConfigError: no file can be written there.
    """
    existed = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab"):
            pass
        if not existed:
            path.unlink()
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}): choose another path with --out.") from error
    return path


def remember(profile: Profile, dataset: str) -> DatasetContract:
    """Let commands of this checkout act on a data set until another one is chosen, and return its contract.

    Args:
        profile: Its state folder keeps the choice.
        dataset: The name of a shipped contract, or the path of a contract file.

    Raises:
        ConfigError: there is no such contract, or the state folder cannot be written.
        ContractError: the contract is wrong.
    """
    contract = load_contract(CONFIGS, dataset)
    shipped = (CONFIGS / "datasets" / f"{dataset}.yaml").is_file()
    try:
        _write_whole(profile.state / _REMEMBERED, dataset if shipped else str(Path(dataset).resolve()))
    except OSError as error:
        raise ConfigError(
            f"{profile.state} cannot be written ({error.strerror}): name the data set by --dataset."
        ) from error
    return contract


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that a kill leaves the old text or the new one: a half path would choose another data set."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _remembered(state: Path) -> str | None:
    """Return the data set that `use` chose; None where none was.

    Raises:
        ConfigError: the choice cannot be read: to go on would be to act on another data set.
    """
    file = state / _REMEMBERED
    if not file.exists():
        return None
    try:
        name = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        name = ""
    if not name:
        raise ConfigError(
            f"{file}, where `python run.py use` keeps its choice, holds no name: remove it, then choose anew."
        )
    return name


def repeated(arguments: argparse.Namespace, *more: str) -> str:
    """Return the options that the next command must repeat to be about the same data set; `more` names others."""
    names = ("stack", "config", "dataset", *more)
    options = [(f"--{name}", str(value)) for name in names if (value := getattr(arguments, name, None)) is not None]
    overrides = [*getattr(arguments, "overrides", []), *getattr(arguments, "command_overrides", [])]
    options += [("--set", value) for value in overrides]
    return "".join(f" {option} {shlex.quote(value)}" for option, value in options)


def _quoted(text: str) -> str:
    """Quote a text for YAML, where a path may look like anything."""
    return "'" + text.replace("'", "''") + "'"
