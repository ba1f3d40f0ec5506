"""The commands of past campaigns: `effect` and `import`."""

from __future__ import annotations

import argparse

from churn.core.errors import ConfigError
from churn.core.wording import counted

from .console import plain_console
from .context import repeated, session_of, writable
from .output import print_json, wants_json

__all__ = ["campaign_effect", "campaign_import"]


def campaign_effect(arguments: argparse.Namespace) -> int:
    """Print what one campaign changed, or all with the same control group, and write the page.

    Before the first campaign there is nothing to read out, which is no fault; a batch that is named must exist.
    """
    from churn.campaign.effect import ReadOut
    from churn.lifecycle.campaigns import measure_campaigns, read_out
    from reports.effect_report import acceptance_settings, effect_lines, effect_page

    session = session_of(arguments)
    if arguments.batch is None:
        result = read_out(session.workspace, session.settings)
    else:
        result = ReadOut(effect=measure_campaigns(session.workspace, session.settings, arguments.batch))
    if (effect := result.effect) is None:
        if wants_json(arguments):
            print_json({"campaigns": [], "verdict": None, "message": result.nothing, "page": None, "exit": 0})
        else:
            plain_console().print(result.nothing)
        return 0
    name = "effect.html" if arguments.batch is None else f"{arguments.batch}.effect.html"
    path = arguments.out or session.profile.campaigns / name
    writable(path).write_text(effect_page(effect), encoding="utf-8")
    if wants_json(arguments):
        print_json({**effect.model_dump(mode="json"), "page": path, "exit": 0})
        return 0
    console = plain_console()
    for line in effect_lines(effect):
        console.print(line)
    console.print(f"Page    {path}")
    if effect.drop is not None:
        options = f"{repeated(arguments)} {acceptance_settings(effect)}"
        console.print(f"To plan with that acceptance: python run.py --pipeline inference{options}")
    return 0


def campaign_import(arguments: argparse.Namespace) -> int:
    """Add contacts that were made outside the product; they count for the rest days, and their outcomes as treated."""
    from churn.lifecycle.campaigns import import_contacts

    if not arguments.file.exists():
        raise ConfigError(f"There is no table at {arguments.file.resolve()}: check the name.")
    session = session_of(arguments)
    imported, name = import_contacts(session.workspace, arguments.file), session.contract.name
    if wants_json(arguments):
        print_json({**imported._asdict(), "exit": 0})
        return 0
    console = plain_console()
    verb = "is" if imported.contacts == 1 else "are"
    console.print(f"{counted(imported.contacts, 'contact')} of {arguments.file} {verb} in churn_contacts of {name}.")
    if imported.unknown:
        names = "names a customer" if imported.unknown == 1 else "name customers"
        console.print(
            f"{imported.unknown:,} of them {names} whom {name} does not have: check that "
            f"the keys are written as in {session.contract.entity_key}."
        )
    return 0
