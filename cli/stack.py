"""`run.py stack`: the profiles, and their resources in a Databricks workspace."""

from __future__ import annotations

import argparse
from pathlib import Path

from adapters import platform
from churn.core.errors import ConfigError
from churn.profile import Profile
from churn.settings import read_configuration

from .context import CHECKOUT, CONFIGS, Session, chosen_stack, configuration_of, remember_stack, session_of

__all__ = ["stack_destroy", "stack_list", "stack_plan", "stack_setup", "stack_show", "stack_use"]

_DONE = {"make": "made", "change": "changed", "same": "as it should be", "not ours": "used as it is"}
_LONGEST = 100
_MARK = {"make": "+", "change": "~", "same": "=", "not ours": "="}


def stack_list(arguments: argparse.Namespace) -> int:
    """Print every profile, and which one commands use."""
    used = chosen_stack()
    for path in sorted(CONFIGS.glob("*.yaml")):
        if path.stem != "base":
            profile = read_configuration(CONFIGS, path.stem, project=CHECKOUT or Path.cwd()).profile
            print(f"{'*' if path.stem == used else ' '} {path.stem:<12} {_where(profile)}")
    print(f"\nCommands use {used}; --stack NAME takes another for one command, `stack use NAME` for all.")
    return 0


def stack_use(arguments: argparse.Namespace) -> int:
    """Let commands of this checkout use a profile until another one is chosen."""
    remember_stack(arguments.name)
    print(f"Commands use the stack {arguments.name} from now on.")
    return 0


def stack_show(arguments: argparse.Namespace) -> int:
    """Print what a profile is made of."""
    profile = configuration_of(arguments).profile
    print(f"{profile.name}: {_where(profile)}")
    for kind, component in profile.stack.items():
        print(f"  {kind.replace('_', ' '):<20} {component.flavor}")
    print(f"  {'runs':<20} {profile.mlflow.tracking_uri}\n  {'registered models':<20} {profile.mlflow.registry_uri}")
    if profile.databricks is not None:
        workspace = profile.databricks
        print(f"  {'workspace':<20} {workspace.host or workspace.config_profile or 'what the SDK finds'}")
        print(f"  {'catalog, schema':<20} {workspace.catalog}.{workspace.schema_name}")
        print(f"  {'volume':<20} {workspace.volume_path}")
    return 0


def stack_plan(arguments: argparse.Namespace) -> int:
    """Print what `stack setup` would do; nothing is changed."""
    session = session_of(arguments)
    pieces = platform.stack_pieces(*session, _graphs(session))
    for piece in pieces:
        note = " (made by others)" if piece.change == "not ours" else ""
        print(f"{_MARK[piece.change]} {piece.kind} {piece.name}{note}")
        if piece.change == "change":
            for key, (present, wanted) in piece.differences().items():
                print(f"    {key}: {_short(present)} → {_short(wanted)}")
    for package in platform.replaced_packages(session.profile):
        print(f"~ package {package.package} {package.runtime} of the runtime → {package.locked}")
    changes = sum(piece.change in ("make", "change") for piece in pieces)
    print(f"{changes} of {len(pieces)} to be made or changed.")
    return 0


def stack_setup(arguments: argparse.Namespace) -> int:
    """Make what is missing in the workspace."""
    session = session_of(arguments)
    for piece in platform.setup_stack(*session, _graphs(session)):
        print(f"{_MARK[piece.change]} {piece.kind} {piece.name}: {_DONE[piece.change]}")
    print(f"Next    python run.py doctor --stack {session.profile.name}   (what is missing still, such as a privilege)")
    return 0


def stack_destroy(arguments: argparse.Namespace) -> int:
    """Print what carries the project's mark in the workspace, and with `--yes` remove it."""
    profile = configuration_of(arguments).profile
    remove = arguments.yes and not arguments.plan
    resources = platform.destroy_stack(profile) if remove else platform.stack_owned(profile)
    for resource in resources:
        print(f"- {resource.kind} {resource.name}")
        for inside in resource.holds:
            print(f"    with {inside}")
    of = f"churn_project={profile.workspace.project}"
    print(f"{len(resources)} of the project ({of}) {'are removed' if remove else 'would be removed'}.")
    print(f"Left alone: the workspace folder {profile.workspace.folder} with its experiments, which carry no mark.")
    if resources and not remove and not arguments.plan:
        raise ConfigError("Tables, models and files in these schemas cannot be brought back: type it again with --yes.")
    return 0


def _graphs(session: Session) -> dict[str, dict[str, list[str]]]:
    """Return the steps of each pipeline where the profile runs jobs; ZenML is imported for them alone."""
    from .pipelines import graphs

    return graphs(session.settings, session.contract) if session.profile.workspace.jobs else {}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _where(profile: Profile) -> str:
    return {
        "local": "everything on this machine",
        "hybrid": "ZenML and computing here, runs and models on Databricks",
        "databricks": "everything on Databricks",
    }[profile.adapters]
