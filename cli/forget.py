"""`run.py data forget`: erases a customer, and reports what was erased and what may still hold the customer."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .console import Screen, plain_console
from .context import Session, actor_of, session_of
from .explain import file_name

if TYPE_CHECKING:
    from churn.lifecycle.erasure import Erasure

__all__ = ["data_forget"]

_SHOWN = 10


def data_forget(arguments: argparse.Namespace) -> int:
    """Erase a customer in every table, list and page of the data set, and print what holds something still."""
    from churn.lifecycle.erasure import forget

    session, console = session_of(arguments), plain_console()
    workspace = session.workspace
    who = actor_of(arguments, session)
    erasure = forget(workspace, arguments.customer, who=who, why=arguments.reason)
    page = session.profile.state / "explanations" / f"{file_name(arguments.customer)}.html"
    page.unlink(missing_ok=True)
    console.print(f"Erased from the data set {session.contract.name}; the ledger's record names no customer.")
    for table, rows in erasure.rows.items():
        console.print(f"  {table}: {_number(rows, 'row')}")
    older = sum(map(len, erasure.versions.values()))
    console.print(f"  removed, and no longer to be read: {_number(older, 'older version')} of tables that held a row")
    if erasure.online:
        console.print("  online store: 1 row")
    _files(console, "of lists", erasure.lists)
    _files(console, "of pages and records", erasure.pages)
    _say_what_is_left(console, session, erasure)
    return 0


def _say_what_is_left(console: Screen, session: Session, erasure: Erasure) -> None:
    console.print("What may hold something still:")
    if erasure.trained:
        versions = ", ".join(map(str, erasure.trained))
        console.print(
            f"  {session.workspace.model} version {versions}: a model holds no row, but what it learned from the "
            "customer stays in it until another one is live. Its training table is gone, so that the gate can no "
            "longer make it again from that table, and compares recipes by refitting."
        )
    _files(console, "must stay as it is, and names the customer", erasure.held)
    if not erasure.searched_pages:
        console.print(
            "  pages: so short a key may be any number there, so they were not searched. The report of a training and "
            "its artifacts name up to 8 customers (.churn/reports, .churn/artifacts): remove those that name this one."
        )
    if session.contract.source == "simulation":
        console.print("  the simulation: it makes up the same customers at the next run.")
    else:
        console.print("  the source: a delivery that holds the customer brings the rows back. Take them out there too.")
    console.print("  what left this folder: lists that were handed on, backups, pages that were written elsewhere.")
    if erasure.unfinished:
        others = f"{erasure.unfinished} erasures of other customers"
        console.print(f"{others} were begun and not completed: type those commands again.")


def _files(console: Screen, what: str, names: Sequence[str]) -> None:
    if names:
        more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
        console.print(f"  {_number(len(names), 'file')} {what}: {', '.join(names[:_SHOWN])}{more}")


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
